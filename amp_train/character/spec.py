"""`CharacterSpec`: what a character is made of, read once from its MJCF and shared by every backend, the motion
library and the environment. Bodies and joints are in depth-first MJCF order; the world is not a body."""

import math
from dataclasses import dataclass, field, replace
from typing import Mapping, Sequence, Tuple

import torch
from torch import Tensor

from amp_train.character.geometry import ContactGeoms
from amp_train.errors import CharacterError, unknown_choice


@dataclass(frozen=True, eq=False)
class CharacterSpec:
    """Bodies, joints and actuation of one character.

    Attributes:
        name: the MJCF model's name.
        mjcf_path: the file it was read from.
        body_names: one per body, the root first.
        parent_ids: parent of each body, -1 for the root; a parent always precedes its children.
        body_offset: (num_bodies, 3) m, position in the parent's frame (the root's: its standing position).
        body_offset_rot: (num_bodies, 4) rotation in the parent's frame at zero dof_pos.
        body_mass: (num_bodies,) kg.
        joint_names: one per joint; three orthogonal hinges on one body are one spherical joint.
        joint_sizes: 3 for a spherical joint, 1 for a hinge.
        joint_body_ids: the body each joint moves.
        joint_axis: (num_joints, 3) hinge axis in the child's frame; zero for a spherical joint.
        dof_lower, dof_upper: (num_dofs,) rad; -pi..pi for an unlimited spherical joint.
        dof_stiffness, dof_damping, dof_effort: (num_dofs,) PD gains N m/rad, N m s/rad, and torque limit N m.
        dof_armature: (num_dofs,) kg m^2, added inertia.
        key_body_ids: bodies whose positions are observed.
        contact_body_ids: bodies that may touch the ground.
        geoms: the colliding geometry.
    """

    name: str
    mjcf_path: str
    body_names: Tuple[str, ...]
    parent_ids: Tuple[int, ...]
    body_offset: Tensor
    body_offset_rot: Tensor
    body_mass: Tensor
    joint_names: Tuple[str, ...]
    joint_sizes: Tuple[int, ...]
    joint_body_ids: Tuple[int, ...]
    joint_axis: Tensor
    dof_lower: Tensor
    dof_upper: Tensor
    dof_stiffness: Tensor
    dof_damping: Tensor
    dof_effort: Tensor
    dof_armature: Tensor
    key_body_ids: Tuple[int, ...] = ()
    contact_body_ids: Tuple[int, ...] = ()
    geoms: ContactGeoms = field(default_factory=ContactGeoms.none)

    @property
    def num_bodies(self) -> int:
        return len(self.body_names)

    @property
    def num_joints(self) -> int:
        return len(self.joint_names)

    @property
    def num_dofs(self) -> int:
        return sum(self.joint_sizes)

    @property
    def dof_offsets(self) -> Tuple[int, ...]:
        """First dof of each joint."""
        return tuple(sum(self.joint_sizes[:j]) for j in range(self.num_joints))

    def body_ids(self, names: Sequence[str]) -> Tuple[int, ...]:
        """Look bodies up by name; an unknown name is a CharacterError that lists the known ones."""
        for name in names:
            if name not in self.body_names:
                raise CharacterError(
                    str(unknown_choice("body of character '" + self.name + "'", name, self.body_names))
                )
        return tuple(self.body_names.index(name) for name in names)

    def with_torque_limits(self, limits: Mapping[str, float]) -> "CharacterSpec":
        """Return this character with other torque limits, N m by joint name; joints not named keep theirs.

        Raises:
            CharacterError: an unknown joint, or a limit that is not above 0.
        """
        effort = self.dof_effort.clone()
        for name, limit in limits.items():
            if name not in self.joint_names:
                raise CharacterError(
                    str(unknown_choice("joint of character '" + self.name + "'", name, self.joint_names))
                )
            if not 0.0 < limit < math.inf:
                raise CharacterError("The torque limit of joint {} must be above 0 N m, not {}.".format(name, limit))
            joint = self.joint_names.index(name)
            start = self.dof_offsets[joint]
            effort[start : start + self.joint_sizes[joint]] = limit
        return replace(self, dof_effort=effort)

    def joint_dofs(self, size: int) -> Tuple[Tensor, Tensor]:
        """Return the joints of `size` dofs (K,) and their dof indices (K, size), both long."""
        joints = [j for j, s in enumerate(self.joint_sizes) if s == size]
        dofs = [[self.dof_offsets[j] + k for k in range(size)] for j in joints]
        return torch.tensor(joints, dtype=torch.long), torch.tensor(dofs, dtype=torch.long).reshape(-1, size)
