"""`HumanoidAMPObstacles`: run along a strip of gaps, steps and hurdles that is seen ahead (Peng et al. 2021, A).

The reward is that of `HumanoidAMPHeading` along the world's x axis at one speed. The policy sees the height of the
ground at 100 places over the next 10 m. Characters begin before the strip, where the clips do. Heights, in
observations and fall rules, are measured from the ground below the root; over a gap, from its edge.
"""

import math
from dataclasses import dataclass, field
from random import Random
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

import torch
from torch import Tensor

from amp_train.character import CharacterState
from amp_train.env.tasks.base import GoalTask, Marker, TaskSetup, check_choice, check_range, to_heading_frame
from amp_train.env.tasks.registry import register_task
from amp_train.errors import ConfigError
from amp_train.sim.scene import Scene, TerrainBox

SPEED_SCALE = 0.25  # s^2/m^2
SAMPLES, AHEAD_M = 100, 10.0
GRID_M = 0.01
BEHIND_M, DEPTH_M = 10.0, 2.0  # ground behind the origin; of the boxes
HURDLE_M = 0.1  # thickness


@dataclass
class ObstaclesSettings:
    """The strip; obstacles are drawn from the ranges."""

    reward: str = "paper"  # paper | code
    speed_m_s: float = 2.5
    seed: int = 1  # of the strip
    num: int = 16  # obstacles
    first_m: float = 6.0  # where they begin
    apart_m: List[float] = field(default_factory=lambda: [3.0, 5.0])  # ground between two obstacles
    gap_m: List[float] = field(default_factory=lambda: [0.2, 0.6])  # length
    step_m: List[float] = field(default_factory=lambda: [0.05, 0.2])  # height, up and after apart_m down again
    hurdle_m: List[float] = field(default_factory=lambda: [0.1, 0.3])  # height
    pit_m: float = 1.0  # depth of the gaps
    half_width_m: float = 5.0  # the pit lies beside it

    def __post_init__(self) -> None:
        check_choice("reward", self.reward, ("paper", "code"))
        for key in ("apart_m", "gap_m", "step_m", "hurdle_m"):
            check_range(key, getattr(self, key), least=0.0)
            if getattr(self, key)[1] > 100.0:
                raise ConfigError(f"task.goal.{key} must be at most 100 m, not {getattr(self, key)}.")
        if not 1 <= self.num <= 200 or not 4.0 <= self.first_m <= 100.0:
            raise ConfigError("task.goal.num must be from 1 to 200, and first_m 4 to 100 m: episodes start at 0.")


class Stretch(NamedTuple):
    """Ground from one x to another, m, and its height, m; -inf is a gap."""

    begin: float
    end: float
    height: float


def strip(settings: ObstaclesSettings) -> Iterator[Stretch]:
    """Draw the stretches of ground of a strip along x, one after another without overlap."""
    draw = Random(settings.seed)
    x = settings.first_m
    yield Stretch(-BEHIND_M, x, 0.0)
    for _ in range(settings.num):
        kind, ground_m = draw.choice(("gap", "step", "hurdle")), draw.uniform(*settings.apart_m)
        if kind == "step":
            length, height = draw.uniform(*settings.apart_m), draw.uniform(*settings.step_m)
        elif kind == "gap":
            length, height = draw.uniform(*settings.gap_m), -math.inf
        else:
            length, height = HURDLE_M, draw.uniform(*settings.hurdle_m)
        end = x + length
        yield Stretch(x, end, height)
        x = end + ground_m
        yield Stretch(end, x, 0.0)
    yield Stretch(x, x + 10.0 * AHEAD_M, 0.0)


@register_task("HumanoidAMPObstacles", ObstaclesSettings)
class Obstacles(GoalTask):
    """Goal: the direction in the heading frame, and the heights ahead, from the ground below the root."""

    goal_size = 2 + SAMPLES

    def __init__(self, settings: ObstaclesSettings, setup: TaskSetup) -> None:
        super().__init__(settings, setup)
        stretches = list(strip(settings))
        x = torch.arange(stretches[0].begin, stretches[-1].end, GRID_M)
        ends = torch.tensor([stretch.end for stretch in stretches])
        height = torch.tensor([stretch.height for stretch in stretches])
        self._height = (
            height[torch.bucketize(x, ends).clamp(max=len(ends) - 1)].clamp(min=-settings.pit_m).to(self.device)
        )
        self._ahead = torch.linspace(0.0, AHEAD_M, SAMPLES, device=self.device)
        self._direction = torch.tensor([1.0, 0.0], device=self.device).expand(self.num_envs, 2)
        self._begun_m = torch.zeros(self.num_envs, device=self.device)

    @classmethod
    def scene(cls, settings: Any) -> Scene:
        boxes = tuple(_box(stretch, settings.half_width_m) for stretch in strip(settings) if stretch.height > -math.inf)
        return Scene(terrain=boxes, floor_height=-settings.pit_m)

    def ground_height(self, state: CharacterState) -> Tensor:
        return self._height_at(state.root_pos[:, 0]).clamp(min=0.0)

    def _height_at(self, x: Tensor) -> Tensor:
        """Return the height (...,) m of the strip at x (...,) m."""
        return self._height[((x + BEHIND_M) / GRID_M).nan_to_num().long().clamp(0, len(self._height) - 1)]

    def begin(self, chosen: Tensor, state: CharacterState) -> None:
        super().begin(chosen, state)
        self._begun_m = torch.where(chosen, state.root_pos[:, 0], self._begun_m)

    def reward(self, state: CharacterState) -> Tensor:
        reward = torch.exp(-SPEED_SCALE * (self.settings.speed_m_s - self.centre_vel[:, 0]).square())
        return reward if self.settings.reward == "paper" else reward * (self.centre_vel[:, 0] > 0.0)

    def goal_obs(self, state: CharacterState) -> Tensor:
        x = state.root_pos[:, :1] + self._ahead
        seen = self._height_at(x) - self.ground_height(state).unsqueeze(-1)
        return torch.cat((to_heading_frame(state, self._direction), seen), dim=-1)

    def demo_goal(self, state: CharacterState) -> Tensor:
        """Return the direction along x, which the clips go, and level ground."""
        direction = to_heading_frame(state, self._direction[:1].expand(len(state), 2))
        return torch.cat((direction, torch.zeros(len(state), SAMPLES, device=self.device)), dim=-1)

    def metrics(self, state: CharacterState) -> Dict[str, Tensor]:
        """Return how far along the strip the character has come, and the error of its speed along it."""
        return {
            "distance_so_far_m": state.root_pos[:, 0] - self._begun_m,
            "speed_error_m_s": (self.settings.speed_m_s - self.centre_vel[:, 0]).abs(),
        }

    def markers(self) -> List[Marker]:
        zero = torch.zeros_like(self.centre[:, :1])
        ahead = torch.cat((self._direction * self.settings.speed_m_s, zero), dim=-1)
        return [Marker("arrow", self.centre, ahead)]


def _box(stretch: Stretch, half_width_m: float) -> TerrainBox:
    middle, half_length = 0.5 * (stretch.begin + stretch.end), 0.5 * (stretch.end - stretch.begin)
    centre: Tuple[float, float, float] = (middle, 0.0, stretch.height - 0.5 * DEPTH_M)
    return TerrainBox(centre, (half_length, half_width_m, 0.5 * DEPTH_M))
