"""The project's own clip format: a `.npz` archive, version 1.

| member        | type, shape            | meaning                                                        |
|---------------|------------------------|----------------------------------------------------------------|
| `version`     | int, ()                | 1                                                              |
| `name`        | text, ()               | what messages call the clip                                    |
| `fps`         | float64, ()            | frames per second; the clip lasts (F - 1) / fps seconds        |
| `root_pos`    | float32, (F, 3)        | m, world, z up                                                 |
| `root_rot`    | float32, (F, 4)        | unit quaternion xyzw, root body to world                       |
| `joint_rot`   | float32, (F, J, 4)     | unit quaternion xyzw, child to parent, identity at rest        |
| `joint_names` | text, (J,)             | as in the character's MJCF                                     |
| `loop`        | text, ()               | "wrap" (last frame = first pose, moved and turned) or "clamp"  |
| `source`      | text, ()               | where the motion comes from                                    |
| `licence`     | text, ()               | under which terms                                              |

The members are plain `.npy` arrays, stored or deflated; an archive with pickled objects is refused."""

import io
import os
import zipfile
from pathlib import Path
from typing import Any, Dict, List, Union

import numpy as np

from amp_train.errors import MotionError
from amp_train.motion.clip import MAX_JOINTS, MotionClip
from amp_train.untrusted.npz import parse_npz

_TIMESTAMP = (1980, 1, 1, 0, 0, 0)
_NUMERIC = ("version", "fps", "root_pos", "root_rot", "joint_rot")
_TEXT = ("name", "loop", "source", "licence")
_MEMBERS = _NUMERIC + _TEXT + ("joint_names",)


def save_clip(clip: MotionClip, path: Union[str, Path]) -> None:
    """Write a clip; equal clips give equal bytes, and a crash leaves no half-written file."""
    arrays: Dict[str, np.ndarray] = {name: np.asarray(getattr(clip, name)) for name in _MEMBERS}
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    with zipfile.ZipFile(str(partial), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, version=(1, 0), allow_pickle=False)
            member = zipfile.ZipInfo(name + ".npy", _TIMESTAMP)
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, buffer.getvalue())
    os.replace(str(partial), str(path))


def parse_clip(data: bytes, what: str) -> MotionClip:
    """Read a clip from the bytes of an archive.

    Raises:
        MotionError: not such an archive, truncated, too large, or members missing or of the wrong kind.
    """
    arrays = parse_npz(data, what, _MEMBERS)
    missing: List[str] = [name for name in _MEMBERS if name not in arrays]
    if missing:
        raise MotionError(f"{what} is not a motion clip: it lacks {', '.join(missing)}.")
    for name, array in arrays.items():
        if (array.dtype.kind == "U") != (name not in _NUMERIC):
            raise MotionError(f"{what}: {name} is {array.dtype}, expected {_wanted(name)}.")
        if array.ndim != 0 and name in ("version", "fps") + _TEXT:
            raise MotionError(f"{what}: {name} has shape {array.shape}, expected a single value.")
    num_names = arrays["joint_names"].size
    if num_names > MAX_JOINTS:
        raise MotionError(f"{what}: it has {num_names} joint_names; {MAX_JOINTS} are allowed.")
    fields: Dict[str, Any] = {name: array.item() if array.ndim == 0 else array for name, array in arrays.items()}
    fields["joint_names"] = arrays["joint_names"].tolist()
    return MotionClip(**fields)


def _wanted(name: str) -> str:
    return "numbers" if name in _NUMERIC else "text"
