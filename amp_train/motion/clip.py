"""`MotionClip`: one mocap clip, checked when it is built, so that no later code needs to check it.

Frames are equally spaced; frame k is at k / fps seconds, so F frames last (F - 1) / fps. A "wrap" clip is one cycle
whose last frame is its first pose again, moved along the ground and turned about the vertical (DeepMimic's
convention); a "clamp" clip stops at its ends. Many published wrap clips only nearly close: `fit.close_loop` closes
them, as for the bundled ones; loading does not."""

import math
from dataclasses import dataclass
from typing import Any, Tuple

import numpy as np
import torch
from torch import Tensor

from amp_train.errors import MotionError
from amp_train.untrusted import printable

SCHEMA_VERSION = 1
LOOP_MODES = ("clamp", "wrap")
MAX_FRAMES = 200_000
MAX_JOINTS = 256
MAX_NUMBERS = 2**24  # in one array: a narrow type must not grow to gigabytes of float64
# Joint rotations of all clips: 1 GiB, 40 hours of the humanoid at 30 Hz. A data set may name one file many times.
MAX_NUMBERS_IN_ALL = 2**28
MIN_FPS, MAX_FPS = 1.0, 1000.0
MAX_POSITION_M = 1.0e4
# Text formats print quaternions with few digits: they are scaled to unit length, but this much is not rounding.
_QUAT_LENGTH_TOLERANCE = 0.1


@dataclass(frozen=True, eq=False)
class MotionClip:
    """One motion of one character; SI units, z up, quaternions xyzw.

    Building one checks it: arrays of any float type are copied to float32 CPU tensors, quaternions scaled to unit
    length and given signs that are continuous in time. The joints' order is the file's; `MotionLibrary` maps them to
    the character by name.

    Attributes:
        name: its name in messages.
        fps: frames per second.
        root_pos: (F, 3) m, world.
        root_rot: (F, 4) root body to world.
        joint_rot: (F, J, 4) local rotation of each joint: the child's frame in the parent's, identity in the rest pose.
        joint_names: one per joint.
        loop: "wrap" or "clamp".
        source: where the motion comes from.
        licence: under which terms.
        version: of the schema (see `storage`).

    Raises:
        MotionError: not finite, wrong shape or size, a quaternion of the wrong length, an impossible frame rate.
    """

    name: str
    fps: float
    root_pos: Tensor
    root_rot: Tensor
    joint_rot: Tensor
    joint_names: Tuple[str, ...]
    loop: str = "clamp"
    source: str = ""
    licence: str = ""
    version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        for field in ("name", "source", "licence"):
            _set(self, field, _text(self, field))
        _set(self, "joint_names", _joint_names(self))
        _set(self, "fps", _fps(self))
        if self.loop not in LOOP_MODES:
            raise _bad(self, f"loop is {self.loop!r:.40}; it must be one of: {', '.join(LOOP_MODES)}")
        if self.version != SCHEMA_VERSION:
            raise _bad(
                self,
                f"version {self.version!r:.40} of the clip format is not known; this program "
                f"reads version {SCHEMA_VERSION}",
            )
        root_pos = _array(self, "root_pos", (None, 3))
        num_frames = len(root_pos)
        if not 2 <= num_frames <= MAX_FRAMES:
            raise _bad(self, f"it has {num_frames} frames; 2 to {MAX_FRAMES} are allowed")
        if np.abs(root_pos).max() > MAX_POSITION_M:
            raise _bad(self, f"root_pos exceeds +-{MAX_POSITION_M:g} m; positions must be in metres")
        root_rot = _array(self, "root_rot", (num_frames, 4))
        joint_rot = _array(self, "joint_rot", (num_frames, len(self.joint_names), 4))
        _set(self, "root_pos", torch.tensor(root_pos, dtype=torch.float32))
        _set(self, "root_rot", continuous(_unit(self, "root_rot", root_rot)))
        _set(self, "joint_rot", continuous(_unit(self, "joint_rot", joint_rot)))

    @property
    def num_frames(self) -> int:
        return len(self.root_pos)

    @property
    def duration_s(self) -> float:
        """Length in seconds, from the first frame to the last."""
        return (self.num_frames - 1) / self.fps


