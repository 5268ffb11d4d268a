"""`HumanoidAMPHeading`: move in a given direction at a given speed, both of which change (Peng et al. 2021, A).

    r = exp(-0.25 (v* - d* . v)^2)

d* is the direction, v* the speed, v the horizontal velocity of the centre of mass over the control step. The author's
code gives 0 when moving away from the direction (`reward: code`); the paper does not (`reward: paper`).
"""

import math
from dataclasses import dataclass, field
from typing import Dict, List

import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterState
from amp_train.env.tasks.base import (
    GoalTask,
    Marker,
    TaskSetup,
    check_choice,
    check_range,
    direction_of,
    to_heading_frame,
)
from amp_train.env.tasks.registry import register_task

SPEED_SCALE = 0.25  # s^2/m^2
ARROW_HEIGHT_M = 0.9


@dataclass
class HeadingSettings:
    """How goals are drawn. The probabilities are those of each small turn."""

    reward: str = "paper"  # paper | code
    speed_m_s: List[float] = field(default_factory=lambda: [1.0, 5.0])  # least and largest
    first_turn_rad: float = math.pi  # largest angle between the first direction and the character's own
    interval_s: List[float] = field(default_factory=lambda: [0.2, 0.5])  # between two small turns
    turn_std_rad: float = 0.15  # of a small turn
    sharp_turn_prob: float = 0.01  # any other direction instead
    new_speed_prob: float = 0.02  # a new speed with it

    def __post_init__(self) -> None:
        check_choice("reward", self.reward, ("paper", "code"))
        check_range("speed_m_s", self.speed_m_s, least=0.0)
        check_range("interval_s", self.interval_s, least=0.0)


@register_task("HumanoidAMPHeading", HeadingSettings)
class Heading(GoalTask):
    """Goal: the direction in the heading frame, and the speed."""

    goal_size = 3

    def __init__(self, settings: HeadingSettings, setup: TaskSetup) -> None:
        super().__init__(settings, setup)
        self.controls = {"heading_deg": (-360.0, 360.0), "speed_m_s": (settings.speed_m_s[0], settings.speed_m_s[1])}
        zero = torch.zeros(self.num_envs, device=self.device)
        self.heading, self.speed, self._until_turn_s = zero, zero.clone(), zero.clone()
        self.steered = torch.zeros((), dtype=torch.bool, device=self.device)

    def begin(self, chosen: Tensor, state: CharacterState) -> None:
        super().begin(chosen, state)
        turn = self.uniform(-self.settings.first_turn_rad, self.settings.first_turn_rad)
        free = chosen & ~self.steered
        self.heading = torch.where(free, rotations.heading(state.root_rot) + turn, self.heading)
        self.speed = torch.where(free, self.uniform(*self.settings.speed_m_s), self.speed)
        self._until_turn_s = torch.where(chosen, self.uniform(*self.settings.interval_s), self._until_turn_s)

    def step(self, state: CharacterState) -> None:
        super().step(state)
        self._until_turn_s = self._until_turn_s - self.control_dt_s

    def reward(self, state: CharacterState) -> Tensor:
        speed = self._speed_along()
        reward = torch.exp(-SPEED_SCALE * (self.speed - speed).square())
        return reward if self.settings.reward == "paper" else reward * (speed > 0.0)

    def _speed_along(self) -> Tensor:
        """Return how fast (N,) m/s the characters move in their directions."""
        return (direction_of(self.heading) * self.centre_vel).sum(-1)

    def change_goals(self, state: CharacterState) -> None:
        settings = self.settings
        small, sharp = self.normal(settings.turn_std_rad), self.uniform(-math.pi, math.pi)
        is_sharp, is_new_speed = self.uniform(0.0, 1.0), self.uniform(0.0, 1.0)
        new_speed, interval_s = self.uniform(*settings.speed_m_s), self.uniform(*settings.interval_s)
        due = self._until_turn_s <= 0.0
        free = due & ~self.steered
        turn = torch.where(is_sharp < settings.sharp_turn_prob, sharp, small)
        self.heading = torch.where(free, self.heading + turn, self.heading)
        self.speed = torch.where(free & (is_new_speed < settings.new_speed_prob), new_speed, self.speed)
        self._until_turn_s = torch.where(due, interval_s, self._until_turn_s)

    def goal_obs(self, state: CharacterState) -> Tensor:
        direction = to_heading_frame(state, direction_of(self.heading))
        return torch.cat((direction, self.speed.unsqueeze(-1)), dim=-1)

    def demo_goal(self, state: CharacterState) -> Tensor:
        """Return the clips' direction and speed; a clip that stands has speed 0 straight ahead."""
        velocity = to_heading_frame(state, state.root_vel[:, :2])
        speed = velocity.norm(dim=-1, keepdim=True)
        ahead = torch.zeros_like(velocity)
        ahead[:, 0] = 1.0
        return torch.cat((torch.where(speed > 0.1, velocity / speed.clamp(min=0.1), ahead), speed), dim=-1)

    def metrics(self, state: CharacterState) -> Dict[str, Tensor]:
        """Return the error of the speed, and of the direction in which the character moves."""
        velocity = self.centre_vel
        moved = torch.atan2(velocity[:, 1], velocity[:, 0])
        off = torch.remainder(moved - self.heading + math.pi, 2 * math.pi) - math.pi
        return {
            "speed_error_m_s": (self.speed - velocity.norm(dim=-1)).abs(),
            "heading_error_deg": off.abs() * (180.0 / math.pi),
        }

    def markers(self) -> List[Marker]:
        direction = direction_of(self.heading) * self.speed.unsqueeze(-1)
        pos, flat = self.centre[:, :2], torch.zeros_like(self.speed).unsqueeze(-1)
        return [Marker("arrow", torch.cat((pos, flat + ARROW_HEIGHT_M), -1), torch.cat((direction, flat), -1))]

    def _steer(self, values: Dict[str, float]) -> None:
        """Take `heading_deg`, counter-clockwise from the world's x axis, and `speed_m_s`."""
        self.steered = torch.ones_like(self.steered)
        if "heading_deg" in values:
            self.heading = torch.full_like(self.heading, math.radians(values["heading_deg"]))
        if "speed_m_s" in values:
            self.speed = torch.full_like(self.speed, values["speed_m_s"])
