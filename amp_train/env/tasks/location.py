"""`HumanoidAMPLocation`: go to a place on the ground (Peng et al. 2021, appendix A).

    r = 0.7 exp(-0.5 |x* - x|^2) + 0.3 exp(-max(0, v* - d* . v)^2)

x* is the place, x the root, d* the direction to the place from the centre of mass, v its horizontal velocity, and v* is
1 m/s. The author's code weighs 0.6 and 0.4, takes the velocity's squared error times 4 / v*^2, gives the full velocity
term within 0.5 m of the place, and none when moving away (`reward: code`).
"""

import math
from dataclasses import dataclass, field
from typing import Dict, List

import torch
from torch import Tensor

from amp_train.character import CharacterState
from amp_train.env.tasks.base import (
    PlaceTask,
    TaskSetup,
    check_choice,
    check_range,
    direction_and_distance,
    to_heading_frame,
    unit,
)
from amp_train.env.tasks.registry import register_task

POS_SCALE = 0.5  # 1/m^2


@dataclass
class LocationSettings:
    """How places are drawn."""

    reward: str = "paper"  # paper | code
    speed_m_s: float = 1.0  # v*; faster is as good
    distance_m: List[float] = field(default_factory=lambda: [0.0, 10.0])  # of a new place from the character
    interval_s: List[float] = field(default_factory=lambda: [5.0, 10.0])  # between two places
    lost_m: float = 15.0  # an episode fails beyond this
    reached_m: float = 0.5

    def __post_init__(self) -> None:
        check_choice("reward", self.reward, ("paper", "code"))
        check_range("distance_m", self.distance_m, least=0.0)
        check_range("interval_s", self.interval_s, least=0.0)


@register_task("HumanoidAMPLocation", LocationSettings)
class Location(PlaceTask):
    """Goal: the direction to the place in the heading frame, and the distance."""

    goal_size = 3
    failure = "place lost"

    def __init__(self, settings: LocationSettings, setup: TaskSetup) -> None:
        super().__init__(settings, setup)
        self._until_new_s = torch.zeros(self.num_envs, device=self.device)
        self._since_new_s = torch.zeros(self.num_envs, device=self.device)
        self._was_reached = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        self._is_first_reached = torch.zeros_like(self._was_reached)

    def begin(self, chosen: Tensor, state: CharacterState) -> None:
        super().begin(chosen, state)
        self._draw(chosen, state)

    def _draw(self, chosen: Tensor, state: CharacterState) -> None:
        """Set a new place where `chosen` (N,) bool, and the time that it stays."""
        offset = self.any_offset(self.settings.distance_m)
        free = (chosen & ~self.steered).unsqueeze(-1)
        self.place = torch.where(free, state.root_pos[:, :2] + offset, self.place)
        self._until_new_s = torch.where(chosen, self.uniform(*self.settings.interval_s), self._until_new_s)
        self._since_new_s = self._since_new_s.masked_fill(chosen, 0.0)
        self._was_reached = self._was_reached & ~chosen

    def step(self, state: CharacterState) -> None:
        super().step(state)
        self._until_new_s = self._until_new_s - self.control_dt_s
        self._since_new_s = self._since_new_s + self.control_dt_s
        is_there = self._distance(state) < self.settings.reached_m
        self._is_first_reached = is_there & ~self._was_reached
        self._was_reached = self._was_reached | is_there

    def _distance(self, state: CharacterState) -> Tensor:
        return (self.place - state.root_pos[:, :2]).norm(dim=-1)

    def reward(self, state: CharacterState) -> Tensor:
        distance = self._distance(state)
        near = torch.exp(-POS_SCALE * distance.square())
        to_place = self.place - self.centre[:, :2]
        towards = (unit(to_place) * self.centre_vel).sum(-1)
        too_slow = (self.settings.speed_m_s - towards).clamp(min=0.0)
        if self.settings.reward == "paper":
            return 0.7 * near + 0.3 * torch.exp(-too_slow.square())
        moving = torch.exp(-4.0 / self.settings.speed_m_s**2 * too_slow.square()) * (towards >= 0.0)
        return 0.6 * near + 0.4 * torch.where(distance < self.settings.reached_m, torch.ones_like(moving), moving)

    def failed(self, state: CharacterState) -> Tensor:
        return self._distance(state) > self.settings.lost_m

    def change_goals(self, state: CharacterState) -> None:
        self._draw(self._until_new_s <= 0.0, state)

    def goal_obs(self, state: CharacterState) -> Tensor:
        return direction_and_distance(to_heading_frame(state, self.place - state.root_pos[:, :2]))

    def demo_goal(self, state: CharacterState) -> Tensor:
        """Return places in the clips' direction, at any distance."""
        seen = direction_and_distance(to_heading_frame(state, state.root_vel[:, :2]))
        low, high = self.settings.distance_m
        return torch.cat((seen[:, :2], self.uniform(low, high, len(seen)).unsqueeze(-1)), dim=-1)

    def metrics(self, state: CharacterState) -> Dict[str, Tensor]:
        """Return the distance, when a place is left whether it was reached, and when one is reached after how long."""
        nothing = torch.full_like(self._since_new_s, math.nan)
        leaving = self._until_new_s <= 0.0
        return {
            "distance_m": self._distance(state),
            "reached_share": torch.where(leaving, self._was_reached.to(nothing.dtype), nothing),
            "time_to_reach_s": torch.where(self._is_first_reached, self._since_new_s, nothing),
        }

    def _steer(self, values: Dict[str, float]) -> None:
        super()._steer(values)
        self._since_new_s, self._was_reached = torch.zeros_like(self._since_new_s), self._was_reached & False
