"""Biovision BVH, the format that most mocap is published in. Our own reader: bounded, and it runs no code.

HIERARCHY names joints with an OFFSET and CHANNELS in any order; MOTION has one row of numbers a frame, angles in
degrees. A joint turns by its channels in the order in which they are listed, each about the axes that result from the
one before. The format fixes neither unit nor up-axis: `retarget.axes` finds them."""

import math
import re
from typing import Dict, Iterator, List, Tuple

import numpy as np
import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterSpec
from amp_train.errors import MotionError
from amp_train.motion.clip import MAX_FRAMES, MAX_JOINTS, MAX_NUMBERS
from amp_train.motion.importers.base import Imported, Importer, MotionFile
from amp_train.motion.retarget import RetargetOptions, SkeletonMotion, retarget
from amp_train.untrusted import printable

_MAX_HEADER_BYTES = 256 * 1024
_MAX_DEPTH = 64
_AXES = "XYZ"
_MAX_WORDS = 8  # in a name
_MOTION = re.compile(rb"^[ \t]*MOTION[ \t]*$", re.MULTILINE | re.IGNORECASE)
_CLOCK = re.compile(rb"\s*Frames\s*:\s*(\S{1,40})\s+Frame\s*Time\s*:\s*(\S{1,40})\s", re.IGNORECASE)


class _Joints:
    """The hierarchy while it is read."""

    def __init__(self) -> None:
        self.names: List[str] = []
        self.parents: List[int] = []
        self.offsets: List[List[float]] = []
        self.channels: List[List[str]] = []
        self.tips: Dict[int, Tensor] = {}


def is_bvh(data: bytes) -> bool:
    """Return whether a file begins like a BVH file."""
    return data[:256].lstrip(b"\xef\xbb\xbf \t\r\n").upper().startswith(b"HIERARCHY")


def parse_bvh(data: bytes, name: str) -> SkeletonMotion:
    """Read a BVH file.

    Raises:
        MotionError: broken, truncated, too large, or a joint without offset or channels.
    """
    data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    found = _MOTION.search(data)
    head, motion = (data[: found.start()], data[found.end() :]) if found else (data, b"")
    if found is None:
        raise _bad(name, "it has no MOTION part; it may be truncated")
    if len(head) > _MAX_HEADER_BYTES:
        raise _bad(name, f"its hierarchy is larger than {_MAX_HEADER_BYTES // 1024} KiB")
    joints = _Joints()
    text = head.decode("utf-8", "replace").lstrip("\ufeff").replace("{", " { ").replace("}", " } ")
    _read_hierarchy(joints, iter(text.split()), name)
    fps, values = _read_motion(motion, sum(len(c) for c in joints.channels), name)
    local, root_pos, moved = _poses(joints, values, name)
    return SkeletonMotion(
        name=name,
        fps=fps,
        joint_names=tuple(joints.names),
        parents=tuple(joints.parents),
        offsets=torch.tensor(joints.offsets, dtype=torch.float64),
        rotations=local,
        root_pos=root_pos,
        tips=joints.tips,
        moved=moved,
    )


def _read_hierarchy(joints: _Joints, words: Iterator[str], name: str) -> None:
    """Read the joints in the file's order; `above` is the stack of open joints, -1 for an End Site."""
    above: List[int] = []
    try:
        if next(words).upper() != "HIERARCHY":
            raise _bad(name, "it does not begin with HIERARCHY")
        for word in words:
            kind = word.upper()
            if kind in ("ROOT", "JOINT"):
                _open_joint(joints, above, _title(words, name), kind, name)
            elif kind == "END":
                _title(words, name)
                above.append(-1)
            elif kind == "OFFSET":
                _read_offset(joints, above, [_number(next(words), name) for _ in range(3)], name)
            elif kind == "CHANNELS":
                _read_channels(joints, above, words, name)
            elif kind == "}":
                above.pop()
            else:
                raise _bad(name, f"its hierarchy has '{printable(word)[:40]}' where a joint is expected")
    except (StopIteration, IndexError):
        raise _bad(name, "its hierarchy is not complete") from None
    if above or not joints.names or min(len(o) for o in joints.offsets) < 3:
        raise _bad(name, "its hierarchy is not complete")


def _open_joint(joints: _Joints, above: List[int], title: str, kind: str, name: str) -> None:
    if (kind == "ROOT") != (not above) or (kind == "ROOT" and joints.names):
        raise _bad(name, "it must have one ROOT, and every JOINT inside it")
    if len(joints.names) >= MAX_JOINTS or len(above) >= _MAX_DEPTH:
        raise _bad(name, f"it has more than {MAX_JOINTS} joints, or {_MAX_DEPTH} inside each other")
    title = printable(title)[:80]
    if title in joints.names:  # some exporters give two joints the same name
        title = f"{title}.{len(joints.names)}"
    joints.names.append(title)
    joints.parents.append(above[-1] if above else -1)
    if joints.parents[-1] == -1 and above:
        raise _bad(name, "it has a joint below an End Site")
    joints.offsets.append([])
    joints.channels.append([])
    above.append(len(joints.names) - 1)


