"""Forward kinematics and the conversions between dof_pos and joint_rot, batched over N and over all joints of a
kind at once."""

from typing import List, NamedTuple, Sequence, Tuple

import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character.spec import CharacterSpec
from amp_train.character.state import CharacterState


class Kinematics:
    """A character's kinematic tree on one device; equal to MuJoCo's `mj_kinematics` to 1e-5.

    It is a tree of links with a joint each. A body with one joint at its origin is a link; a body with
    more, or with one elsewhere, is a chain of them.

    Inside, tensors are (component, body or joint, N): whole levels of the tree are gathered and multiplied as
    contiguous rows.
    """

    def __init__(self, spec: CharacterSpec, device: "torch.device | str" = "cpu") -> None:
        self.spec = spec
        (self._ball_joints, ball_dofs), (self._hinge_joints, hinge_dofs) = spec.joint_dofs(3), spec.joint_dofs(1)
        self._ball_joints, self._hinge_joints = self._ball_joints.to(device), self._hinge_joints.to(device)
        # Component-major rows: x of every ball, y of every ball, z of every ball.
        self._ball_dofs, self._hinge_dofs = ball_dofs.t().reshape(-1).to(device), hinge_dofs.reshape(-1).to(device)
        self._hinge_axis = spec.joint_axis.to(device)[self._hinge_joints]
        self._joint_order = torch.argsort(torch.cat((self._ball_joints, self._hinge_joints)))
        self._dof_order = torch.argsort(torch.cat((self._ball_dofs, self._hinge_dofs)))
        self._identity = torch.tensor([0.0, 0.0, 0.0, 1.0], device=device)
        links, link_of_body = _links(spec)
        self._offset = torch.stack([link.offset for link in links]).to(device)
        self._offset_rot = torch.stack([link.offset_rot for link in links]).to(device)
        self._has_offset_rot = bool((self._offset_rot[1:] - self._identity).abs().sum() > 1e-6)
        levels, order = _levels(links)
        self._levels = [tuple(index.to(device) for index in level) for level in levels]
        self._body_order = torch.argsort(order)[link_of_body].to(device)

    def joint_rot(self, dof_pos: Tensor) -> Tensor:
        """Convert dof_pos (..., num_dofs) to local joint rotations (..., num_joints, 4)."""
        rows = dof_pos.reshape(-1, self.spec.num_dofs).t()
        exp_map = rows.index_select(0, self._ball_dofs).unflatten(0, (3, -1)).movedim(0, -1)
        rot = self.joint_rot_of(rotations.exp_map_to_quat(exp_map), rows.index_select(0, self._hinge_dofs))
        return rot.reshape(dof_pos.shape[:-1] + rot.shape[1:])

    def joint_rot_of(self, ball_rot: Tensor, hinge_angle: Tensor) -> Tensor:
        """Put ball rotations (num_balls, N, 4) and hinge angles (num_hinges, N) in joint order, (N, num_joints, 4)."""
        hinge_rot = rotations.quat_from_angle_axis(hinge_angle, self._hinge_axis.unsqueeze(1))
        both = torch.cat((ball_rot.movedim(-1, 0), hinge_rot.movedim(-1, 0)), dim=1)
        return both.index_select(1, self._joint_order).permute(2, 1, 0)

    def dof_pos(self, joint_rot: Tensor) -> Tensor:
        """Convert local joint rotations (..., num_joints, 4) to dof_pos (..., num_dofs); a hinge keeps its twist."""
        rot = joint_rot.reshape((-1,) + joint_rot.shape[-2:]).permute(2, 1, 0)
        ball_rot = rot.index_select(1, self._ball_joints).movedim(0, -1)
        hinge_rot = rot.index_select(1, self._hinge_joints).movedim(0, -1)
        angle = rotations.quat_twist_angle(hinge_rot, self._hinge_axis.unsqueeze(1))
        return self.dof_pos_of(ball_rot, angle).reshape(joint_rot.shape[:-2] + (self.spec.num_dofs,))

    def dof_pos_of(self, ball_rot: Tensor, hinge_angle: Tensor) -> Tensor:
        """Put ball rotations (num_balls, N, 4) and hinge angles (num_hinges, N), rad, in dof order, (N, num_dofs)."""
        exp_map = rotations.quat_to_exp_map(ball_rot).movedim(-1, 0).flatten(0, 1)
        return torch.cat((exp_map, hinge_angle)).index_select(0, self._dof_order).t()

    def dof_vel(self, joint_ang_vel: Tensor) -> Tensor:
        """Convert joint angular velocities in the child's frame (..., num_joints, 3), rad/s, to dof_vel."""
        ball = joint_ang_vel[..., self._ball_joints, :].movedim(-1, -2).flatten(-2)
        hinge = (joint_ang_vel[..., self._hinge_joints, :] * self._hinge_axis).sum(-1)
        return torch.cat((ball, hinge), dim=-1)[..., self._dof_order]

    def forward(self, root_pos: Tensor, root_rot: Tensor, joint_rot: Tensor) -> Tuple[Tensor, Tensor]:
        """Place every body.

        Args:
            root_pos: (..., 3) m, world.
            root_rot: (..., 4).
            joint_rot: (..., num_joints, 4).

        Returns:
            body_pos (..., num_bodies, 3) m and body_rot (..., num_bodies, 4), world.
        """
        batch = root_pos.shape[:-1]
        pos, rot = root_pos.reshape(-1, 3).t().unsqueeze(1), root_rot.reshape(-1, 4).t().unsqueeze(1)
        joints = joint_rot.reshape((-1,) + joint_rot.shape[-2:]).permute(2, 1, 0)
        welded = self._identity.view(4, 1, 1).expand(4, 1, pos.shape[-1])
        joints = torch.cat((joints, welded), dim=1)
        all_pos, all_rot = [pos], [rot]
        for children, parents, joint_ids in self._levels:
            parent_rot = rot.index_select(1, parents).movedim(0, -1)
            local = joints.index_select(1, joint_ids).movedim(0, -1)
            if self._has_offset_rot:
                local = rotations.quat_mul(self._offset_rot[children].unsqueeze(1), local)
            reach = rotations.quat_rotate(parent_rot, self._offset[children].unsqueeze(1))
            pos = pos.index_select(1, parents) + reach.movedim(-1, 0)
            rot = rotations.quat_mul(parent_rot, local).movedim(-1, 0)
            all_pos.append(pos)
            all_rot.append(rot)
        body_pos = torch.cat(all_pos, dim=1).index_select(1, self._body_order).permute(2, 1, 0)
        body_rot = torch.cat(all_rot, dim=1).index_select(1, self._body_order).permute(2, 1, 0)
        return body_pos.reshape(batch + body_pos.shape[1:]), body_rot.reshape(batch + body_rot.shape[1:])

    def default_state(self, num: int) -> CharacterState:
        """Return `num` characters at rest in the default pose."""
        spec, device = self.spec, self._offset.device
        root_pos, root_rot, dof_pos = (
            values.to(device).repeat(num, 1)
            for values in (spec.default_root_pos, spec.default_root_rot, spec.default_dof_pos)
        )
        joint_rot = self.joint_rot(dof_pos)
        body_pos, body_rot = self.forward(root_pos, root_rot, joint_rot)
        rest = torch.zeros(num, 3, device=device)
        return CharacterState(
            root_pos, root_rot, rest, rest.clone(), dof_pos, torch.zeros_like(dof_pos), joint_rot, body_pos, body_rot
        )


