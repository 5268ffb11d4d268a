"""DeepMimic's text clips (JSON): y up, quaternions wxyz, a duration in front of every frame.

Format: README of github.com/xbpeng/DeepMimic, "Mocap Data". A frame is [duration s, root position 3, root rotation 4,
chest 4, neck 4, right hip 4, knee 1, ankle 4, shoulder 4, elbow 1, left hip 4, knee 1, ankle 4, shoulder 4, elbow 1];
x forward, y up, z to the right."""

import json
from typing import Any, List, Tuple

import numpy as np
import torch

from amp_train import rotations
from amp_train.character import CharacterSpec
from amp_train.errors import MotionError
from amp_train.motion.clip import MAX_FRAMES, MotionClip, continuous
from amp_train.motion.importers.base import Imported, Importer, MotionFile
from amp_train.motion.retarget import RetargetOptions

JOINTS = (
    ("abdomen", 4),
    ("neck", 4),
    ("right_hip", 4),
    ("right_knee", 1),
    ("right_ankle", 4),
    ("right_shoulder", 4),
    ("right_elbow", 1),
    ("left_hip", 4),
    ("left_knee", 1),
    ("left_ankle", 4),
    ("left_shoulder", 4),
    ("left_elbow", 1),
)
_COLUMNS = 8 + sum(size for _, size in JOINTS)
# The longest published clip has 0.2 MB; JSON needs up to 20 times its size in memory.
_MAX_BYTES = 8 * 1024 * 1024
# The published clips were edited component by component: lengths down to 0.58 (kick, right hip). DeepMimic scales
# them too.
_QUAT_LENGTH_TOLERANCE = 0.5
_LOOPS = {"wrap": "wrap", "none": "clamp"}


def parse_deepmimic(data: bytes, name: str) -> MotionClip:
    """Read a DeepMimic clip; frames of unequal duration are resampled at the commonest one."""
    if len(data) > _MAX_BYTES:
        raise MotionError(f"DeepMimic clip '{name}' is larger than the {_MAX_BYTES // 2**20} MiB allowed.")
    if data.count(b"[") + data.count(b"{") > MAX_FRAMES + 10:
        raise MotionError(f"DeepMimic clip '{name}' has more than {MAX_FRAMES} frames.")
    try:
        # As floats, whole numbers of a million digits cost nothing.
        clip = json.loads(data.decode("utf-8"), parse_int=float)
    except (ValueError, RecursionError) as error:
        raise MotionError(
            f"'{name}' looks like a DeepMimic text clip, but is not valid JSON: {str(error)[:100]}."
        ) from None
    frames = _frames(clip, name)
    loop = _LOOPS.get(clip.get("Loop")) if isinstance(clip.get("Loop"), str) else None
    if loop is None:
        raise MotionError(f"DeepMimic clip '{name}' must have \"Loop\": one of {', '.join(_LOOPS)}.")
    root_pos, rot = _z_up(frames[:, 1:4]), _rotations(frames, name)
    fps, times = _timing(frames[:, 0], name)
    root_pos, rot = _resample(root_pos, rot, times)
    return MotionClip(
        name=name,
        fps=fps,
        root_pos=torch.from_numpy(root_pos),
        root_rot=rot[:, 0],
        joint_rot=rot[:, 1:],
        joint_names=tuple(joint for joint, _ in JOINTS),
        loop=loop,
    )


def _frames(clip: Any, name: str) -> np.ndarray:
    rows = clip.get("Frames") if isinstance(clip, dict) else None
    if not isinstance(rows, list) or len(rows) < 2:
        raise MotionError(f"DeepMimic clip '{name}' needs a list \"Frames\" of at least 2 frames.")
    for index, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != _COLUMNS or not all(type(value) in (int, float) for value in row):
            raise MotionError(f"DeepMimic clip '{name}': frame {index} must be {_COLUMNS} numbers.")
    try:
        frames = np.array(rows, dtype=np.float64)
    except OverflowError:
        frames = np.full((1, 1), np.inf)
    if not np.isfinite(frames).all():
        raise MotionError(f"DeepMimic clip '{name}' contains NaN, infinity or a number out of range.")
    return frames


