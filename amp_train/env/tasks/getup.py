"""`HumanoidAMPGetup`: `HumanoidAMPHeading`, and getting up from a fall (the author's code, "heading AMP getup").

While getting up, for as long as the get-up clips take, falls do not count and the reward is for height:

    r = 0.2 clip(h_root / 0.5 m) + 0.8 clip(h_head / 1.3 m)

Afterwards the reward is that of the heading. Episodes that start low start with getting up, and a share of those that
failed continue from the fall. The author's code uses the time since the clip's beginning; here it restarts for each
character that is low.
"""

from dataclasses import dataclass
from typing import Dict, Optional, Tuple

import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterState, Kinematics
from amp_train.env.tasks.base import TaskSetup
from amp_train.env.tasks.heading import Heading, HeadingSettings
from amp_train.env.tasks.registry import register_task

STAND_S = 3.0  # a get-up that takes no longer counts as a success
STOOP_M = 0.1  # a running character's head is this much lower
DROP_M = 0.2  # height of the lowest body
MOST_BENT_RAD = 0.8  # from the middle of a joint's range
HALF_TURN = torch.tensor([1.0, 0.0, 0.0, 0.0])  # xyzw, about a horizontal axis


@dataclass
class GetupSettings(HeadingSettings):
    """Settings of goals and getting up."""

    getup_s: float = 3.8  # of the longest get-up clip
    root_m: float = 0.5  # heights that are high enough
    head_m: float = 1.3
    low_head_m: float = 1.0  # an episode that starts with the head below this gets up first
    head_body: str = "head"
    go_on_prob: float = 0.2  # share of failed episodes that continue from the fall
    drop_prob: float = 0.0  # share of episodes that start in a random pose, dropped from just above the ground
    fall_ends: bool = True  # false: a fall is not a failure but the start of getting up