def continuous(rot: Tensor) -> Tensor:
    """Choose the signs of quaternions (F, ..., 4) so that neighbouring frames lie on one side; the first has w >= 0."""
    first = torch.where(rot[:1, ..., 3:] < 0, -1.0, 1.0)
    flips = torch.where((rot[1:] * rot[:-1]).sum(-1, keepdim=True) < 0, -1.0, 1.0)
    return rot * torch.cumprod(torch.cat((first, flips)), dim=0)


def _set(clip: MotionClip, field: str, value: Any) -> None:
    object.__setattr__(clip, field, value)


def _bad(clip: MotionClip, what: str) -> MotionError:
    return MotionError(f"Motion clip '{clip.name}' cannot be used: {what}.")


def _text(clip: MotionClip, field: str) -> str:
    value = getattr(clip, field)
    if not isinstance(value, str):
        raise MotionError(f"Motion clip: {field} must be text, not {type(value).__name__}.")
    return printable(value)


def _joint_names(clip: MotionClip) -> Tuple[str, ...]:
    names = clip.joint_names
    if not isinstance(names, (list, tuple)) or not all(isinstance(n, str) for n in names):
        raise _bad(clip, "joint_names must be a list of strings")
    if not 1 <= len(names) <= MAX_JOINTS:
        raise _bad(clip, f"it has {len(names)} joints; 1 to {MAX_JOINTS} are allowed")
    if len(set(names)) != len(names):
        raise _bad(clip, "a joint name occurs twice")
    return tuple(printable(n) for n in names)


def _fps(clip: MotionClip) -> float:
    try:
        fps = float(clip.fps)
    except (TypeError, ValueError, OverflowError):
        fps = math.nan
    if not MIN_FPS <= fps <= MAX_FPS:
        raise _bad(clip, f"fps is {clip.fps!r:.40}; {MIN_FPS:g} to {MAX_FPS:g} are allowed")
    return fps


def _array(clip: MotionClip, field: str, shape: Tuple[Any, ...]) -> np.ndarray:
    """Return the field as a finite float64 array of the shape asked for (None: any length)."""
    value = getattr(clip, field)
    if getattr(value, "ndim", 0) and math.prod(value.shape) > MAX_NUMBERS:
        raise _bad(clip, f"{field} has more than {MAX_NUMBERS} numbers")
    try:
        with np.errstate(invalid="ignore", over="ignore"):
            array = np.array(value.cpu().numpy() if isinstance(value, Tensor) else value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise _bad(clip, f"{field} is not an array of numbers") from None
    if array.ndim != len(shape) or any(n is not None and n != m for n, m in zip(shape, array.shape)):
        wanted = f"({', '.join('frames' if n is None else str(n) for n in shape)})"
        raise _bad(clip, f"{field} has shape {array.shape}, expected {wanted}")
    if not np.isfinite(array).all():
        raise _bad(clip, f"{field} contains NaN or infinity in frame {_first_frame(~np.isfinite(array))}")
    return array


def _unit(clip: MotionClip, field: str, rot: np.ndarray) -> Tensor:
    length = np.linalg.norm(np.clip(rot, -1e3, 1e3), axis=-1, keepdims=True)
    wrong = np.abs(length - 1.0) > _QUAT_LENGTH_TOLERANCE
    if wrong.any():
        raise _bad(
            clip,
            f"{field} contains a quaternion of length {float(length[wrong][0]):.3g} in frame "
            f"{_first_frame(wrong)}; it must be 1",
        )
    return torch.tensor(rot / length, dtype=torch.float32)


def _first_frame(wrong: np.ndarray) -> int:
    return int(np.argmax(wrong.reshape(len(wrong), -1).any(axis=1)))
