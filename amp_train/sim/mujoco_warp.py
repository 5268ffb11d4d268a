"""`sim=mujoco_warp`: MuJoCo Warp, all worlds in one batch on a CUDA GPU, or slowly on the CPU.

State tensors are views of Warp's arrays, and only `pop_warnings` and `get_full_state` wait for the GPU. It has
been run on the CPU only, so the CUDA graph has never been captured.
"""

import contextlib
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Optional, Set

import mujoco
import mujoco_warp
import numpy as np
import torch
import warp
from torch import Tensor

from amp_train.character import CharacterSpec, CharacterState
from amp_train.sim.interface import Simulator
from amp_train.sim.mujoco_cpu import MAX_SPEED
from amp_train.sim.mujoco_model import compile_model
from amp_train.sim.mujoco_parameters import FIELDS, MujocoParameters
from amp_train.sim.mujoco_scene import MujocoObjects
from amp_train.sim.mujoco_state import MujocoState
from amp_train.sim.scene import ObjectState, Scene

# The names of Warp's arrays that exact resume needs.
CARRIED = ("qpos", "qvel", "qacc_warmstart", "ctrl", "time", "overflow")
DERIVED_FROM_MASS = ("body_subtreemass", "body_invweight0", "dof_invweight0", "actuator_acc0")


@dataclass(frozen=True)
class WarpSettings:
    """Device and buffer sizes.

    Attributes:
        device: `cpu` or a CUDA device.
        nconmax: contacts a world, on average: all worlds share one array of nconmax * num_envs.
        njmax: constraint rows (contacts and joint limits) of any one world.
        deterministic: whether a GPU gives the same bits every time; slower. The CPU always does.
    """

    device: torch.device
    nconmax: int
    njmax: int
    deterministic: bool = False