class _Link(NamedTuple):
    """A frame that one joint turns.

    Attributes:
        parent: its parent link, -1 for the root.
        offset: (3,) m, its origin in the parent's frame.
        offset_rot: (4,), its rotation there at zero dof_pos.
        joint: the joint that turns it; num_joints: none, it is welded.
    """

    parent: int
    offset: Tensor
    offset_rot: Tensor
    joint: int


def _links(spec: CharacterSpec) -> Tuple[List[_Link], List[int]]:
    """Return the links, parents first, and the link that each body is."""
    links: List[_Link] = []
    link_of_body: List[int] = []
    for body, parent in enumerate(spec.parent_ids):
        at, offset, rot = torch.zeros(3), spec.body_offset[body], spec.body_offset_rot[body]
        parent_link = link_of_body[parent] if parent >= 0 else -1
        chain = [joint for joint, moved in enumerate(spec.joint_body_ids) if moved == body]
        for joint in chain or [spec.num_joints]:
            where = spec.joint_pos[joint] if chain else torch.zeros(3)
            if not torch.equal(where, at):
                offset = offset + rotations.quat_rotate(rot, where - at)
            links.append(_Link(parent_link, offset, rot, joint))
            parent_link, at = len(links) - 1, where
            offset, rot = torch.zeros(3), torch.tensor([0.0, 0.0, 0.0, 1.0])
        if bool((at != 0).any()):
            links.append(_Link(parent_link, -at, rot, spec.num_joints))
        link_of_body.append(len(links) - 1)
    return links, link_of_body


def _levels(links: Sequence[_Link]) -> Tuple[List[Tuple[Tensor, ...]], Tensor]:
    """Group the links below the root by depth.

    Returns:
        Per level: the links, their parents' places in the level above, their joints (num_joints: welded); and all
        links in the order in which the levels list them.
    """
    levels: List[Tuple[Tensor, ...]] = []
    above, order = [0], [0]
    while True:
        below = [number for number, link in enumerate(links) if link.parent in above]
        if not below:
            return levels, torch.tensor(order)
        places = [above.index(links[number].parent) for number in below]
        joints = [links[number].joint for number in below]
        levels.append(tuple(torch.tensor(ids, dtype=torch.long) for ids in (below, places, joints)))
        above, order = below, order + below
