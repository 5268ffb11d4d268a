"""The data of an evaluation: episodes of a policy, and the clips it was trained on."""

from dataclasses import dataclass, field
from typing import Dict, Optional, Tuple

import torch
from torch import Tensor

from amp_train.evaluation.metrics import heading_local

TIME_LIMIT = "time limit"


@dataclass
class Episodes:
    """N episodes side by side, CPU tensors with time first; rows of an episode beyond its length are meaningless.

    Attributes:
        control_dt_s: s between two rows.
        body_pos: (T, N, B, 3) m, world.
        root_rot: (T, N, 4).
        root_vel: (T, N, 3) m/s, world.
        dof_pos: (T, N, D) rad.
        foot_contact: (T, N, F) bool, whether each foot touches the ground.
        foot_points: (T, N, F, C, 3) m, world, corners of each foot.
        power_w: (T, N) W, sum over dofs of |torque * dof_vel|.
        style_reward, disc_logit: (T, N).
        lengths: (N,) long, steps.
        ends: N causes: TIME_LIMIT, or the cause of the fall.
        task_reward: (T, N); None for a task without a goal.
        task_metrics: measures of the task's success by name, (T, N), NaN where there is none.
        full_length: steps of an episode that reaches the time limit.
    """

    control_dt_s: float
    body_pos: Tensor
    root_rot: Tensor
    root_vel: Tensor
    dof_pos: Tensor
    foot_contact: Tensor
    foot_points: Tensor
    power_w: Tensor
    style_reward: Tensor
    disc_logit: Tensor
    lengths: Tensor
    ends: Tuple[str, ...]
    task_reward: Optional[Tensor] = None
    task_metrics: Dict[str, Tensor] = field(default_factory=dict)
    full_length: int = 0

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def valid(self) -> Tensor:
        """(T, N) bool: rows within their episode."""
        return torch.arange(len(self.body_pos)).unsqueeze(-1) < self.lengths

    @property
    def num_falls(self) -> int:
        return sum(end != TIME_LIMIT for end in self.ends)


@dataclass
class ClipReference:
    """One pass of a clip at the control rate, CPU tensors.

    Attributes:
        name: the clip's.
        weight: its share of the demonstrations.
        speed_m_s: m/s, horizontal path of the root over the duration.
        body_pos: (S, B, 3) m, world.
        root_rot: (S, 4).
        dof_pos: (S, D) rad.
        turn_rad: how far the clip turns about the vertical in one pass, if the next one continues from there.
    """

    name: str
    weight: float
    speed_m_s: float
    body_pos: Tensor
    root_rot: Tensor
    dof_pos: Tensor
    turn_rad: float = 0.0

    def __len__(self) -> int:
        return len(self.body_pos)

    @property
    def heading_pos(self) -> Tensor:
        """(S, B, 3) m, relative to the root in its heading frame."""
        return heading_local(self.body_pos, self.root_rot)
