"""`CharacterSpec`: the structure of a character, read once from its MJCF and shared by every backend, the motion
library and the environment. Bodies and joints are in depth-first MJCF order; the world is not a body."""

import math
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, List, Mapping, Sequence, Tuple

import torch
from torch import Tensor

from amp_train.character.geometry import ContactGeoms
from amp_train.errors import CharacterError, unknown_choice

# What can be set by joint: its name in the YAML, its unit, and the least allowed value.
_ABOVE_0 = 5e-324
_DOF_VALUES = {
    "dof_stiffness": ("stiffness", "N m/rad", 0.0),
    "dof_damping": ("damping", "N m s/rad", 0.0),
    "dof_effort": ("torque limit", "N m", _ABOVE_0),
    "dof_armature": ("armature", "kg m^2", 0.0),
    "action_scale": ("action scale", "rad", _ABOVE_0),
    "default_dof_pos": ("default position", "rad", -math.inf),
}
MAX_STARS = 3  # in a pattern; each makes matching slower by a factor


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
        joint_names: one per joint; three hinges about x, y, z on one body are one spherical joint.
        joint_sizes: 3 for a spherical joint, 1 for a hinge.
        joint_body_ids: the body each joint moves; several joints of one body act one after another.
        joint_axis: (num_joints, 3) hinge axis in the child's frame; zero for a spherical joint.
        joint_pos: (num_joints, 3) m, where the joint is in the child's frame.
        joint_spring: (num_joints,) N m/rad, a passive spring in addition to the drive.
        dof_lower, dof_upper: (num_dofs,) rad; -pi..pi for an unlimited joint.
        dof_stiffness, dof_damping, dof_effort: (num_dofs,) PD gains N m/rad, N m s/rad, and torque limit N m.
        dof_armature: (num_dofs,) kg m^2, added inertia.
        action_scale: (num_dofs,) rad; NaN where actions span the range.
        default_root_pos, default_root_rot, default_dof_pos: (3,), (4,), (num_dofs,), the initial pose.
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
    joint_pos: Tensor
    joint_spring: Tensor
    dof_lower: Tensor
    dof_upper: Tensor
    dof_stiffness: Tensor
    dof_damping: Tensor
    dof_effort: Tensor
    dof_armature: Tensor
    action_scale: Tensor
    default_root_pos: Tensor
    default_root_rot: Tensor
    default_dof_pos: Tensor
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

    @property
    def dof_names(self) -> Tuple[str, ...]:
        """One per dof: a hinge's is its joint's, a spherical joint `hip` has `hip_x`, `hip_y` and `hip_z`."""
        names: List[str] = []
        for joint, size in zip(self.joint_names, self.joint_sizes):
            names += [joint] if size == 1 else [joint + "_" + axis for axis in "xyz"]
        return tuple(names)

    def body_ids(self, names: Sequence[str]) -> Tuple[int, ...]:
        """Look bodies up by name; an unknown name is a CharacterError that lists the known ones."""
        for name in names:
            if name not in self.body_names:
                raise CharacterError(
                    str(unknown_choice("body of character '" + self.name + "'", name, self.body_names))
                )
        return tuple(self.body_names.index(name) for name in names)

    def with_torque_limits(self, limits: Mapping[str, float]) -> "CharacterSpec":
        """Return this character with other torque limits, N m by joint; joints not named keep theirs."""
        return self.with_dof_values("dof_effort", limits)

    def with_dof_values(self, field_name: str, values: Mapping[str, float]) -> "CharacterSpec":
        """Return this character with other values of a field (num_dofs,), by joint, dof or pattern (`*_knee`).

        Raises:
            CharacterError: a name that matches no joint, or an invalid value.
        """
        what, unit, least = _DOF_VALUES[field_name]
        allowed = {0.0: "at least 0", _ABOVE_0: "above 0"}.get(least, "a number of")
        changed = getattr(self, field_name).clone()
        for name, value in values.items():
            if not least <= value < math.inf or value == -math.inf:
                raise CharacterError(f"The {what} of joint {name} must be {allowed} {unit}, not {value}.")
            changed[self.matching_dofs(name)] = value
        return replace(self, **{field_name: changed})

    def matching_dofs(self, pattern: str) -> List[int]:
        """Return the dofs whose joint's name, or whose own name, matches a pattern.

        Raises:
            CharacterError: there is none.
        """
        of_joint = [j for j, size in enumerate(self.joint_sizes) for _ in range(size)]
        if pattern.count("*") > MAX_STARS:
            raise CharacterError(f"'{pattern}' contains more than {MAX_STARS} stars (*).")
        names = [(self.joint_names[j], dof_name) for j, dof_name in zip(of_joint, self.dof_names)]
        dofs = [dof for dof, both in enumerate(names) if any(fnmatchcase(name, pattern) for name in both)]
        if not dofs:
            raise CharacterError(
                str(unknown_choice("joint of character '" + self.name + "'", pattern, self.joint_names))
            )
        return dofs

    def with_ball_ranges(self, ranges: Mapping[str, Sequence[Any]]) -> "CharacterSpec":
        """Return this character with limits of its spherical joints: by joint or pattern, (lower, upper) degrees about
        x, y and z.

        Raises:
            CharacterError: no such spherical joint, or not three ranges that contain the default pose.
        """
        lower, upper = self.dof_lower.clone(), self.dof_upper.clone()
        balls = set(self.joint_dofs(3)[1].reshape(-1).tolist())
        for name, axes in ranges.items():
            dofs = self.matching_dofs(name)
            sound = len(axes) == 3 and all(_is_range_about_0(axis) for axis in axes)
            if not sound or not set(dofs) <= balls or len(dofs) % 3:
                raise CharacterError(
                    f"The ball range of {name} must be three ranges about x, y, z of a spherical joint, each "
                    f"[lower, upper] in degrees with -180 <= lower <= 0 <= upper <= 180, not {list(axes)}."
                )
            limits = torch.tensor([[float(side) for side in axis] for axis in axes]).deg2rad().repeat(len(dofs) // 3, 1)
            lower[dofs], upper[dofs] = limits[:, 0], limits[:, 1]
        return replace(self, dof_lower=lower, dof_upper=upper)

    def without_ball_ranges(self) -> "CharacterSpec":
        """Return this character with spherical joints that turn freely."""
        lower, upper = self.dof_lower.clone(), self.dof_upper.clone()
        balls = self.joint_dofs(3)[1].reshape(-1)
        lower[balls], upper[balls] = -math.pi, math.pi
        return replace(self, dof_lower=lower, dof_upper=upper)

    def check_drives(self) -> None:
        """Check that every joint is driven.

        Raises:
            CharacterError: naming those that are not.
        """
        limp = [name for name, stiffness in zip(self.dof_names, self.dof_stiffness.tolist()) if not stiffness > 0.0]
        if limp:
            raise CharacterError(
                f"Character '{self.name}' has {self.num_dofs} dofs, {len(limp)} of them without a drive: "
                f"{', '.join(limp[:6])}{' ...' if len(limp) > 6 else ''}. Add position actuators to its MJCF, or set "
                "character.stiffness and character.damping by joint."
            )

    def joint_dofs(self, size: int) -> Tuple[Tensor, Tensor]:
        """Return the joints of `size` dofs (K,) and their dof indices (K, size), both long."""
        joints = [j for j, s in enumerate(self.joint_sizes) if s == size]
        dofs = [[self.dof_offsets[j] + k for k in range(size)] for j in joints]
        return torch.tensor(joints, dtype=torch.long), torch.tensor(dofs, dtype=torch.long).reshape(-1, size)


def _is_range_about_0(degrees: Any) -> bool:
    if isinstance(degrees, (str, int, float)) or len(degrees) != 2:
        return False
    lower, upper = degrees
    return all(isinstance(side, (int, float)) for side in degrees) and -180 <= lower <= 0 <= upper <= 180
