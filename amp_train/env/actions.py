"""From policy actions to PD targets."""

import math

import torch
from torch import Tensor

from amp_train.character import CharacterSpec


class PdActionMap:
    """pd_target = offset + scale * action, with action in [-1, 1].

    A spherical joint's component spans -pi..pi. A hinge spans 0.7 times its range either side of the middle, so
    that the drive keeps its strength at the limit (IsaacGymEnvs `_build_pd_action_offset_scale`).
    """

    def __init__(self, spec: CharacterSpec, device: torch.device) -> None:
        self.offset = torch.zeros(spec.num_dofs)
        self.scale = torch.full((spec.num_dofs,), math.pi)
        hinges = spec.joint_dofs(1)[1].reshape(-1)
        lower, upper = spec.dof_lower[hinges], spec.dof_upper[hinges]
        self.offset[hinges] = 0.5 * (upper + lower)
        self.scale[hinges] = 0.7 * (upper - lower)
        self.offset, self.scale = self.offset.to(device), self.scale.to(device)

    def __call__(self, action: Tensor) -> Tensor:
        """Map actions (N, num_dofs), clamped to [-1, 1], to PD targets (N, num_dofs), rad."""
        return torch.addcmul(self.offset, self.scale, action.clamp(-1.0, 1.0))
