"""`sim=isaacgym`: NVIDIA's Isaac Gym (PhysX) through its tensor API. It has not been run on NVIDIA's binary; it is
checked against the signatures of `isaacgym-stubs`, and run on a stand-in for Isaac Gym in `tests/doubles`.

`amp_train.isaacgym_first` must have imported the vendor's package before torch was."""

from typing import Dict, List, Optional

import torch
from isaacgym import gymapi, gymtorch
from torch import Tensor

from amp_train.character import CharacterSpec, CharacterState, Kinematics
from amp_train.errors import ConfigError
from amp_train.sim.interface import Simulator
from amp_train.sim.isaacgym_scene import (
    IsaacGymSettings,
    add_floor,
    create_characters,
    create_sim,
    load_asset,
)
from amp_train.sim.isaacgym_window import Window

MAX_SPEED = 1e3  # m/s and rad/s, as for sim=mujoco
POS, ROT, VEL, ANG_VEL = slice(0, 3), slice(3, 7), slice(7, 10), slice(10, 13)  # in a row of 13, as Isaac Gym has it


class IsaacGymSimulator(Simulator):
    """N worlds in one PhysX scene, whose state is read from and written to Isaac Gym's own buffers.

    `state` shows these buffers: root rows (N, 13), dofs (N, num_dofs, 2), bodies (N, num_bodies, 13). They change when
    they are refreshed, once a control step. `set_state` writes its rows into the buffers, including bodies and contact
    forces, which PhysX itself would only update after the next step; the simulation receives them in one call at the
    beginning of that step, because every indexed setter may be called only once a step.
    """

    _alive: Optional["IsaacGymSimulator"] = None

    def __init__(
        self,
        spec: CharacterSpec,
        num_envs: int,
        control_dt_s: float,
        decimation: int,
        substeps: int,
        settings: IsaacGymSettings,
    ) -> None:
        """Build the worlds in the character's default pose.

        Args:
            spec: the character.
            num_envs: number of worlds.
            control_dt_s: s between two calls of `step`.
            decimation: steps of PhysX in a control step.
            substeps: of these, the steps in one call of `simulate`.
            settings: where and how.

        Raises:
            ConfigError: decimation is not a multiple of substeps, or Isaac Gym cannot start or is already running.
            CharacterError: Isaac Gym reads the character differently.
        """
        if decimation % substeps:
            raise ConfigError(
                f"sim.decimation={decimation} must be a multiple of sim.substeps={substeps}, "
                "Isaac Gym's steps per call."
            )
        if IsaacGymSimulator._alive is not None:
            raise ConfigError("Isaac Gym allows one simulation per process, and one is running: close it first.")
        self.spec, self.num_envs, self.device = spec, num_envs, settings.state_device
        self.control_dt_s, self.physics_dt_s = control_dt_s, control_dt_s / decimation
        self._num_calls, self._kinematics = decimation // substeps, Kinematics(spec, self.device)
        self._gym = gymapi.acquire_gym()
        self._sim = create_sim(self._gym, substeps * self.physics_dt_s, substeps, num_envs, settings)
        IsaacGymSimulator._alive = self
        self._window: Optional[Window] = None
        try:
            self._build(settings.headless)
        except BaseException:
            self.close()
            raise

    def _build(self, headless: bool) -> None:
        gym, sim = self._gym, self._sim
        add_floor(gym, sim)
        envs = create_characters(gym, sim, load_asset(gym, sim, self.spec), self.spec, self.num_envs)
        if not gym.prepare_sim(sim):
            raise ConfigError(f"Isaac Gym could not allocate its buffers for num_envs={self.num_envs}; try fewer.")
        self._acquire_buffers()
        # Isaac Gym keeps the address, so this tensor must not move.
        self._pd_target = torch.zeros(self.num_envs, self.spec.num_dofs, device=self.device)
        self._pending: List[Tensor] = []
        self._indices = torch.zeros(0, dtype=torch.int32, device=self.device)
        self._joint_rot = self._kinematics.joint_rot(self._dof_pos)
        everyone = torch.arange(self.num_envs, device=self.device)
        self.set_state(everyone, self._kinematics.default_state(self.num_envs))
        if not headless:
            self._window = Window(gym, sim, envs[0])

    def _acquire_buffers(self) -> None:
        gym, sim, num_envs, spec = self._gym, self._sim, self.num_envs, self.spec
        self._root_state = gymtorch.wrap_tensor(gym.acquire_actor_root_state_tensor(sim)).view(num_envs, 13)
        self._dof_state = gymtorch.wrap_tensor(gym.acquire_dof_state_tensor(sim)).view(num_envs, spec.num_dofs, 2)
        self._dof_pos, self._dof_vel = self._dof_state[..., 0], self._dof_state[..., 1]
        bodies = gymtorch.wrap_tensor(gym.acquire_rigid_body_state_tensor(sim))
        self._body_state = bodies.view(num_envs, spec.num_bodies, 13)
        forces = gymtorch.wrap_tensor(gym.acquire_net_contact_force_tensor(sim))
        self._contact_force = forces.view(num_envs, spec.num_bodies, 3)
        self._refresh()

    def step(self, pd_target: Tensor) -> None:
        self._apply_pending()
        self._pd_target.copy_(pd_target)
        self._gym.set_dof_position_target_tensor(self._sim, gymtorch.unwrap_tensor(self._pd_target))
        for _ in range(self._num_calls):
            self._gym.simulate(self._sim)
            if self.device.type == "cpu":
                self._gym.fetch_results(self._sim, True)
        self._refresh()
        self._joint_rot = self._kinematics.joint_rot(self._dof_pos)
        if self._window is not None:
            if self.device.type != "cpu":
                self._gym.fetch_results(self._sim, True)
            self._window.draw(self._root_state[0, POS])

    def state(self) -> CharacterState:
        root, bodies = self._root_state, self._body_state
        return CharacterState(
            root_pos=root[:, POS],
            root_rot=root[:, ROT],
            root_vel=root[:, VEL],
            root_ang_vel=root[:, ANG_VEL],
            dof_pos=self._dof_pos,
            dof_vel=self._dof_vel,
            joint_rot=self._joint_rot,
            body_pos=bodies[..., POS],
            body_rot=bodies[..., ROT],
            contact_force=self._contact_force,
        )

    def set_state(self, env_ids: Tensor, state: CharacterState) -> None:
        if not len(env_ids):
            return
        root = (state.root_pos, state.root_rot, state.root_vel, state.root_ang_vel)
        self._root_state[env_ids] = torch.cat(root, dim=-1)
        self._dof_state[env_ids] = torch.stack((state.dof_pos, state.dof_vel), dim=-1)
        self._joint_rot = self._joint_rot.index_copy(0, env_ids, state.joint_rot)
        body_pos, body_rot = self._kinematics.forward(state.root_pos, state.root_rot, state.joint_rot)
        self._body_state[env_ids] = torch.cat((body_pos, body_rot, torch.zeros_like(body_pos).repeat(1, 1, 2)), dim=-1)
        self._contact_force[env_ids] = 0.0
        self._pending.append(env_ids)

    def diverged(self) -> Tensor:
        # True for NaN too.
        root_speed, dof_speed = self._root_state[:, VEL.start :].abs().amax(-1), self._dof_vel.abs().amax(-1)
        return ~((root_speed < MAX_SPEED) & (dof_speed < MAX_SPEED))

    def get_full_state(self) -> Dict[str, Tensor]:
        """Return the buffers. PhysX's other memory (contacts of the last step as a warm start) cannot be read, so on
        NVIDIA's binary a resumed training is close, not bit-identical."""
        return {name: buffer.cpu().clone() for name, buffer in self._buffers().items()}

    def set_full_state(self, full_state: Dict[str, Tensor]) -> None:
        for name, buffer in self._buffers().items():
            buffer.copy_(full_state[name])
        self._joint_rot = self._kinematics.joint_rot(self._dof_pos)
        self._pending = [torch.arange(self.num_envs, device=self.device)]

    def close(self) -> None:
        if IsaacGymSimulator._alive is not self:
            return
        if self._window is not None:
            self._window.close()
        self._gym.destroy_sim(self._sim)
        IsaacGymSimulator._alive = None

    def _buffers(self) -> Dict[str, Tensor]:
        return {
            "root_state": self._root_state,
            "dof_state": self._dof_state,
            "body_state": self._body_state,
            "contact_force": self._contact_force,
        }

    def _apply_pending(self) -> None:
        """Pass the rows that were set since the last step to the simulation."""
        if not self._pending:
            return
        env_ids = self._pending[0] if len(self._pending) == 1 else torch.cat(self._pending).unique()
        # An attribute, because Isaac Gym reads it while it simulates.
        self._indices = env_ids.to(torch.int32).contiguous()
        indices, count = gymtorch.unwrap_tensor(self._indices), len(self._indices)
        root_state, dof_state = gymtorch.unwrap_tensor(self._root_state), gymtorch.unwrap_tensor(self._dof_state)
        self._gym.set_actor_root_state_tensor_indexed(self._sim, root_state, indices, count)
        self._gym.set_dof_state_tensor_indexed(self._sim, dof_state, indices, count)
        self._pending.clear()

    def _refresh(self) -> None:
        """Let Isaac Gym write the current state into the buffers."""
        self._gym.refresh_actor_root_state_tensor(self._sim)
        self._gym.refresh_dof_state_tensor(self._sim)
        self._gym.refresh_rigid_body_state_tensor(self._sim)
        self._gym.refresh_net_contact_force_tensor(self._sim)