class MujocoWarpSimulator(Simulator):
    """N worlds of the same model as `sim=mujoco`, in float32.

    On a GPU the physics steps of a control step are one CUDA graph, launched on torch's current stream, so that they
    keep their order with the tensors around them.
    """

    def __init__(
        self,
        spec: CharacterSpec,
        num_envs: int,
        control_dt_s: float,
        decimation: int,
        settings: WarpSettings,
        scene: Optional[Scene] = None,
    ) -> None:
        """Build the worlds in the character's default pose; kernels are compiled, once for each machine and model.

        Args:
            spec: the character.
            num_envs: number of worlds.
            control_dt_s: s between two calls of `step`.
            decimation: physics steps per control step.
            settings: device and buffer sizes.
            scene: objects and terrain.
        """
        self.spec, self.num_envs, self.device = spec, num_envs, settings.device
        self.control_dt_s, self.physics_dt_s = control_dt_s, control_dt_s / decimation
        self.masked_resets = settings.device.type != "cpu"
        self._settings, self._decimation = settings, decimation
        self._layout = MujocoState(spec, settings.device)
        self._warned: Set[str] = set()
        self._own: Set[str] = set()
        self._fields: Dict[str, Tensor] = {}
        self.scene = scene or Scene()
        self.model = compile_model(spec, self.physics_dt_s, self.scene)
        self._parameters = MujocoParameters(self.model, spec, settings.device)
        self._objects = MujocoObjects(self.model, self.scene, settings.device)
        # Warp never resets a diverged world, and does not know the flag that forbids it.
        self.model.opt.disableflags &= ~int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
        warp.config.log_level = warp.LOG_ERROR
        warp.init()
        self._warp_device = warp.device_from_torch(settings.device)
        with warp.ScopedDevice(self._warp_device):
            self._allocate()
            self._graph = self._captured() if settings.device.type == "cuda" else None
        everyone = torch.arange(num_envs, device=settings.device)
        self.set_state(everyone, self._layout.kinematics.default_state(num_envs))
        self._overflow.zero_()
        self._peak.zero_()

    def _allocate(self) -> None:
        settings, num_envs = self._settings, self.num_envs
        self._model = mujoco_warp.put_model(self.model)
        self._model.opt.warn_overflow = 0  # pop_warnings says it
        if settings.deterministic and settings.device.type == "cuda":
            self._model.opt.deterministic = int(mujoco_warp.DeterminismType.ALL)
        self._data = mujoco_warp.put_data(
            self.model, self._default_data(), nworld=num_envs, nconmax=settings.nconmax, njmax=settings.njmax
        )
        self._arrays = {name: warp.to_torch(getattr(self._data, name)) for name in CARRIED}
        self._qpos, self._qvel, self._ctrl = (self._arrays[name] for name in ("qpos", "qvel", "ctrl"))
        self._warm_start, self._overflow = self._arrays["qacc_warmstart"], self._arrays["overflow"]
        self._sensors = warp.to_torch(self._data.sensordata)
        # Of the character's bodies, then of the objects.
        self._forces = torch.zeros(num_envs, self.spec.num_bodies + len(self.scene.objects), 3, device=self.device)
        self._contact_force = self._forces[:, : self.spec.num_bodies]
        if self.model.nmocap:
            self._arrays.update(
                {name: warp.to_torch(getattr(self._data, name)) for name in ("mocap_pos", "mocap_quat")}
            )
        self._peak_array = warp.zeros(2, dtype=warp.int32)
        self._peak = warp.to_torch(self._peak_array)

    def _default_data(self) -> Any:
        data = mujoco.MjData(self.model)
        mujoco.mj_forward(self.model, data)
        return data

    def _captured(self) -> Any:
        """Record the physics steps of a control step as a CUDA graph; its modules are loaded before.

        On a separate stream: torch's default stream cannot be captured."""
        with warp.ScopedStream(warp.Stream(self._warp_device), sync_enter=True, sync_exit=True):
            self._advance()
            with warp.ScopedCapture() as capture:
                self._advance()
        warp.synchronize_device(self._warp_device)
        return capture.graph

    def _advance(self) -> None:
        for _ in range(self._decimation):
            mujoco_warp.step(self._model, self._data)
            warp.launch(
                _note_peak,
                dim=self.num_envs,
                inputs=[self._data.nefc, self._data.nacon, self._data.ncollision],
                outputs=[self._peak_array],
            )

    def step(self, pd_target: Tensor) -> None:
        self._ctrl.copy_(pd_target)
        if self._graph is None:
            with warp.ScopedDevice(self._warp_device):
                self._advance()
        else:
            stream = warp.stream_from_torch(torch.cuda.current_stream(self.device))
            warp.capture_launch(self._graph, stream=stream)
        # The sensor gives what the body does to the world; contact_force is what the world does to the body.
        torch.neg(self._sensors.view_as(self._forces), out=self._forces)

    def state(self) -> CharacterState:
        return self._layout.from_mujoco(self._qpos, self._qvel, self._contact_force)

    def set_state(self, env_ids: Tensor, state: CharacterState) -> None:
        self._qpos[:, : self._layout.nq].index_copy_(0, env_ids, self._layout.qpos(state).float())
        self._qvel[:, : self._layout.nv].index_copy_(0, env_ids, self._layout.qvel(state).float())
        self._warm_start.index_fill_(0, env_ids, 0.0)
        self._forces.index_fill_(0, env_ids, 0.0)

    def set_state_where(self, chosen: Tensor, state: CharacterState) -> None:
        rows = chosen.unsqueeze(-1)
        qpos, qvel = self._qpos[:, : self._layout.nq], self._qvel[:, : self._layout.nv]
        qpos.copy_(torch.where(rows, self._layout.qpos(state).float(), qpos))
        qvel.copy_(torch.where(rows, self._layout.qvel(state).float(), qvel))
        self._warm_start.masked_fill_(rows, 0.0)
        self._forces.masked_fill_(rows.unsqueeze(-1), 0.0)

    def object_state(self) -> ObjectState:
        return self._objects.read(self._arrays, self._forces[:, self.spec.num_bodies :])

    def set_object_state_where(self, chosen: Tensor, state: ObjectState) -> None:
        self._objects.write(self._arrays, chosen, state)

    def diverged(self) -> Tensor:
        # True for NaN too.
        return ~(self._qvel.abs().amax(-1) < MAX_SPEED)

    def parameters(self) -> Dict[str, Tensor]:
        return self._parameters.nominal

    def set_parameters(self, chosen: Tensor, values: Dict[str, Tensor]) -> None:
        with warp.ScopedDevice(self._warp_device), self._on_torch_stream():
            if not set(values) <= self._own:
                self._give_own_fields(values)
            self._parameters.write(self._fields.__getitem__, chosen, values)
            if "mass" in values:
                # Derived from masses, for all worlds, because counting the changed ones would wait for the GPU.
                mujoco_warp.set_const(self._model, self._data, restore=False)

    def _give_own_fields(self, names: Iterable[str]) -> None:
        """Give each world its own values of these parameters; shared values take less memory and time."""
        wanted = {field for name in names for field in FIELDS[name]}
        if "mass" in names:
            wanted.update(DERIVED_FROM_MASS)
        for field in wanted - set(self._fields):
            place, _, name = field.rpartition(".")
            owner = getattr(self._model, place) if place else self._model
            shared = getattr(owner, name)
            own: Any = warp.array(np.repeat(shared.numpy(), self.num_envs, axis=0), dtype=shared.dtype)
            setattr(owner, name, own)
            self._fields[field] = warp.to_torch(own)
        self._own.update(names)
        if self._graph is not None:
            state = self.get_full_state()
            self._graph = self._captured()
            self.set_full_state(state)

    def _on_torch_stream(self) -> Any:
        """Keep Warp's work in order with torch's."""
        if self.device.type == "cpu":
            return contextlib.nullcontext()
        return warp.ScopedStream(warp.stream_from_torch(torch.cuda.current_stream(self.device)))

    def pop_warnings(self) -> List[str]:
        """Return a line for each buffer that has become too small, once each."""
        found = _or_over(self._overflow.tolist())
        self._overflow.zero_()
        most_rows, most_contacts = self.peak()
        flags, lines = mujoco_warp.OverflowType, []
        if found & int(flags.NEFC):
            lines.append(_too_small("njmax", self._settings.njmax, most_rows, "constraint rows in a world"))
        if found & int(flags.BROADPHASE | flags.NARROWPHASE):
            a_world = -(-most_contacts // self.num_envs)
            lines.append(_too_small("nconmax", self._settings.nconmax, a_world, "contacts a world"))
        others = found & ~int(flags.NEFC | flags.BROADPHASE | flags.NARROWPHASE)
        if others:
            lines.append(f"MuJoCo Warp ran out of buffer space ({flags(others)}); physics is wrong there.")
        new = [line for line in lines if line.split("=")[0] not in self._warned]
        self._warned.update(line.split("=")[0] for line in new)
        return new

    def peak(self) -> "tuple[int, int]":
        """Return the most constraint rows in a world, and the most contacts over all worlds, since the start."""
        most_rows, most_contacts = self._peak.tolist()
        return most_rows, most_contacts

    def get_full_state(self) -> Dict[str, Tensor]:
        carried = dict(self._arrays, contact_force=self._forces)
        return {name: tensor.cpu().clone() for name, tensor in carried.items()}

    def set_full_state(self, full_state: Dict[str, Tensor]) -> None:
        for name, tensor in dict(self._arrays, contact_force=self._forces).items():
            tensor.copy_(full_state[name])


@warp.kernel
def _note_peak(
    nefc: warp.array(dtype=int),  # type: ignore
    nacon: warp.array(dtype=int),  # type: ignore
    ncollision: warp.array(dtype=int),  # type: ignore
    peak: warp.array(dtype=int),  # type: ignore
) -> None:
    world = warp.tid()
    warp.atomic_max(peak, 0, nefc[world])
    if world == 0:
        warp.atomic_max(peak, 1, warp.max(nacon[0], ncollision[0]))


def _or_over(flags: List[int]) -> int:
    union = 0
    for flag in set(flags):
        union |= flag
    return union


def _too_small(key: str, given: int, needed: Optional[int], what: str) -> str:
    return (
        f"sim.{key}={given} is too small: up to {needed} {what} were needed, and the excess was "
        "ignored in the physics. "
        f"Give sim.{key}={2 * max(needed or 0, given)}."
    )
