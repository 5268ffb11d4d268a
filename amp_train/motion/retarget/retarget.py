"""From a skeleton's motion to a character's clip, step by step:

1. `roles`: which joint is which part of the body;
2. `axes`: z up, metres;
3. `anatomy`: the orientation of every part, whatever the joints' axes and rest pose;
4. `transfer`: the same orientations on the character, positions scaled by leg length, planted feet held;
5. `ik`: feet, hands, pelvis and joint limits together."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Union

import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterSpec, Kinematics
from amp_train.errors import MotionError
from amp_train.motion.clip import MotionClip
from amp_train.motion.retarget.anatomy import TRUNK, Anatomy, anatomy_of
from amp_train.motion.retarget.axes import in_our_axes, leg_length
from amp_train.motion.retarget.ik import solve
from amp_train.motion.retarget.roles import family_of, find_roles, read_map
from amp_train.motion.retarget.skeleton import SkeletonMotion
from amp_train.motion.retarget.target import Target, target_of
from amp_train.motion.retarget.transfer import Goals, goals_of, posed, stretches

_MAX_FPS = 60.0
_BACKWARDS_M = 0.03  # of toes behind the ankle


@dataclass(frozen=True)
class RetargetOptions:
    """What the user may specify about a file that the file does not state.

    Attributes:
        units: "m", "cm", "mm", "inch" or "cmu"; None: derived from the length of the legs.
        up: "y" or "z"; None: detected.
        fps: frames a second; None: the file's.
        map: YAML file, or role -> joint; None: found by the joints' names.
        max_fps: frames above this rate are dropped.
        ik: whether inverse kinematics corrects feet, hands and limits; False: orientations only.
        smooth: s, Gaussian over time; 0: none.
    """

    units: Optional[str] = None
    up: Optional[str] = None
    fps: Optional[float] = None
    map: Optional[Union[str, Path, Dict[str, str]]] = None
    max_fps: float = _MAX_FPS
    ik: bool = True
    smooth: float = 0.0


AS_FOUND = RetargetOptions()


class Retargeted(NamedTuple):
    """A retargeted clip, with notes on how it was made.

    Attributes:
        clip: for the character, not yet fitted to the ground.
        notes: one fact per line.
        error_cm: part of a limb -> mean distance of the character's body from the source's scaled joint, cm.
        source: the file's motion in our axes and metres, for showing it next to the clip.
        planted: side -> (F,) bool, the foot is planted.
        is_mirrored: the toes point backwards: the file calls left what is right.
    """

    clip: MotionClip
    notes: List[str]
    error_cm: Dict[str, float]
    source: SkeletonMotion
    planted: Dict[str, Tensor]
    is_mirrored: bool


def retarget(motion: SkeletonMotion, spec: CharacterSpec, options: RetargetOptions = AS_FOUND) -> Retargeted:
    """Transfer a skeleton's motion to a character.

    Raises:
        MotionError: one of them has no recognisable legs, or an option is wrong.
        MissingPackageError: mink is not installed.
    """
    given = read_map(Path(options.map)) if isinstance(options.map, (str, Path)) else options.map
    roles = find_roles(motion.joint_names, motion.parents, given)
    begins = motion.begins_in_zero_pose
    motion = motion.without_first() if begins else motion
    motion = replace(motion, fps=options.fps or motion.fps).thinned(options.max_fps)
    if leg_length(motion, roles) < 1e-6:
        raise MotionError(f"Clip '{motion.name}': the legs of its skeleton have no length.")
    ours, unit_name, up = in_our_axes(motion, roles, options.units, options.up)
    leg_m = leg_length(ours, roles)
    target = target_of(spec)
    anatomy = anatomy_of(ours, roles)
    goals = goals_of(anatomy, target, leg_m, ours.fps)
    pose = posed(goals, target)
    if options.ik:
        pose = solve(goals, target, pose)
    clip = MotionClip(
        name=motion.name,
        fps=ours.fps,
        root_pos=pose[0],
        root_rot=pose[1],
        joint_rot=pose[2],
        joint_names=spec.joint_names,
    )
    clip = smoothed(clip, options.smooth)
    notes = _notes(motion, unit_name, up, leg_m, anatomy, goals, target)
    if begins:
        notes.append("its first frame is the zero pose and was dropped")
    return Retargeted(clip, notes, _errors(clip, goals, target), ours, goals.planted, _is_mirrored(goals))


def smoothed(clip: MotionClip, deviation_s: float) -> MotionClip:
    """Average a clip over time with a Gaussian of `deviation_s` seconds; 0: leave it."""
    reach = int(3.0 * deviation_s * clip.fps)
    if reach < 1:
        return clip
    shifts = torch.arange(-reach, reach + 1)
    weights = torch.exp(-0.5 * (shifts / (deviation_s * clip.fps)) ** 2)
    weights = weights / weights.sum()
    frames = (torch.arange(clip.num_frames).unsqueeze(1) + shifts).clamp(0, clip.num_frames - 1)

    def mean(values: Tensor) -> Tensor:
        return (values[frames] * weights.reshape((1, -1) + (1,) * (values.dim() - 1))).sum(1)

    # Signs of quaternions are continuous in a clip, so that their mean is a rotation between them.
    return replace(
        clip,
        root_pos=mean(clip.root_pos),
        root_rot=rotations.normalize(mean(clip.root_rot)),
        joint_rot=rotations.normalize(mean(clip.joint_rot)),
    )


def _errors(clip: MotionClip, goals: Goals, target: Target) -> Dict[str, float]:
    """Return the mean distance (cm) of bodies from the source's, relative to the hips."""
    body_pos, _ = Kinematics(target.spec).forward(clip.root_pos, clip.root_rot, clip.joint_rot)
    return {
        role: 100.0 * float((body_pos[:, target.bodies[role]] - points).norm(dim=-1).mean())
        for role, points in goals.points.items()
        if role in target.bodies and role not in TRUNK  # every skeleton has its spine's joints elsewhere
    }


def _notes(
    motion: SkeletonMotion, unit: str, up: str, leg_m: float, anatomy: Anatomy, goals: Goals, target: Target
) -> List[str]:
    family = family_of(motion.joint_names)
    notes = [
        f"{len(motion.joint_names)} joints{f' ({family})' if family else ''}, {motion.num_frames} "
        f"frames, {motion.fps:g} fps, unit {unit}, {up} up, "
        f"{'zero pose stands' if anatomy.stands else 'zero pose does not stand: axes derived from the motion'}",
        f"legs {leg_m:.2f} m, '{target.spec.name}' {target.leg_m:.2f} m: scaled by {goals.scale:.3f}",
    ]  # fmt: skip
    missing = [part for part in target.fixed if part not in goals.body_rot]
    if missing:
        notes.append("not in the file, kept at rest: " + ", ".join(missing))
    standing = [f"{side} {len(stretches(flags))}" for side, flags in goals.planted.items()]
    notes.append("foot contacts: " + ", ".join(standing))
    return notes


def _is_mirrored(goals: Goals) -> bool:
    """Return whether the toes point backwards."""
    forward = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    agree = []
    for side in ("left", "right"):
        if side + "_toe" in goals.points:
            ankle = goals.points[side + "_foot"]
            facing = rotations.quat_rotate(goals.body_rot["pelvis"], forward.expand(len(ankle), 3))
            agree.append(float(((goals.points[side + "_toe"] - ankle) * facing).sum(-1).mean()))
    return bool(agree) and max(agree) < -_BACKWARDS_M
