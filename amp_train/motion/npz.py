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
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, Dict, List, Union

import numpy as np

from amp_train.errors import MotionError
from amp_train.motion.clip import MAX_JOINTS, MotionClip
from amp_train.untrusted import printable
from amp_train.untrusted.npy import MAX_FILE_BYTES, parse_npy

ZIP_MAGIC = b"PK\x03\x04"
_MAX_MEMBERS = 32
_MAX_DIRECTORY_BYTES = 64 * 1024
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)
_NUMERIC = ("version", "fps", "root_pos", "root_rot", "joint_rot")
_TEXT = ("name", "loop", "source", "licence")
_MEMBERS = _NUMERIC + _TEXT + ("joint_names",)


def save_clip(clip: MotionClip, path: Union[str, Path]) -> None:
    """Write a clip; the same clip gives the same bytes, and a crash leaves no half-written file."""
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


def parse_npz(data: bytes, what: str) -> MotionClip:
    """Read a clip from the bytes of an archive.

    Raises:
        MotionError: not such an archive, cut off, too large, or members missing or of the wrong kind.
    """
    _check_directory(data, what)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            fields = _read_members(archive, what)
    except (
        zipfile.BadZipFile,
        zlib.error,
        OSError,
        EOFError,
        struct.error,
        ValueError,
        RuntimeError,
        KeyError,
    ) as error:
        reason = printable(str(error))[:160]
        raise MotionError("{} is not a readable .npz archive: {}.".format(what, reason)) from None
    return MotionClip(**fields)


def _check_directory(data: bytes, what: str) -> None:
    """Bound the archive's directory before `zipfile` reads it.

    Its end record is the last 22 bytes where there is no comment; a zip64 locator before it could declare more."""
    end = data[-22:]
    if len(end) < 22 or end[:4] != b"PK\x05\x06":
        raise MotionError("{} is not a complete .npz archive; it may have been cut off.".format(what))
    members, size = struct.unpack("<HI", end[10:16])
    if members > _MAX_MEMBERS or size > _MAX_DIRECTORY_BYTES or data[-42:-38] == b"PK\x06\x07":
        raise MotionError("{} has more members than a motion clip.".format(what))


def _read_members(archive: zipfile.ZipFile, what: str) -> Dict[str, Any]:
    members = {info.filename: info for info in archive.infolist()}
    missing: List[str] = [name for name in _MEMBERS if name + ".npy" not in members]
    if missing:
        raise MotionError("{} is not a motion clip: it lacks {}.".format(what, ", ".join(missing)))
    wanted = [members[name + ".npy"] for name in _MEMBERS]
    if sum(info.file_size for info in wanted) > MAX_FILE_BYTES:
        raise MotionError("{} unpacks to more than the {} MiB allowed.".format(what, MAX_FILE_BYTES // 2**20))
    if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in wanted):
        raise MotionError("{} is compressed in a way that .npz does not use.".format(what))
    arrays = {name: parse_npy(archive.read(members[name + ".npy"]), what + ": " + name) for name in _MEMBERS}
    for name, array in arrays.items():
        if (array.dtype.kind == "U") != (name not in _NUMERIC):
            raise MotionError("{}: {} is {}, expected {}.".format(what, name, array.dtype, _wanted(name)))
        if array.ndim != 0 and name in ("version", "fps") + _TEXT:
            raise MotionError("{}: {} has shape {}, expected a single value.".format(what, name, array.shape))
    num_names = arrays["joint_names"].size
    if num_names > MAX_JOINTS:
        raise MotionError("{}: it has {} joint_names; {} are allowed.".format(what, num_names, MAX_JOINTS))
    fields: Dict[str, Any] = {name: array.item() if array.ndim == 0 else array for name, array in arrays.items()}
    fields["joint_names"] = arrays["joint_names"].tolist()
    return fields


def _wanted(name: str) -> str:
    return "numbers" if name in _NUMERIC else "text"
