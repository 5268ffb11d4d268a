"""Editing clips: mirror, crop, resample, concatenate, find the best cycle and close it.

All return a new clip; joints stay those of the character."""

from dataclasses import replace
from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterSpec, Kinematics
from amp_train.errors import MotionError
from amp_train.motion.clip import MAX_FPS, MAX_FRAMES, MIN_FPS, MotionClip
from amp_train.motion.fit import close_loop, match_joints
from amp_train.motion.velocities import turn_about_z

# How closely first and last pose must match in a cycle: joints and root, mean and maximum, and the height. Merely
# similar poses differ by several times as much.
_MEETS_MEAN_RAD, _MEETS_MAX_RAD, _MEETS_M = 0.03, 0.12, 0.01
_SHORTEST_CYCLE_S, _LONGEST_CYCLE_S = 0.4, 6.0
_CANDIDATES = 400  # frames of a take that are compared with each other
_SPEED_WEIGHT_S = 0.1  # a difference in speed counts like the difference in pose that it causes in this time
_BLEND_S = 0.25


class Cycle(NamedTuple):
    """A part of a take whose ends are nearly equal.

    Attributes:
        begin, end: first and last frame.
        gap_rad: mean difference of the joints' rotations between the two.
    """

    begin: int
    end: int
    gap_rad: float


def crop(clip: MotionClip, begin_s: float = 0.0, end_s: Optional[float] = None) -> MotionClip:
    """Keep the frames from `begin_s` to `end_s`; it no longer loops.

    Raises:
        MotionError: fewer than two frames are left.
    """
    last = clip.duration_s if end_s is None else min(end_s, clip.duration_s)
    first, end = round(max(0.0, begin_s) * clip.fps), round(last * clip.fps) + 1
    if end - first < 2:
        raise MotionError(
            f"Clip '{clip.name}' lasts {clip.duration_s:.2f} s; there is nothing between {begin_s:g} and {last:g} s."
        )
    whole = first == 0 and end == clip.num_frames
    return _frames(clip, torch.arange(first, end), clip.loop if whole else "clamp")


def resample(clip: MotionClip, fps: float) -> MotionClip:
    """Return the clip with another number of frames a second, as near to `fps` as its length allows.

    Raises:
        MotionError: a rate that is not allowed.
    """
    if not MIN_FPS <= fps <= MAX_FPS:
        raise MotionError(f"fps must be {MIN_FPS:g} to {MAX_FPS:g}, not {fps:g}.")
    count = max(1, round(clip.duration_s * fps))
    if count >= MAX_FRAMES:
        raise MotionError(f"Clip '{clip.name}' would have {count + 1} frames; {MAX_FRAMES} are allowed.")
    times = torch.linspace(0.0, clip.num_frames - 1, count + 1, dtype=torch.float64)
    return replace(_at(clip, times), fps=count / clip.duration_s)


def mirror(clip: MotionClip, spec: CharacterSpec) -> MotionClip:
    """Exchange left and right: the mirror is the plane of x and z.

    Raises:
        MotionError: a joint of one side has no counterpart on the other.
    """
    clip = match_joints(clip, spec)
    order = [_counterpart(name, spec.joint_names) for name in spec.joint_names]
    # A mirrored rotation keeps its turn about y and reverses those about x and z.
    signs = torch.tensor([-1.0, 1.0, -1.0, 1.0])
    return replace(
        clip,
        root_pos=clip.root_pos * torch.tensor([1.0, -1.0, 1.0]),
        root_rot=clip.root_rot * signs,
        joint_rot=clip.joint_rot[:, order] * signs,
    )


def concat(clips: Sequence[MotionClip], spec: CharacterSpec, blend_s: float = _BLEND_S) -> MotionClip:
    """Concatenate clips: each starts at the place and heading where the previous one ended, and the remaining
    difference is blended away over `blend_s`.

    Raises:
        MotionError: no clip.
    """
    if not clips:
        raise MotionError("There is no clip to concatenate.")
    fps = clips[0].fps
    whole = match_joints(clips[0], spec)
    for clip in clips[1:]:
        part = _aligned(resample(match_joints(clip, spec), fps), whole)
        whole = _joined(whole, part, max(1, round(blend_s * fps)))
    return replace(whole, loop=clips[0].loop if len(clips) == 1 else "clamp", fps=fps)


