"""A simulator whose characters stay as they were set, for tests of what is made of states."""

from typing import Any, Dict, Optional

import torch
from torch import Tensor

from amp_train.character import CharacterSpec, CharacterState, Kinematics
from amp_train.sim import Simulator
from amp_train.sim.scene import ObjectState, Scene

OBJECT = ("pos", "rot", "vel", "ang_vel")


class StillSimulator(Simulator):
    """Characters that stay as they were set, by operations that a GPU does by itself."""

    def __init__(self, spec: CharacterSpec, num_envs: int, masked: bool = True, scene: Optional[Scene] = None) -> None:
        self.spec, self.num_envs, self.device, self.masked_resets = spec, num_envs, torch.device("cpu"), masked
        self.physics_dt_s, self.control_dt_s = 1.0 / 120.0, 1.0 / 30.0
        self.scene = scene or Scene()
        self.objects = ObjectState.default(self.scene, num_envs)
        self._state = Kinematics(spec).default_state(num_envs)
        self._state.contact_force = torch.zeros(num_envs, spec.num_bodies, 3)

    def step(self, pd_target: Tensor) -> None:
        pass

    def state(self) -> CharacterState:
        return self._state

    def set_state(self, env_ids: Tensor, state: CharacterState) -> None:
        for name, rows in state.tensors().items():
            setattr(self._state, name, getattr(self._state, name).index_copy(0, env_ids, rows))

    def set_state_where(self, chosen: Tensor, state: CharacterState) -> None:
        for name, rows in state.tensors().items():
            mask = chosen.view((-1,) + (1,) * (rows.dim() - 1))
            setattr(self._state, name, torch.where(mask, rows, getattr(self._state, name)))

    def object_state(self) -> ObjectState:
        return self.objects

    def set_object_state_where(self, chosen: Tensor, state: ObjectState) -> None:
        before, mask = self.objects, chosen.view(-1, 1, 1)
        self.objects = ObjectState(*(torch.where(mask, getattr(state, n), getattr(before, n)) for n in OBJECT))

    def diverged(self) -> Tensor:
        return self._state.dof_vel.isnan().any(-1)

    def get_full_state(self) -> Dict[str, Any]:
        return {}

    def set_full_state(self, full_state: Dict[str, Any]) -> None:
        pass

    def parameters(self) -> Dict[str, Tensor]:
        return {"mass": self.spec.body_mass, "lower": self.spec.dof_lower, "upper": self.spec.dof_upper}

    def set_parameters(self, chosen: Tensor, values: Dict[str, Tensor]) -> None:
        pass
