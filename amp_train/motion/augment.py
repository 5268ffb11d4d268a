"""Variants of clips: mirrored, bent along an arc, faster and slower. For tasks that need directions and speeds which
the data lacks."""

from dataclasses import replace
from typing import Any, List, Sequence, Tuple

import torch

from amp_train import rotations
from amp_train.character import CharacterSpec
from amp_train.errors import MotionError
from amp_train.motion.clip import MAX_FPS, MAX_NUMBERS_IN_ALL, MIN_FPS, MotionClip
from amp_train.motion.operations import mirror
from amp_train.motion.velocities import turn_about_z

_TRAVELS_M_S = 0.3  # a clip that stays in place has no path to bend
_MAX_ARC_DEG_S = 180.0
_MAX_CYCLE_TURN_RAD = 3.0  # a cycle's turn is known up to half a revolution
_TEMPO = (0.5, 2.0)


def augmented(
    clips: Sequence[MotionClip], weights: Sequence[float], augment: Any, spec: CharacterSpec
) -> Tuple[Tuple[MotionClip, ...], Tuple[float, ...]]:
    """Add variants of clips; those of one clip share its weight.

    Args:
        clips, weights: the data set.
        augment: `mirror` (bool), `arcs_deg_s` (turning rates, left positive) and `tempo` (factors of speed).
        spec: the character.

    Raises:
        MotionError: a rate or a factor out of range, a character that cannot be mirrored, or too much of it.
    """
    if not augment.mirror and not augment.arcs_deg_s and not augment.tempo:
        return tuple(clips), tuple(weights)
    _check(augment)
    most = (1 + augment.mirror) * (1 + len(augment.arcs_deg_s) + len(augment.tempo))  # variants of a clip
    if most * sum(clip.joint_rot.numel() for clip in clips) > MAX_NUMBERS_IN_ALL:
        raise MotionError(
            f"motion.augment makes up to {most} clips of each, more than the {MAX_NUMBERS_IN_ALL // 10**6} million "
            "numbers allowed in all."
        )
    all_clips: List[MotionClip] = []
    all_weights: List[float] = []
    for clip, weight in zip(clips, weights):
        variants = _variants(clip, augment, spec)
        all_clips += variants
        all_weights += [weight / len(variants)] * len(variants)
    return tuple(all_clips), tuple(all_weights)


def bent(clip: MotionClip, rate_deg_s: float) -> MotionClip:
    """Turn a clip's path and heading at a constant rate (deg/s, left positive); joints and steps stay."""
    rate = torch.deg2rad(torch.tensor(rate_deg_s, dtype=torch.float64))
    angle = rate * torch.arange(clip.num_frames, dtype=torch.float64) / clip.fps
    pos = clip.root_pos.double()
    # A step follows the character's heading half-way through it.
    steps = turn_about_z(pos[1:] - pos[:-1], 0.5 * (angle[1:] + angle[:-1]))
    path = torch.cat((pos[:1], pos[:1] + torch.cumsum(steps, dim=0)))
    root_rot = rotations.quat_mul(rotations.yaw_quat(angle), clip.root_rot.double())
    return replace(clip, name=f"{clip.name} {rate_deg_s:+g} deg/s", root_pos=path, root_rot=root_rot)


def played(clip: MotionClip, tempo: float) -> MotionClip:
    """Play a clip `tempo` times as fast."""
    return replace(clip, name=f"{clip.name} x{tempo:g}", fps=min(max(clip.fps * tempo, MIN_FPS), MAX_FPS))


def _variants(clip: MotionClip, augment: Any, spec: CharacterSpec) -> List[MotionClip]:
    sides = [clip]
    if augment.mirror:
        sides.append(replace(mirror(clip, spec), name=f"{clip.name} mirrored"))
    found = list(sides)
    for side in sides:
        speed = float((side.root_pos[1:, :2] - side.root_pos[:-1, :2]).norm(dim=-1).sum()) / side.duration_s
        # A clip that does not repeat is one action, such as a punch: bent, it would be another.
        if side.loop == "wrap" and speed > _TRAVELS_M_S:
            found += [bent(side, rate) for rate in augment.arcs_deg_s if _turns_less(side, rate)]
        found += [played(side, tempo) for tempo in augment.tempo]
    return found


def _turns_less(clip: MotionClip, rate_deg_s: float) -> bool:
    """Return whether a cycle turns less than half a revolution."""
    return abs(rate_deg_s) * clip.duration_s * torch.pi / 180.0 < _MAX_CYCLE_TURN_RAD


def _check(augment: Any) -> None:
    for rate in augment.arcs_deg_s:
        if not 0.0 < abs(rate) <= _MAX_ARC_DEG_S:
            raise MotionError(
                f"motion.augment.arcs_deg_s must be rates from -{_MAX_ARC_DEG_S:g} to {_MAX_ARC_DEG_S:g} deg/s "
                f"without 0, not {rate:g}."
            )
    for tempo in augment.tempo:
        if not _TEMPO[0] <= tempo <= _TEMPO[1]:
            raise MotionError(f"motion.augment.tempo must be {_TEMPO[0]:g} to {_TEMPO[1]:g}, not {tempo:g}.")
