"""The up-axis and the unit of a file, neither of which BVH states."""

from dataclasses import replace
from typing import Dict, Optional, Tuple

import torch
from torch import Tensor

from amp_train import rotations
from amp_train.errors import unknown_choice
from amp_train.motion.retarget.frames import matrix_to_quat
from amp_train.motion.retarget.skeleton import UP_AXES, SkeletonMotion

# Name -> metres. CMU's unit is 1/0.45 inch.
UNITS: Dict[str, float] = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254, "cmu": 0.0254 / 0.45}
_LEG_M, _SHORTEST_M, _LONGEST_M = 0.85, 0.55, 1.15
_UPRIGHT = 0.8  # cosine
_WANDERS, _OWN, _AT_HIPS = 1.5, 0.8, 0.8


def in_our_axes(
    motion: SkeletonMotion, roles: Dict[str, int], units: Optional[str] = None, up: Optional[str] = None
) -> Tuple[SkeletonMotion, str, str]:
    """Turn a motion so that z is up, and scale it to metres.

    Args:
        motion: in the file's axes and unit.
        roles: see `roles.find_roles`.
        units: one of `UNITS`; None: the file's, else the one that gives the most likely leg length.
        up: "y" or "z"; None: the file's, else the direction of the standing body.

    Returns:
        The motion, the unit's name and the up-axis.
    """
    if units is not None and units not in UNITS:
        raise unknown_choice("unit", units, UNITS)
    if up is not None and up not in UP_AXES:
        raise unknown_choice("up-axis", up, UP_AXES)
    if units is None and motion.metres:
        units = next((name for name, metres in UNITS.items() if metres == motion.metres), "")
    unit_name, metres = (units, UNITS[units]) if units else _guess_unit(leg_length(motion, roles))
    axis = up or motion.up or _guess_up(motion, roles)
    turn = _rotation(UP_AXES[axis]).to(motion.root_pos)
    turned = motion.rotations.clone()
    turned[:, 0] = rotations.quat_mul(turn.expand_as(turned[:, 0]), turned[:, 0])
    return (
        replace(
            motion,
            offsets=motion.offsets * metres,
            rotations=turned,
            root_pos=rotations.quat_rotate(turn.expand(motion.num_frames, 4), motion.root_pos) * metres,
            tips={joint: tip * metres for joint, tip in motion.tips.items()},
            moved={joint: pos * metres for joint, pos in motion.moved.items()},
            up="z",
            metres=1.0,
        ),
        unit_name,
        axis,
    )


def leg_length(motion: SkeletonMotion, roles: Dict[str, int]) -> float:
    """Return the length of a leg from hip to ankle, the mean of both, in the file's unit."""
    pos = motion.zero_pose()
    bones = [(side + "_thigh", side + "_shin") for side in ("left", "right")]
    bones += [(side + "_shin", side + "_foot") for side in ("left", "right")]
    return float(sum((pos[roles[b]] - pos[roles[a]]).norm() for a, b in bones)) / 2.0


def _guess_unit(leg: float) -> Tuple[str, float]:
    for name, metres in UNITS.items():
        if _SHORTEST_M <= leg * metres <= _LONGEST_M:
            return name, metres
    return "unknown", _LEG_M / max(leg, 1e-9)


def _guess_up(motion: SkeletonMotion, roles: Dict[str, int]) -> str:
    """Choose the axis along which the body stands, and over which its lowest joint keeps its height. Where the zero
    pose stands, its own axis is used unless the frames clearly contradict it."""
    pos, _ = motion.thinned(10.0).forward()
    top = roles.get("head", roles.get("chest", roles["pelvis"]))
    body = pos[:, top] - 0.5 * (pos[:, roles["left_foot"]] + pos[:, roles["right_foot"]])
    leg = leg_length(motion, roles)
    score = {axis: _standing(pos, body, "xyz".index(axis), leg) for axis in UP_AXES}
    zero = motion.zero_pose()
    stand = zero[top] - 0.5 * (zero[roles["left_foot"]] + zero[roles["right_foot"]])
    stand = stand / stand.norm().clamp(min=1e-9)
    root = motion.offsets[0] + zero[roles["pelvis"]]
    for axis in UP_AXES:
        # A zero pose that stands, or a root that the file puts at the height of hips.
        score[axis] += _OWN * float(stand["xyz".index(axis)] > _UPRIGHT)
        score[axis] += _AT_HIPS * float(0.5 * leg < root["xyz".index(axis)] < 2.0 * leg)
    return max(UP_AXES, key=lambda axis: score[axis])


def _standing(pos: Tensor, body: Tensor, axis: int, leg: float) -> float:
    """Return in which share of the frames the body points along an axis, less how much its lowest joint wanders."""
    along = body[:, axis] / body.norm(dim=-1).clamp(min=1e-9)
    lowest = pos[..., axis].min(dim=1)[0]
    wanders = float(torch.quantile(lowest, 0.9) - torch.quantile(lowest, 0.1)) / max(leg, 1e-9)
    return float((along > _UPRIGHT).double().mean()) - min(_WANDERS * wanders, 2.0)


def _rotation(rows: Tuple[Tuple[float, ...], ...]) -> Tensor:
    return matrix_to_quat(torch.tensor(rows, dtype=torch.float64))
