"""The group `character`: what a character's YAML says beside its MJCF. Nothing heavy is imported here: the
configuration's schema needs this class."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from omegaconf import MISSING


@dataclass
class CharacterConfig:
    """A character is an MJCF file and these keys (docs/characters.md).

    Values by joint are given by the joint's name, by the name of one axis of a spherical joint (`hip_x`), or by a
    pattern with `*`; of several that fit, the last holds. What is not given is what the MJCF says.

    Attributes:
        name: of the character.
        mjcf: path of its file, or the name of a bundled one.
        key_bodies: bodies whose positions are observed.
        contact_bodies: bodies that may touch the ground.
        fall_bodies: what `task.env.fall_height_ratio` watches.
        stiffness, damping: PD gains, N m/rad and N m s/rad.
        torque_limits: N m.
        armature: kg m^2.
        action_scale: rad; PD target = default pose + action_scale * action. Where it is not given, actions span the
            joint's range.
        default_dof_pos: rad, the initial pose; null: the MJCF's first keyframe, else the pose it is written in.
        limit_ball_joints: whether spherical joints have limits: `ball_ranges`, else those of the MJCF.
        ball_ranges: degrees, by joint: (lower, upper) about x, y and z.
    """

    name: str = MISSING
    mjcf: str = MISSING
    key_bodies: List[str] = MISSING
    contact_bodies: List[str] = MISSING
    fall_bodies: List[str] = MISSING
    stiffness: Optional[Dict[str, float]] = field(default_factory=dict)
    damping: Optional[Dict[str, float]] = field(default_factory=dict)
    torque_limits: Optional[Dict[str, float]] = field(default_factory=dict)
    armature: Optional[Dict[str, float]] = field(default_factory=dict)
    action_scale: Optional[Dict[str, float]] = field(default_factory=dict)
    default_dof_pos: Optional[Dict[str, float]] = field(default_factory=dict)
    limit_ball_joints: bool = False
    ball_ranges: Optional[Dict[str, List[Any]]] = field(default_factory=dict)  # nested floats refuse whole numbers