def ends_meet(clip: MotionClip) -> bool:
    """Return whether the last frame repeats the first pose: one cycle."""
    if clip.num_frames < 4 or clip.duration_s < _SHORTEST_CYCLE_S:
        return False
    pose = _angles(_features(clip)[-1], _features(clip)[0])
    height = float((clip.root_pos[-1, 2] - clip.root_pos[0, 2]).abs())
    return float(pose.mean()) < _MEETS_MEAN_RAD and float(pose.max()) < _MEETS_MAX_RAD and height < _MEETS_M


def best_cycle(clip: MotionClip, shortest_s: float = _SHORTEST_CYCLE_S, longest_s: float = _LONGEST_CYCLE_S) -> Cycle:
    """Find the part whose ends match best in pose and speed, whatever their place and heading.

    Raises:
        MotionError: the take is shorter than `shortest_s`.
    """
    step = max(1, int(np.ceil(clip.num_frames / _CANDIDATES)))
    features = torch.cat((_features(clip), _SPEED_WEIGHT_S * _speeds(clip)), dim=1)[::step]
    fastest = max(1, int(np.ceil(shortest_s * clip.fps / step)))
    slowest = int(longest_s * clip.fps / step)
    if len(features) <= fastest:
        raise MotionError(
            f"Clip '{clip.name}' lasts {clip.duration_s:.2f} s, less than a cycle (shortest={shortest_s:g} s)."
        )
    distance = torch.cdist(features.flatten(1), features.flatten(1))
    lag = torch.arange(len(features)) - torch.arange(len(features)).unsqueeze(1)
    distance[(lag < fastest) | (lag > slowest)] = torch.inf
    begin, end = divmod(int(distance.argmin()), len(features))
    begin, end = _refined(clip, begin * step, end * step, step)
    gap = _angles(_features(clip)[begin], _features(clip)[end])
    return Cycle(begin, end, float(gap.mean()))


def loop(clip: MotionClip, shortest_s: float = _SHORTEST_CYCLE_S, longest_s: float = _LONGEST_CYCLE_S) -> MotionClip:
    """Cut the best cycle out of a take and close it."""
    cycle = best_cycle(clip, shortest_s, longest_s)
    return close_loop(_frames(clip, torch.arange(cycle.begin, cycle.end + 1), "wrap"))


def _refined(clip: MotionClip, begin: int, end: int, step: int) -> Tuple[int, int]:
    """Search every frame around the best pair of thinned ones."""
    features = torch.cat((_features(clip), _SPEED_WEIGHT_S * _speeds(clip)), dim=1)

    def near(frame: int) -> Tensor:
        return torch.arange(max(0, frame - step), min(clip.num_frames, frame + step + 1))

    first, last = near(begin), near(end)
    distance = torch.cdist(features[first].flatten(1), features[last].flatten(1))
    row, column = divmod(int(distance.argmin()), len(last))
    return int(first[row]), int(last[column])


def _features(clip: MotionClip) -> Tensor:
    """Return the pose without place and heading, (F, 1 + J, 4): the root's tilt and the joints."""
    tilt = rotations.quat_mul(rotations.heading_rot_inv(clip.root_rot), clip.root_rot)
    rot = torch.cat((tilt.unsqueeze(1), clip.joint_rot), dim=1)
    return rot * torch.where(rot[..., 3:] < 0, -1.0, 1.0)


def _speeds(clip: MotionClip) -> Tensor:
    """Return half the change of the features a second, (F, 1 + J, 4)."""
    features = _features(clip)
    change = (features[1:] - features[:-1]) * clip.fps
    return 0.5 * torch.cat((change[:1], change)) + 0.5 * torch.cat((change, change[-1:]))


def _angles(first: Tensor, second: Tensor) -> Tensor:
    """Return the angle (...,) rad between rotations (..., 4)."""
    return _angular(first, second).norm(dim=-1)


