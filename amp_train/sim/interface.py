"""The interface of simulator backends: N copies of one character on a floor, driven by PD targets.

The environment above knows only this; a backend knows nothing of rewards, resets or motion clips."""

from abc import ABC, abstractmethod
from typing import Dict, List

import torch
from torch import Tensor

from amp_train.character import CharacterSpec, CharacterState
from amp_train.sim.scene import ObjectState, Scene


class Simulator(ABC):
    """N independent worlds with one character each.

    Attributes:
        spec: the character.
        num_envs: N.
        device: of `state()` and PD targets.
        physics_dt_s, control_dt_s: control_dt_s = decimation * physics_dt_s.
        scene: objects and terrain.
        masked_resets: whether `set_state_where` is faster, because counting rows would wait for a GPU.
    """

    spec: CharacterSpec
    num_envs: int
    device: torch.device
    physics_dt_s: float
    control_dt_s: float
    scene: Scene = Scene()
    masked_resets: bool = False

    @abstractmethod
    def step(self, pd_target: Tensor) -> None:
        """Advance every world by control_dt_s with constant PD targets (N, num_dofs), rad."""

    @abstractmethod
    def state(self) -> CharacterState:
        """Return the current state of all worlds. Positions and velocities are of the new instant; contact_force
        (N, num_bodies, 3) is that of the last physics step. The tensors are the caller's to read until the next
        `step` or `set_state`."""

    @abstractmethod
    def set_state(self, env_ids: Tensor, state: CharacterState) -> None:
        """Set worlds `env_ids` (K,) long to the K given states, without memory: no warm start, no old contact
        force."""

    def set_state_where(self, chosen: Tensor, state: CharacterState) -> None:
        """Set the worlds `chosen` (N,) bool to their rows of N states, like `set_state`."""
        env_ids = chosen.nonzero().squeeze(-1)
        self.set_state(env_ids, state[env_ids])

    def object_state(self) -> ObjectState:
        """Return the state of the scene's objects in all worlds, like `state` for the characters."""
        raise NotImplementedError(f"{type(self).__name__} supports no objects besides the character")

    def set_object_state(self, env_ids: Tensor, state: ObjectState) -> None:
        """Set the objects of worlds `env_ids` (K,) long to the K given states. `set_state` does not move objects."""
        chosen = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device).index_fill_(0, env_ids, True)
        everyone = self.object_state()
        for name in ("pos", "rot", "vel", "ang_vel"):
            getattr(everyone, name).index_copy_(0, env_ids, getattr(state, name))
        self.set_object_state_where(chosen, everyone)

    def set_object_state_where(self, chosen: Tensor, state: ObjectState) -> None:
        """Set the objects of the worlds `chosen` (N,) bool to their rows of N states, like `set_object_state`."""
        raise NotImplementedError(f"{type(self).__name__} supports no objects besides the character")

    @abstractmethod
    def diverged(self) -> Tensor:
        """Return (N,) bool: worlds whose velocities are not finite or beyond anything physical. They need
        `set_state` before they continue."""

    @abstractmethod
    def get_full_state(self) -> "dict[str, Tensor]":
        """Return everything a bit-identical continuation needs, as plain CPU tensors."""

    @abstractmethod
    def set_full_state(self, full_state: "dict[str, Tensor]") -> None:
        """Continue from `get_full_state`."""

    def parameters(self) -> "Dict[str, Tensor]":
        """Return the physical parameters that can differ between worlds, with the values of the character's file.

        Returns:
            Any of: `gravity` (3,) m/s^2; `mass` (num_bodies,) kg, rotational inertia is scaled with it; `friction`
            (num_geoms,), sliding coefficient of each colliding geom on the floor; `stiffness` and `damping`
            (num_dofs,), PD gains; `lower` and `upper` (num_dofs,) rad, for limited hinges. Empty if the
            backend supports none.
        """
        return {}

    def set_parameters(self, chosen: Tensor, values: "Dict[str, Tensor]") -> None:
        """Set parameters of the worlds `chosen` (N,) bool: for each name of `parameters`, one row per world
        (N, size); rows of other worlds are not read. They persist until they are set again, across resets."""
        raise NotImplementedError(f"{type(self).__name__} has no parameters per world")

    def pop_warnings(self) -> "List[str]":
        """Return a line for each problem since the last call that does not end the simulation, such as a buffer that
        was too small. Call it once an iteration: it may wait for the device."""
        return []

    def close(self) -> None:  # noqa: B027 (a backend without resources need not override it)
        """Release threads and device memory."""
