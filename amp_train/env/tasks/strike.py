"""`HumanoidAMPStrike`: go to a target in the air and strike it with a hand (Peng et al. 2021, appendix A).

    r = 1 once it is hit, else 0.3 + 0.3 r_near within 1.4 m of it, else 0.3 r_far
    r_near = 0.2 exp(-2 |x* - x_hand|^2) + 0.8 clip(d* . v_hand / 1.5 m/s, 0, 1)
    r_far  = 0.7 exp(-0.5 max(0, e - 1.4 m)^2) + 0.3 exp(-4 max(0, 1 m/s - d* . v)^2)

It is hit by a hand within 0.2 m of it that moves towards it at 1.5 m/s or more. e is the root's horizontal distance, d*
the horizontal direction to the target: from the root for the hand, from the centre of mass for its velocity v. The
author's code squares the clip and drops the last term when moving away (`reward: code`). The target is a place, not a
body, as in that code: bodies pass through it, and touching it with the trunk is a failure.
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
    direction_and_distance,
    direction_of,
    to_heading_frame,
    unit,
)
from amp_train.env.tasks.registry import register_task

IN_TIME_S = 10.0  # a target that is hit later counts as missed; a walk to the farthest takes 8 s
HAND_SCALE, POS_SCALE = 2.0, 0.5  # 1/m^2


@dataclass
class StrikeSettings:
    """Settings of targets and hits."""

    reward: str = "paper"  # paper | code
    hands: List[str] = field(default_factory=lambda: ["right_hand"])  # bodies that strike
    trunk: List[str] = field(default_factory=lambda: ["pelvis", "torso", "head"])  # bodies that must not touch it
    speed_m_s: float = 1.0  # target speed on the way; faster is as good
    hit_speed_m_s: float = 1.5
    radius_m: float = 0.2  # within which it is touched
    near_m: float = 1.4  # within which it is for the hand
    height_m: List[float] = field(default_factory=lambda: [1.2, 1.4])
    near_distance_m: List[float] = field(default_factory=lambda: [0.6, 1.1])  # of a near target from the character
    near_angle_rad: float = 0.5  # to either side of where it faces
    far_prob: float = 0.4  # of a target in any direction ...
    far_distance_m: List[float] = field(default_factory=lambda: [0.6, 10.0])  # ... and as far as this
    hit_before_prob: float = 0.1  # of an episode that begins after a hit
    after_hit_s: float = 2.0  # how long the policy observes its hit
    again: bool = True  # a new target then; false, as in the paper: the episode stays hit
    lost_m: float = 15.0

    def __post_init__(self) -> None:
        check_choice("reward", self.reward, ("paper", "code"))
        for key in ("height_m", "near_distance_m", "far_distance_m"):
            check_range(key, getattr(self, key), least=0.0)


@register_task("HumanoidAMPStrike", StrikeSettings)
class Strike(GoalTask):
    """Goal: direction (2, heading frame) and horizontal distance of the target, its height above the ground, and how
    long ago it was hit, 0 to 1."""

    goal_size = 5
    failure = "target touched or lost"
    controls = {"x_m": (-1000.0, 1000.0), "y_m": (-1000.0, 1000.0), "z_m": (0.0, 3.0)}

    def __init__(self, settings: StrikeSettings, setup: TaskSetup) -> None:
        super().__init__(settings, setup)
        self._hands, self._trunk = (list(self.spec.body_ids(list(names))) for names in (settings.hands, settings.trunk))
        self.target = torch.zeros(self.num_envs, 3, device=self.device)
        self.is_hit = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        self._is_first_hit = torch.zeros_like(self.is_hit)
        self._since_hit_s = torch.zeros(self.num_envs, device=self.device)
        self._since_new_s = torch.zeros(self.num_envs, device=self.device)
        self._hand_pos = torch.zeros(self.num_envs, len(self._hands), 3, device=self.device)
        self._hand_vel = torch.zeros_like(self._hand_pos)

    def begin(self, chosen: Tensor, state: CharacterState) -> None:
        super().begin(chosen, state)
        self._draw(chosen, state)
        before = chosen & (self.uniform(0.0, 1.0) < self.settings.hit_before_prob)
        since_s = self.uniform(0.0, self.settings.after_hit_s)
        self.is_hit = self.is_hit | before
        self._since_hit_s = torch.where(before, since_s, self._since_hit_s)
        mask = chosen.view(-1, 1, 1)
        self._hand_pos = torch.where(mask, state.body_pos[:, self._hands], self._hand_pos)
        self._hand_vel = self._hand_vel.masked_fill(mask, 0.0)

    def _draw(self, chosen: Tensor, state: CharacterState) -> None:
        """Set a new target where `chosen` (N,) bool."""
        settings = self.settings
        is_far = self.uniform(0.0, 1.0) < settings.far_prob
        near_angle = rotations.heading(state.root_rot) + self.uniform(-settings.near_angle_rad, settings.near_angle_rad)
        angle = torch.where(is_far, self.uniform(-math.pi, math.pi), near_angle)
        near_m, far_m = self.uniform(*settings.near_distance_m), self.uniform(*settings.far_distance_m)
        place = state.root_pos[:, :2] + direction_of(angle) * torch.where(is_far, far_m, near_m).unsqueeze(-1)
        target = torch.cat((place, self.uniform(*settings.height_m).unsqueeze(-1)), dim=-1)
        self.target = torch.where(chosen.unsqueeze(-1), target, self.target)
        self._start(chosen)

    def _start(self, chosen: Tensor) -> None:
        self.is_hit = self.is_hit & ~chosen
        self._since_hit_s = self._since_hit_s.masked_fill(chosen, 0.0)
        self._since_new_s = self._since_new_s.masked_fill(chosen, 0.0)

    def step(self, state: CharacterState) -> None:
        super().step(state)
        hand_pos = state.body_pos[:, self._hands]
        self._hand_vel, self._hand_pos = (hand_pos - self._hand_pos) / self.control_dt_s, hand_pos
        self._since_new_s = self._since_new_s + self.control_dt_s
        self._since_hit_s = torch.where(self.is_hit, self._since_hit_s + self.control_dt_s, self._since_hit_s)
        touches = (self.target.unsqueeze(1) - hand_pos).norm(dim=-1) < self.settings.radius_m
        hits = (touches & (self._towards(state) >= self.settings.hit_speed_m_s)).any(-1)
        self._is_first_hit = hits & ~self.is_hit
        self.is_hit = self.is_hit | hits

    def _towards(self, state: CharacterState) -> Tensor:
        """Return how fast each hand moves towards the target (N, H) m/s, in the direction from the root."""
        direction = unit(self.target[:, :2] - state.root_pos[:, :2])
        return (self._hand_vel[..., :2] * direction.unsqueeze(1)).sum(-1)

    def _distance(self, state: CharacterState) -> Tensor:
        return (self.target[:, :2] - state.root_pos[:, :2]).norm(dim=-1)

    def reward(self, state: CharacterState) -> Tensor:
        distance = self._distance(state)
        near = 0.3 + 0.3 * self._near_reward(state)
        reward = torch.where(distance < self.settings.near_m, near, 0.3 * self._far_reward(distance))
        return torch.where(self.is_hit, torch.ones_like(reward), reward)

    def _near_reward(self, state: CharacterState) -> Tensor:
        apart = (self.target.unsqueeze(1) - self._hand_pos).square().sum(-1)
        speed = (self._towards(state) / self.settings.hit_speed_m_s).clamp(0.0, 1.0)
        speed = speed if self.settings.reward == "paper" else speed.square()
        return (0.2 * torch.exp(-HAND_SCALE * apart) + 0.8 * speed).amax(-1)

    def _far_reward(self, distance: Tensor) -> Tensor:
        wanted = self.settings.speed_m_s
        towards = (unit(self.target[:, :2] - self.centre[:, :2]) * self.centre_vel).sum(-1)
        moving = torch.exp(-4.0 / wanted**2 * (wanted - towards).clamp(min=0.0).square())
        if self.settings.reward == "code":
            moving = moving * (towards >= 0.0)
        too_far = (distance - self.settings.near_m).clamp(min=0.0)
        return 0.7 * torch.exp(-POS_SCALE * too_far.square()) + 0.3 * moving

    def failed(self, state: CharacterState) -> Tensor:
        apart = (self.target.unsqueeze(1) - state.body_pos[:, self._trunk]).norm(dim=-1)
        return (apart < self.settings.radius_m).any(-1) | (self._distance(state) > self.settings.lost_m)

    def change_goals(self, state: CharacterState) -> None:
        if self.settings.again:
            self._draw(self.is_hit & (self._since_hit_s >= self.settings.after_hit_s), state)

    def goal_obs(self, state: CharacterState) -> Tensor:
        place = to_heading_frame(state, self.target[:, :2] - state.root_pos[:, :2])
        phase = (self._since_hit_s / self.settings.after_hit_s).clamp(0.0, 1.0)
        return torch.cat((direction_and_distance(place), self.target[:, 2:], phase.unsqueeze(-1)), dim=-1)

    def demo_goal(self, state: CharacterState) -> Tensor:
        """Return targets in the clips' direction, near if standing and at any distance if walking."""
        n, settings = len(state), self.settings
        velocity = to_heading_frame(state, state.root_vel[:, :2])
        is_walking = velocity.norm(dim=-1) > 0.5 * settings.speed_m_s
        near_low, near_high = settings.near_distance_m
        far_low, far_high = settings.far_distance_m
        near_m, far_m = self.uniform(near_low, near_high, n), self.uniform(far_low, far_high, n)
        ahead = torch.zeros_like(velocity)
        ahead[:, 0] = 1.0
        direction = torch.where(is_walking.unsqueeze(-1), unit(velocity), ahead)
        distance = torch.where(is_walking, far_m, near_m).unsqueeze(-1)
        low, high = settings.height_m
        height = self.uniform(low, high, n).unsqueeze(-1)
        return torch.cat((direction, distance, height, torch.zeros_like(height)), dim=-1)

    def metrics(self, state: CharacterState) -> Dict[str, Tensor]:
        """Return the share of the time in which the target is hit, of each whether it was within 10 s, and after how
        long."""
        nothing = torch.full_like(self._since_new_s, math.nan)
        late_s = self._since_new_s - IN_TIME_S
        is_hit_in_time = self._is_first_hit & (late_s < 0.5 * self.control_dt_s)
        is_missed = ~self.is_hit & (late_s.abs() < 0.5 * self.control_dt_s)
        return {
            "hit_rate": nothing.masked_fill(is_hit_in_time, 1.0).masked_fill(is_missed, 0.0),
            "hit_share": self.is_hit.to(nothing.dtype),
            "time_to_hit_s": torch.where(self._is_first_hit, self._since_new_s, nothing),
        }

    def markers(self) -> List[Marker]:
        return [Marker("ball", self.target)]

    def _steer(self, values: Dict[str, float]) -> None:
        """Take `x_m`, `y_m` and `z_m` in the world; a target that is set by hand is a new one."""
        columns = [
            torch.full_like(column, values[name]) if name in values else column
            for name, column in zip(("x_m", "y_m", "z_m"), self.target.unbind(-1))
        ]
        self.target = torch.stack(columns, dim=-1)
        self._start(torch.ones_like(self.is_hit))