def _angular(first: Tensor, second: Tensor) -> Tensor:
    return rotations.quat_to_exp_map(rotations.quat_mul(rotations.quat_conjugate(second), first))


def _frames(clip: MotionClip, index: Tensor, loop_mode: str) -> MotionClip:
    return replace(
        clip,
        loop=loop_mode,
        root_pos=clip.root_pos[index],
        root_rot=clip.root_rot[index],
        joint_rot=clip.joint_rot[index],
    )


def _at(clip: MotionClip, position: Tensor) -> MotionClip:
    """Return the poses at fractional frames (F,)."""
    before = position.long().clamp(max=clip.num_frames - 2)
    blend = (position - before).float().unsqueeze(-1)
    return replace(
        clip,
        root_pos=torch.lerp(clip.root_pos[before], clip.root_pos[before + 1], blend),
        root_rot=rotations.slerp(clip.root_rot[before], clip.root_rot[before + 1], blend),
        joint_rot=rotations.slerp(clip.joint_rot[before], clip.joint_rot[before + 1], blend.unsqueeze(-1)),
    )


def other_side(name: str) -> str:
    """Return what the same part of the other side is called; a name of neither side stays."""
    for one, other in (
        ("left", "right"),
        ("right", "left"),
        ("Left", "Right"),
        ("Right", "Left"),
        ("_L", "_R"),
        ("_R", "_L"),
    ):
        if one in name:
            return name.replace(one, other)
    return name


def _counterpart(name: str, names: Sequence[str]) -> int:
    other = other_side(name)
    if other not in names:
        raise MotionError(f"Joint '{name}' has no counterpart '{other}': the character is not symmetric.")
    return list(names).index(other)


def _aligned(clip: MotionClip, before: MotionClip) -> MotionClip:
    """Turn and move a clip so that it starts at the place and heading where another ends."""
    turn = rotations.heading(before.root_rot[-1]) - rotations.heading(clip.root_rot[0])
    pos = turn_about_z(clip.root_pos - clip.root_pos[0] * torch.tensor([1.0, 1.0, 0.0]), turn)
    return replace(
        clip,
        root_pos=pos + before.root_pos[-1] * torch.tensor([1.0, 1.0, 0.0]),
        root_rot=rotations.quat_mul(rotations.yaw_quat(turn).expand_as(clip.root_rot), clip.root_rot),
    )


def _joined(before: MotionClip, after: MotionClip, count: int) -> MotionClip:
    """Append `after` to `before`, whose last pose is its first: the difference fades over `count` frames."""
    count = min(count, after.num_frames - 1)
    share = torch.ones(after.num_frames)
    x = torch.arange(count + 1) / count
    share[: count + 1] = x * x * (3.0 - 2.0 * x)

    def faded(last: Tensor, rot: Tensor) -> Tensor:
        gap = _angular(last, rot[0])
        part = (1.0 - share).reshape((-1,) + (1,) * gap.dim()) * gap
        return rotations.quat_mul(rot, rotations.exp_map_to_quat(part))

    rise = (1.0 - share).unsqueeze(1) * (before.root_pos[-1] - after.root_pos[0])
    rotated = faded(before.root_rot[-1], after.root_rot), faded(before.joint_rot[-1], after.joint_rot)
    return replace(
        before,
        root_pos=torch.cat((before.root_pos, (after.root_pos + rise)[1:])),
        root_rot=torch.cat((before.root_rot, rotated[0][1:])),
        joint_rot=torch.cat((before.joint_rot, rotated[1][1:])),
    )


def posed_bodies(clip: MotionClip, spec: CharacterSpec) -> Tuple[Tensor, Tensor]:
    """Place the bodies in every frame: positions (F, B, 3) m and rotations (F, B, 4)."""
    parts: List[Tuple[Tensor, Tensor]] = []
    kinematics = Kinematics(spec)
    for frames in zip(*(t.split(4096) for t in (clip.root_pos, clip.root_rot, clip.joint_rot))):
        parts.append(kinematics.forward(*frames))
    pos, rot = zip(*parts)
    return torch.cat(pos), torch.cat(rot)
