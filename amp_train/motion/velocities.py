"""Velocities of a clip at its frames, consistent with its positions, and the planar motion by which a cycle repeats."""

from typing import NamedTuple, Tuple

import torch
from torch import Tensor

from amp_train import rotations
from amp_train.motion.clip import MotionClip


class Cycle(NamedTuple):
    """The planar motion from one cycle of a wrap clip to the next: turn about the world's vertical, then shift.

    Attributes:
        turn: () rad, heading change per cycle.
        shift: (2,) m; a point p of one cycle is at R(turn) p + shift in the next.
    """

    turn: Tensor
    shift: Tensor


def cycle_of(clip: MotionClip) -> Cycle:
    """Return the planar motion that takes a wrap clip's first frame to its last; none for a clamp clip."""
    if clip.loop != "wrap":
        return Cycle(torch.zeros(()), torch.zeros(2))
    change = rotations.quat_mul(clip.root_rot[-1], rotations.quat_conjugate(clip.root_rot[0]))
    turn = rotations.quat_twist_angle(change, torch.tensor([0.0, 0.0, 1.0]))
    return Cycle(turn, clip.root_pos[-1, :2] - turn_about_z(clip.root_pos[0], turn)[:2])


def turn_about_z(vectors: Tensor, angle: Tensor) -> Tensor:
    """Rotate vectors (..., 3) about the vertical by `angle` (...,) rad."""
    cos, sin = torch.cos(angle), torch.sin(angle)
    x, y, z = vectors.unbind(-1)
    return torch.stack((cos * x - sin * y, sin * x + cos * y, z), dim=-1)


def frame_velocities(clip: MotionClip, cycle: Cycle) -> Tuple[Tensor, Tensor, Tensor]:
    """Differentiate a clip.

    A frame's velocity is the mean of those of the two intervals that meet there (a central difference). A wrap clip's
    first and last frames meet the neighbouring cycle; a clamp clip's have one neighbour only.

    Returns:
        root_vel (F, 3) m/s and root_ang_vel (F, 3) rad/s, world; joint_ang_vel (F, J, 3) rad/s, in the child's frame.
    """
    root_vel = (clip.root_pos[1:] - clip.root_pos[:-1]) * clip.fps
    # log(q' q^-1) is in the world frame, log(q^-1 q') in the body's (both frames alike, as it is the axis of the turn).
    before, after = clip.root_rot[:-1], clip.root_rot[1:]
    root_ang_vel = rotations.quat_to_exp_map(rotations.quat_mul(after, rotations.quat_conjugate(before))) * clip.fps
    before, after = clip.joint_rot[:-1], clip.joint_rot[1:]
    joint_ang_vel = rotations.quat_to_exp_map(rotations.quat_mul(rotations.quat_conjugate(before), after)) * clip.fps
    wrap = clip.loop == "wrap"
    return (
        _at_frames(root_vel, wrap, cycle.turn),
        _at_frames(root_ang_vel, wrap, cycle.turn),
        _at_frames(joint_ang_vel, wrap, torch.zeros(())),
    )


def _at_frames(between: Tensor, wrap: bool, turn: Tensor) -> Tensor:
    """Average velocities of the F - 1 intervals at the F frames; the neighbouring cycles' are turned with them."""
    first, last = between[:1], between[-1:]
    before, after = (turn_about_z(last, -turn), turn_about_z(first, turn)) if wrap else (first, last)
    padded = torch.cat((before, between, after))
    return 0.5 * (padded[:-1] + padded[1:])
