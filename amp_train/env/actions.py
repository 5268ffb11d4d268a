"""From policy actions to PD targets."""

import math

import torch
from torch import Tensor

from amp_train.character import CharacterSpec, CharacterState


class PdActionMap:
    """pd_target = offset + scale * action, with action in [-1, 1].

    Where the character gives an `action_scale`, that is the scale, and the offset is the default pose. Elsewhere a
    spherical joint's component spans -pi..pi, and a hinge 0.7 times its range either side of the middle, so that the
    drive keeps its strength at the limit (IsaacGymEnvs `_build_pd_action_offset_scale`).
    """

    def __init__(self, spec: CharacterSpec, device: torch.device) -> None:
        self.offset = torch.zeros(spec.num_dofs)
        self.scale = torch.full((spec.num_dofs,), math.pi)
        hinges = spec.joint_dofs(1)[1].reshape(-1)
        lower, upper = spec.dof_lower[hinges], spec.dof_upper[hinges]
        self.offset[hinges] = 0.5 * (upper + lower)
        self.scale[hinges] = 0.7 * (upper - lower)
        given = ~spec.action_scale.isnan()
        self.offset = torch.where(given, spec.default_dof_pos, self.offset).to(device)
        self.scale = torch.where(given, spec.action_scale, self.scale).to(device)
        lag_s = spec.dof_damping / spec.dof_stiffness
        self._lag_s = lag_s.where(spec.dof_stiffness > 0, torch.zeros_like(lag_s)).to(device)

    def __call__(self, action: Tensor) -> Tensor:
        """Map actions (N, num_dofs), clamped to [-1, 1], to PD targets (N, num_dofs), rad."""
        return torch.addcmul(self.offset, self.scale, action.clamp(-1.0, 1.0))

    def following(self, state: CharacterState) -> Tensor:
        """Return the actions (N, num_dofs), in [-1, 1], whose drives pass through N poses at their velocities.

        A drive's torque is k_p (target - q) - k_d dq/dt: without load it is zero at target = q + (k_d / k_p) dq/dt.
        """
        target = torch.addcmul(state.dof_pos, self._lag_s, state.dof_vel)
        return ((target - self.offset) / self.scale).clamp(-1.0, 1.0)


def pd_torque(spec: CharacterSpec, state: CharacterState, pd_target: Tensor) -> Tensor:
    """Return the torques (N, num_dofs) N m of the PD actuators at N states, as every simulator has them:
    clamp(stiffness * (target - dof_pos) - damping * dof_vel, +-effort).

    Args:
        spec: the character.
        state: N characters.
        pd_target: (N, num_dofs) rad.
    """
    gains = (spec.dof_stiffness, spec.dof_damping, spec.dof_effort)
    stiffness, damping, effort = (gain.to(pd_target.device) for gain in gains)
    torque = stiffness * (pd_target - state.dof_pos) - damping * state.dof_vel
    return torch.minimum(torch.maximum(torque, -effort), effort)
