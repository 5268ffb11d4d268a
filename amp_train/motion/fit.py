"""Fit a clip to a character: joints by name, hinges to their twist, a closed loop."""

from dataclasses import replace
from functools import lru_cache
from typing import List, Sequence

import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterSpec, Kinematics, load_character
from amp_train.errors import MotionError
from amp_train.motion.clip import MotionClip
from amp_train.motion.velocities import cycle_of

KEY_BODIES = ("right_hand", "left_hand", "right_foot", "left_foot")
_FEET = ("right_foot", "left_foot")
_BLEND_S = 0.25
_MEANT_TURN_RAD = 0.5


@lru_cache(maxsize=1)
def bundled_humanoid() -> CharacterSpec:
    """Return the default character of clips."""
    return load_character("humanoid.xml", KEY_BODIES, _FEET)


def match_joints(clip: MotionClip, spec: CharacterSpec) -> MotionClip:
    """Reorder the clip's joints to the character's, and keep only the part of a hinge's rotation about its axis.

    Raises:
        MotionError: the clip lacks one of the character's joints, or has one that the character lacks.
    """
    missing = [j for j in spec.joint_names if j not in clip.joint_names]
    unknown = [j for j in clip.joint_names if j not in spec.joint_names]
    if missing or unknown:
        raise MotionError(
            f"Motion clip '{clip.name}' does not fit character '{spec.name}': "
            f"{'; '.join(_listed('it lacks', missing) + _listed('the character lacks', unknown))}."
        )
    order = [clip.joint_names.index(j) for j in spec.joint_names]
    kinematics = Kinematics(spec)
    joint_rot = clip.joint_rot[:, order].clone()
    hinges, _ = spec.joint_dofs(1)
    joint_rot[:, hinges] = kinematics.joint_rot(kinematics.dof_pos(joint_rot))[:, hinges]
    return replace(clip, joint_names=spec.joint_names, joint_rot=joint_rot)


def close_loop(clip: MotionClip) -> MotionClip:
    """Make a wrap clip's last frame its first pose again, exactly.

    Published "wrap" clips are cut where two poses are merely alike (DeepMimic's walk: the right shoulder jumps by 0.5
    rad). Half of the gap is blended into either end, over `_BLEND_S` at most, so that the rest of the clip and its
    contacts with the ground stay as captured. A turn of the root about the vertical is kept if it is clearly intended
    (more than `_MEANT_TURN_RAD`), else closed too, so that a straight walk stays straight over many cycles. A clamp
    clip is returned unchanged."""
    if clip.loop != "wrap":
        return clip
    share = _blend_shares(clip)
    turn = cycle_of(clip).turn
    kept = rotations.yaw_quat(torch.where(turn.abs() > _MEANT_TURN_RAD, turn, torch.zeros(())))
    rise = clip.root_pos[-1, 2] - clip.root_pos[0, 2]
    return replace(
        clip,
        root_pos=clip.root_pos - torch.stack((torch.zeros_like(share), torch.zeros_like(share), share * rise), dim=-1),
        root_rot=_spread(clip.root_rot, rotations.quat_mul(kept, clip.root_rot[0]), share),
        joint_rot=_spread(clip.joint_rot, clip.joint_rot[0], share),
    )


def _blend_shares(clip: MotionClip) -> Tensor:
    """Return each frame's share (F,) of the gap: -1/2 at the first, 1/2 at the last, smoothly to 0 in between."""
    time_s = torch.arange(clip.num_frames) / clip.fps
    x = (time_s / min(_BLEND_S, 0.25 * clip.duration_s)).clamp(max=1.0)
    towards_start = 0.5 - x * x * (1.5 - x)
    return towards_start.flip(0) - towards_start


def _spread(rot: Tensor, goal: Tensor, share: Tensor) -> Tensor:
    """Turn frame k of rot (F, ..., 4) by share[k] of the rotation that takes the last frame to `goal` (..., 4)."""
    gap = rotations.quat_to_exp_map(rotations.quat_mul(rotations.quat_conjugate(rot[-1]), goal))
    part = share.reshape((-1,) + (1,) * gap.dim()) * gap
    return rotations.quat_mul(rot, rotations.exp_map_to_quat(part))


def _listed(what: str, names: Sequence[str]) -> List[str]:
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return [f"{what} {shown}"] if names else []
