"""Forward kinematics and the conversions between dof_pos and joint_rot, batched over N and over all joints of a
kind at once."""

from typing import List, Tuple

import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character.spec import CharacterSpec
from amp_train.character.state import CharacterState


class Kinematics:
    """A character's kinematic tree on one device; equal to MuJoCo's `mj_kinematics` to 1e-5."""

    def __init__(self, spec: CharacterSpec, device: "torch.device | str" = "cpu") -> None:
        self.spec = spec
        self._ball_joints, self._ball_dofs = (t.to(device) for t in spec.joint_dofs(3))
        self._hinge_joints, hinge_dofs = (t.to(device) for t in spec.joint_dofs(1))
        self._hinge_dofs = hinge_dofs.reshape(-1)
        self._hinge_axis = spec.joint_axis.to(device)[self._hinge_joints]
        self._joint_body = torch.tensor(spec.joint_body_ids, dtype=torch.long, device=device)
        self._offset = spec.body_offset.to(device)
        self._offset_rot = spec.body_offset_rot.to(device)
        identity = torch.tensor([0.0, 0.0, 0.0, 1.0])
        self._has_offset_rot = (
            bool((spec.body_offset_rot[1:] - identity).abs().max() > 1e-7) if spec.num_bodies > 1 else False
        )
        self._levels = [(c.to(device), p.to(device)) for c, p in _levels(spec.parent_ids)]

    def joint_rot(self, dof_pos: Tensor) -> Tensor:
        """Convert dof_pos (..., num_dofs) to local joint rotations (..., num_joints, 4)."""
        rot = dof_pos.new_empty(dof_pos.shape[:-1] + (self.spec.num_joints, 4))
        rot[..., self._ball_joints, :] = rotations.exp_map_to_quat(dof_pos[..., self._ball_dofs])
        rot[..., self._hinge_joints, :] = rotations.quat_from_angle_axis(
            dof_pos[..., self._hinge_dofs], self._hinge_axis
        )
        return rot

    def dof_pos(self, joint_rot: Tensor) -> Tensor:
        """Convert local joint rotations (..., num_joints, 4) to dof_pos (..., num_dofs); a hinge keeps its twist
        only."""
        dof_pos = joint_rot.new_empty(joint_rot.shape[:-2] + (self.spec.num_dofs,))
        dof_pos[..., self._ball_dofs] = rotations.quat_to_exp_map(joint_rot[..., self._ball_joints, :])
        twist = rotations.quat_twist_angle(joint_rot[..., self._hinge_joints, :], self._hinge_axis)
        dof_pos[..., self._hinge_dofs] = twist
        return dof_pos

    def dof_vel(self, joint_ang_vel: Tensor) -> Tensor:
        """Convert joint angular velocities in the child's frame (..., num_joints, 3), rad/s, to dof_vel (...,
        num_dofs)."""
        dof_vel = joint_ang_vel.new_empty(joint_ang_vel.shape[:-2] + (self.spec.num_dofs,))
        dof_vel[..., self._ball_dofs] = joint_ang_vel[..., self._ball_joints, :]
        dof_vel[..., self._hinge_dofs] = (joint_ang_vel[..., self._hinge_joints, :] * self._hinge_axis).sum(-1)
        return dof_vel

    def forward(self, root_pos: Tensor, root_rot: Tensor, joint_rot: Tensor) -> Tuple[Tensor, Tensor]:
        """Place every body.

        Args:
            root_pos: (..., 3) m, world.
            root_rot: (..., 4).
            joint_rot: (..., num_joints, 4).

        Returns:
            body_pos (..., num_bodies, 3) m and body_rot (..., num_bodies, 4), world.
        """
        shape = root_pos.shape[:-1] + (self.spec.num_bodies,)
        local = root_pos.new_zeros(shape + (4,))
        local[..., 3] = 1.0
        local[..., self._joint_body, :] = joint_rot
        if self._has_offset_rot:
            local = rotations.quat_mul(self._offset_rot, local)
        body_pos, body_rot = root_pos.new_empty(shape + (3,)), root_pos.new_empty(shape + (4,))
        body_pos[..., 0, :], body_rot[..., 0, :] = root_pos, root_rot
        for children, parents in self._levels:
            parent_rot = body_rot[..., parents, :]
            body_rot[..., children, :] = rotations.quat_mul(parent_rot, local[..., children, :])
            reach = rotations.quat_rotate(parent_rot, self._offset[children])
            body_pos[..., children, :] = body_pos[..., parents, :] + reach
        return body_pos, body_rot

    def default_state(self, num: int) -> CharacterState:
        """Return `num` characters at rest in the MJCF's own pose."""
        spec, device = self.spec, self._offset.device
        root_pos = self._offset[:1].repeat(num, 1)
        root_rot = self._offset_rot[:1].repeat(num, 1)
        dof_pos = torch.zeros(num, spec.num_dofs, device=device)
        joint_rot = self.joint_rot(dof_pos)
        body_pos, body_rot = self.forward(root_pos, root_rot, joint_rot)
        rest = torch.zeros(num, 3, device=device)
        return CharacterState(
            root_pos, root_rot, rest, rest.clone(), dof_pos, torch.zeros_like(dof_pos), joint_rot, body_pos, body_rot
        )


def _levels(parent_ids: Tuple[int, ...]) -> List[Tuple[Tensor, Tensor]]:
    """Group the bodies below the root by depth: (children, parents) of each level."""
    depth = [0] * len(parent_ids)
    for body, parent in enumerate(parent_ids):
        depth[body] = 0 if parent < 0 else depth[parent] + 1
    levels = []
    for level in range(1, max(depth) + 1):
        children = [b for b, d in enumerate(depth) if d == level]
        levels.append((torch.tensor(children), torch.tensor([parent_ids[b] for b in children])))
    return levels