@register_task("HumanoidAMPGetup", GetupSettings)
class Getup(Heading):
    """Goal: that of the heading, and how much of the time for getting up is left, 1 to 0."""

    goal_size = 4

    def __init__(self, settings: GetupSettings, setup: TaskSetup) -> None:
        super().__init__(settings, setup)
        self._kinematics = Kinematics(self.spec, self.device)
        lower, upper = self.spec.dof_lower.to(self.device), self.spec.dof_upper.to(self.device)
        self._middle = 0.5 * (lower + upper)
        self._reach = torch.minimum(0.4 * (upper - lower), torch.full_like(lower, MOST_BENT_RAD))
        (self._head,) = self.spec.body_ids([settings.head_body])
        self._left_s = torch.zeros(self.num_envs, device=self.device)
        self._has_stood = torch.ones(self.num_envs, dtype=torch.bool, device=self.device)
        self._is_first_up = torch.zeros_like(self._has_stood)
        self._is_judged = torch.zeros_like(self._has_stood)

    @property
    def getting_up(self) -> Tensor:
        """(N,) bool."""
        return self._left_s > 0.5 * self.control_dt_s  # whatever the rounding

    def put(self, state: CharacterState) -> Optional[Tuple[CharacterState, Tensor]]:
        """Drop a share of the characters, turned in any direction and with any pose, but with the head low."""
        if self.settings.drop_prob == 0.0:
            return None
        return self._dropped(state), self.uniform(0.0, 1.0, len(state)) < self.settings.drop_prob

    def _dropped(self, state: CharacterState) -> CharacterState:
        n, draws = len(state), {"device": self.device, "generator": self.generator}
        share = 2.0 * torch.rand(n, self.spec.num_dofs, **draws) - 1.0  # type: ignore[call-overload]
        dof_pos = self._middle + share * self._reach
        root_rot = rotations.normalize(torch.randn(n, 4, **draws))  # type: ignore[call-overload]
        joint_rot = self._kinematics.joint_rot(dof_pos)
        origin = torch.zeros_like(state.root_pos)
        heights = self._kinematics.forward(origin, root_rot, joint_rot)[0][..., 2]
        is_upright = heights[:, self._head] - heights.amin(-1) + DROP_M >= self.settings.low_head_m
        head_down = rotations.quat_mul(HALF_TURN.to(root_rot).expand_as(root_rot), root_rot)
        root_rot = torch.where(is_upright.unsqueeze(-1), head_down, root_rot)
        lowest = torch.where(is_upright, -heights.amax(-1), heights.amin(-1))
        height = torch.stack((torch.zeros_like(lowest), torch.zeros_like(lowest), DROP_M - lowest), dim=-1)
        root_pos = state.root_pos * torch.tensor([1.0, 1.0, 0.0], device=self.device) + height
        body_pos, body_rot = self._kinematics.forward(root_pos, root_rot, joint_rot)
        still = torch.zeros_like(root_pos)
        return CharacterState(
            root_pos, root_rot, still, still, dof_pos, torch.zeros_like(dof_pos), joint_rot, body_pos, body_rot
        )

    def begin(self, chosen: Tensor, state: CharacterState) -> None:
        super().begin(chosen, state)
        is_low = state.body_pos[:, self._head, 2] < self.settings.low_head_m
        self._left_s = self._left_s.masked_fill(chosen & ~is_low, 0.0)
        self._has_stood = self._has_stood | (chosen & ~is_low)
        self._start_timer(chosen & is_low)

    def _start_timer(self, chosen: Tensor) -> None:
        self._left_s = self._left_s.masked_fill(chosen, self.settings.getup_s)
        self._has_stood = self._has_stood & ~chosen

    def step(self, state: CharacterState) -> None:
        super().step(state)
        was_getting_up, judged_at_s = self.getting_up, max(0.0, self.settings.getup_s - STAND_S)
        was_before = self._left_s > judged_at_s + 0.5 * self.control_dt_s
        self._left_s = (self._left_s - self.control_dt_s).clamp(min=0.0)
        self._is_judged = was_before & (self._left_s <= judged_at_s + 0.5 * self.control_dt_s)
        is_up = (state.body_pos[:, self._head, 2] >= self.settings.head_m - STOOP_M) & was_getting_up
        self._is_first_up = is_up & ~self._has_stood
        self._has_stood = self._has_stood | is_up

    def reward(self, state: CharacterState) -> Tensor:
        settings = self.settings
        root = (state.root_pos[:, 2] / settings.root_m).clamp(0.0, 1.0)
        head = (state.body_pos[:, self._head, 2] / settings.head_m).clamp(0.0, 1.0)
        return torch.where(self.getting_up, 0.2 * root + 0.8 * head, super().reward(state))

    def forgives(self, state: CharacterState, fallen: Tensor) -> Tensor:
        if self.settings.fall_ends:
            return self.getting_up
        self._start_timer(fallen & ~self.getting_up)
        return torch.ones_like(fallen)

    def goes_on(self, terminated: Tensor) -> Optional[Tensor]:
        return terminated & (self.uniform(0.0, 1.0) < self.settings.go_on_prob)

    def goal_obs(self, state: CharacterState) -> Tensor:
        return torch.cat((super().goal_obs(state), (self._left_s / self.settings.getup_s).unsqueeze(-1)), dim=-1)

    def demo_goal(self, state: CharacterState) -> Tensor:
        """Return the clips' direction and speed, and for low characters any remaining time."""
        low = (state.body_pos[:, self._head, 2] < self.settings.low_head_m).to(state.root_pos.dtype)
        left = low * self.uniform(0.0, 1.0, len(state))
        return torch.cat((super().demo_goal(state), left.unsqueeze(-1)), dim=-1)

    def metrics(self, state: CharacterState) -> Dict[str, Tensor]:
        """Return the errors of the heading while walking, whether a get-up succeeded in 3 s, and after how long."""
        nothing = torch.full_like(self._left_s, float("nan"))
        walking = {name: torch.where(self.getting_up, nothing, value) for name, value in super().metrics(state).items()}
        taken_s = self.settings.getup_s - self._left_s
        return {
            **walking,
            "stood_up_share": torch.where(self._is_judged, self._has_stood.to(nothing.dtype), nothing),
            "time_to_stand_s": torch.where(self._is_first_up, taken_s, nothing),
        }
