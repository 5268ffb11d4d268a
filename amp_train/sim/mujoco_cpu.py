"""`sim=mujoco`: MuJoCo on the CPU, all worlds stepped by MuJoCo's own thread pool (`mujoco.batch`, MuJoCo >= 3.17)."""

import os
from typing import Any, Dict

import torch
from torch import Tensor

from amp_train.character import CharacterSpec, CharacterState
from amp_train.errors import MissingPackageError
from amp_train.sim.interface import Simulator
from amp_train.sim.mujoco_state import MujocoState


class MujocoSimulator(Simulator):
    """N MjData kept by one `mujoco.batch.Batch`; its bound arrays are read in place, nothing is packed or copied twice."""

    def __init__(
        self,
        spec: CharacterSpec,
        num_envs: int,
        control_dt_s: float,
        decimation: int,
        num_threads: int = 0,
    ) -> None:
        """Build the worlds in the character's default pose.

        Args:
            spec: the character; its MJCF file is compiled with a contact sensor per body.
            num_envs: number of worlds.
            control_dt_s: s between two calls of `step`.
            decimation: physics steps per control step.
            num_threads: threads of the pool; 0 takes every core this process may use.
        """
        mujoco, batch = _import_mujoco()
        self.spec, self.num_envs, self.device = spec, num_envs, torch.device("cpu")
        self.control_dt_s, self.physics_dt_s = control_dt_s, control_dt_s / decimation
        self.num_threads = num_threads or available_cores()
        self.model = compile_model(spec, self.physics_dt_s)
        self._decimation, self._layout = decimation, MujocoState(spec)
        self._stage_vel, self._stage_none = mujoco.mjtStage.mjSTAGE_VEL, mujoco.mjtStage.mjSTAGE_NONE
        self._batch = batch.Batch(self.model, num_envs, self.num_threads, persistent=True)
        self._full_state = torch.from_numpy(self._batch.state)
        self._qpos, self._qvel, self._ctrl = (torch.from_numpy(self._batch.bind(n)) for n in ("qpos", "qvel", "ctrl"))
        self._xpos, self._contact = self._batch.bind("xpos"), self._batch.bind("sensordata")
        everyone = torch.arange(num_envs)
        self.set_state(everyone, self._layout.kinematics.default_state(num_envs))

    def step(self, pd_target: Tensor) -> None:
        self._ctrl.copy_(pd_target)
        self._batch.step(nstep=self._decimation, stage=self._stage_vel)

    def state(self) -> CharacterState:
        body_pos = torch.tensor(self._xpos[:, 1:], dtype=torch.float32)
        pushes = torch.tensor(self._contact, dtype=torch.float32).view(self.num_envs, self.spec.num_bodies, 3)
        # The sensor gives what the body does to the world; contact_force is what the world does to the body.
        return self._layout.from_mujoco(self._qpos, self._qvel, body_pos, pushes.neg_())

    def set_state(self, env_ids: Tensor, state: CharacterState) -> None:
        ids = env_ids.numpy()
        self._batch.reset(ids, stage=self._stage_none)
        self._qpos[env_ids] = self._layout.qpos(state)
        self._qvel[env_ids] = self._layout.qvel(state)
        self._batch.forward(ids, stage=self._stage_vel)

    def diverged(self) -> Tensor:
        return ~torch.isfinite(self._qvel.sum(-1) + self._qpos.sum(-1))

    def get_full_state(self) -> Dict[str, Tensor]:
        return {"integration_state": self._full_state.clone()}

    def set_full_state(self, full_state: Dict[str, Tensor]) -> None:
        self._full_state.copy_(full_state["integration_state"])
        self._batch.forward(stage=self._stage_vel)


def available_cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compile_model(spec: CharacterSpec, physics_dt_s: float) -> Any:
    """Compile the character's MJCF for simulation: physics step set, one net contact force sensor per body (N, world frame),
    and no silent reset of a diverged world."""
    import mujoco

    mjcf = mujoco.MjSpec.from_file(spec.mjcf_path)
    for body in spec.body_names:
        sensor = mjcf.add_sensor()
        sensor.name, sensor.type = "contact_force_" + body, mujoco.mjtSensor.mjSENS_CONTACT
        sensor.objtype, sensor.objname = mujoco.mjtObj.mjOBJ_BODY, body
        force_field, net_force, one = 1 << int(mujoco.mjtConDataField.mjCONDATA_FORCE), 3, 1
        sensor.intprm[:3] = [force_field, net_force, one]
    model = mjcf.compile()
    model.opt.timestep = physics_dt_s
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
    return model


def _import_mujoco() -> Any:
    try:
        import mujoco
        from mujoco import batch
    except ImportError as error:
        raise MissingPackageError(
            "sim=mujoco needs MuJoCo 3.17 or newer (Python 3.10 or newer): pip install 'mujoco>=3.17'."
        ) from error
    return mujoco, batch