def _title(words: Iterator[str], name: str) -> str:
    """Read a name, which may have spaces, and the brace after it."""
    title: List[str] = []
    for word in words:
        if word == "{":
            return " ".join(title) or "joint"
        title.append(word)
        if len(title) > _MAX_WORDS or word.upper() in ("OFFSET", "CHANNELS"):
            raise _bad(name, f"it has '{printable(word)[:40]}' where '{{' is expected")
    raise StopIteration


def _read_offset(joints: _Joints, above: List[int], offset: List[float], name: str) -> None:
    if above[-1] >= 0:
        joints.offsets[above[-1]] = offset
    elif above[-2] >= 0:
        joints.tips[above[-2]] = torch.tensor(offset, dtype=torch.float64)


def _read_channels(joints: _Joints, above: List[int], words: Iterator[str], name: str) -> None:
    count = int(_number(next(words), name))
    channels = [next(words).capitalize() for _ in range(min(max(count, 0), 6))]
    known = [a + kind for a in _AXES for kind in ("position", "rotation")]
    if not 0 <= count <= 6 or any(c not in known for c in channels) or len(set(channels)) < len(channels):
        raise _bad(name, f"a joint's CHANNELS must be up to 6 of: {', '.join(known)}")
    joints.channels[above[-1]] = channels


def _read_motion(motion: bytes, columns: int, name: str) -> Tuple[float, np.ndarray]:
    """Return frames per second and the rows (F, columns)."""
    clock = _CLOCK.match(motion)
    if clock is None or columns == 0:
        raise _bad(name, "its MOTION part needs Frames:, Frame Time: and rows of numbers")
    frames, step_s = (_number(word.decode("latin1"), name) for word in clock.groups())
    if not 0 < step_s <= 10.0 or not 1 <= frames <= MAX_FRAMES or frames * columns > MAX_NUMBERS:
        raise _bad(
            name,
            f"it declares {frames:g} frames of {step_s:g} s; at most "
            f"{min(MAX_FRAMES, MAX_NUMBERS // columns)} frames are allowed",
        )
    words = motion[clock.end() :].split(None, int(frames) * columns)[: int(frames) * columns]
    try:
        values = np.array(words, dtype=np.float64)
    except ValueError:
        raise _bad(name, "its MOTION part contains something other than numbers") from None
    if len(values) < columns or not np.isfinite(values).all():
        raise _bad(name, "its MOTION part is truncated or contains NaN or infinity")
    # A file that is truncated in its last row is used up to the row before.
    return _round_fps(1.0 / step_s), values[: len(values) // columns * columns].reshape(-1, columns)


def _round_fps(fps: float) -> float:
    """Files print 0.008333 for 1/120 and .0333 for 1/30."""
    whole = round(fps)
    return float(whole) if whole > 0 and abs(fps / whole - 1.0) < 2e-3 else fps


def _poses(joints: _Joints, values: np.ndarray, name: str) -> Tuple[Tensor, Tensor, Dict[int, Tensor]]:
    """Turn channels into local rotations (F, J, 4), the root's position (F, 3) and the positions of moved joints."""
    local, moved, column = [], {}, 0
    for joint, channels in enumerate(joints.channels):
        part = torch.from_numpy(values[:, column : column + len(channels)])
        column += len(channels)
        local.append(_rotation(channels, part))
        if any(c.endswith("position") for c in channels):
            moved[joint] = _position(channels, part, joints.offsets[joint])
    root = moved.pop(0, None)
    if root is None:
        root = torch.tensor(joints.offsets[0], dtype=torch.float64).repeat(len(values), 1)
    # Most exporters list a position for every joint that never moves.
    return torch.stack(local, dim=1), root, {j: p for j, p in moved.items() if _moves(p, joints.offsets[j])}


def _moves(pos: Tensor, offset: List[float]) -> bool:
    size = max(1e-6, float(np.linalg.norm(offset)))
    return bool((pos - torch.tensor(offset, dtype=pos.dtype)).abs().max() > 1e-3 * size)


def _rotation(channels: List[str], part: Tensor) -> Tensor:
    rot = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64).repeat(len(part), 1)
    for k, channel in enumerate(channels):
        if channel.endswith("rotation"):
            axis = torch.eye(3, dtype=torch.float64)[_AXES.index(channel[0])]
            turn = rotations.quat_from_angle_axis(torch.deg2rad(part[:, k]), axis.expand(len(part), 3))
            rot = rotations.quat_mul(rot, turn)
    return rot


def _position(channels: List[str], part: Tensor, offset: List[float]) -> Tensor:
    """A position channel replaces the offset's component."""
    pos = torch.tensor(offset, dtype=torch.float64).repeat(len(part), 1)
    for k, channel in enumerate(channels):
        if channel.endswith("position"):
            pos[:, _AXES.index(channel[0])] = part[:, k]
    return pos


def _number(word: str, name: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _bad(name, f"it has '{printable(word)[:40]}' where a number is expected")
    return value


def _bad(name: str, what: str) -> MotionError:
    return MotionError(f"BVH file '{name}' cannot be used: {what}.")


def _matches(file: MotionFile) -> bool:
    return is_bvh(file.data)


def _parse(file: MotionFile, spec: CharacterSpec, options: RetargetOptions) -> Imported:
    done = retarget(parse_bvh(file.data, file.name), spec, options)
    return Imported(done.clip, done.notes, done)


BVH = Importer("BVH", _matches, _parse)