def _z_up(vectors: np.ndarray) -> np.ndarray:
    """Turn vectors by 90 degrees about x: (x, y, z) -> (x, -z, y)."""
    return np.stack((vectors[..., 0], -vectors[..., 2], vectors[..., 1]), axis=-1)


def _rotations(frames: np.ndarray, name: str) -> torch.Tensor:
    """Return the root's and every joint's rotation, (F, 1 + J, 4) xyzw in float64."""
    columns: List[np.ndarray] = []
    start = 4
    for joint, size in (("root", 4),) + JOINTS:
        values = frames[:, start : start + size]
        # Hinges turn about z, to the right; it becomes -y.
        columns.append(_quat(values, joint, name) if size == 4 else _hinge(-values[:, 0]))
        start += size
    return torch.from_numpy(np.stack(columns, axis=1))


def _quat(wxyz: np.ndarray, joint: str, name: str) -> np.ndarray:
    length = np.linalg.norm(wxyz, axis=-1, keepdims=True)
    if np.abs(length - 1.0).max() > _QUAT_LENGTH_TOLERANCE:
        raise MotionError(f"DeepMimic clip '{name}': a rotation of {joint} is not a unit quaternion.")
    return np.concatenate((_z_up(wxyz[:, 1:]), wxyz[:, :1]), axis=-1) / length


def _hinge(angle: np.ndarray) -> np.ndarray:
    zero = np.zeros_like(angle)
    return np.stack((zero, np.sin(0.5 * angle), zero, np.cos(0.5 * angle)), axis=-1)


def _timing(durations: np.ndarray, name: str) -> Tuple[float, np.ndarray]:
    """Return fps and, in units of frames, when each frame is shown. The last frame's duration means nothing."""
    steps = durations[:-1]
    usual = float(np.median(steps))
    if not (steps > 0).all() or not 1e-3 <= usual <= 1.0 or steps.max() > 100.0 * usual:
        raise MotionError(f"DeepMimic clip '{name}': every frame must have a positive duration, usually 1 ms to 1 s.")
    fps = 1.0 / usual
    # The files print 0.016666 for 1/60.
    fps = round(fps) if abs(fps / round(fps) - 1.0) < 1e-3 else fps
    times = np.concatenate(([0.0], np.cumsum(steps))) / usual
    if times[-1] > MAX_FRAMES:
        raise MotionError(f"DeepMimic clip '{name}' has more than {MAX_FRAMES} frames.")
    return fps, times


def _resample(root_pos: np.ndarray, rot: torch.Tensor, times: np.ndarray) -> Tuple[np.ndarray, torch.Tensor]:
    if np.abs(times - np.arange(len(times))).max() < 0.01:
        return root_pos, rot
    wanted = np.linspace(0.0, times[-1], int(round(times[-1])) + 1)
    before = np.clip(np.searchsorted(times, wanted, side="right") - 1, 0, len(times) - 2)
    blend = (wanted - times[before]) / (times[before + 1] - times[before])
    root_pos = root_pos[before] + blend[:, None] * (root_pos[before + 1] - root_pos[before])
    rot = continuous(rot)
    return root_pos, rotations.slerp(rot[before], rot[before + 1], torch.from_numpy(blend)[:, None, None])


def _matches(file: MotionFile) -> bool:
    return file.data[:256].lstrip()[:1] == b"{"


def _parse(file: MotionFile, spec: CharacterSpec, options: RetargetOptions) -> Imported:
    return Imported(parse_deepmimic(file.data, file.name))


DEEPMIMIC = Importer("DeepMimic text", _matches, _parse)
