"""Motions of robots: root and joint angles, in the order of the robot's MJCF.

- GMR's `.pkl`: `fps`, `root_pos` (F, 3) m, `root_rot` (F, 4) xyzw, `dof_pos` (F, D) rad.
- CSV as in the LAFAN1 data set retargeted to Unitree's robots: a row a frame of root x y z (m), quaternion x y z w,
  joint angles (rad), 30 frames a second. A header may name the joints. Joints of 3 dofs are rotation vectors."""

import re
from typing import Any, List, Optional, Tuple

import numpy as np
import torch

from amp_train.character import CharacterSpec, Kinematics
from amp_train.errors import MotionError
from amp_train.motion.clip import MAX_FRAMES, MAX_NUMBERS, MotionClip
from amp_train.motion.importers.base import Imported, Importer, MotionFile
from amp_train.motion.retarget import RetargetOptions
from amp_train.untrusted import printable

_CSV_FPS = 30.0
_ROOT = 7
_GMR_MEMBERS = {"fps", "root_pos", "root_rot", "dof_pos"}
_NUMBER = re.compile(rb"\s*[-+]?(\d|\.\d|(nan|inf|infinity)\s*(,|$))", re.IGNORECASE)


def _is_gmr(file: MotionFile) -> bool:
    return file.is_pickle and isinstance(file.pickled, dict) and _GMR_MEMBERS <= set(file.pickled)


def _parse_gmr(file: MotionFile, spec: CharacterSpec, options: RetargetOptions) -> Imported:
    content = file.pickled
    parts = [_array(content[key], width, key, file.name) for key, width in (("root_pos", 3), ("root_rot", 4))]
    parts.append(_array(content["dof_pos"], spec.num_dofs, "dof_pos", file.name, spec))
    if len({len(part) for part in parts}) != 1:
        raise _bad(file.name, "root_pos, root_rot and dof_pos have different numbers of frames")
    fps = options.fps or content["fps"]
    if isinstance(fps, np.ndarray) and fps.size == 1:
        fps = float(fps.reshape(-1)[0])
    return Imported(_clip(np.concatenate(parts, axis=1), file.name, fps, spec))


def _is_csv(file: MotionFile) -> bool:
    """Rows of many numbers between commas, the first of which may be names."""
    lines = file.data[:65536].lstrip(b"\xef\xbb\xbf").splitlines()[:2]
    return len(lines) == 2 and lines[1].count(b",") >= _ROOT and _NUMBER.match(lines[1]) is not None


def _parse_csv(file: MotionFile, spec: CharacterSpec, options: RetargetOptions) -> Imported:
    names, rows = _read_csv(file.data, file.name)
    rows = _in_order(names, rows, spec, file.name)
    if rows.shape[1] != _ROOT + spec.num_dofs:
        raise _bad(file.name, _wanted(rows.shape[1] - _ROOT, spec))
    fps = options.fps or _CSV_FPS
    notes = [] if options.fps else [f"a CSV has no frame rate: assuming {_CSV_FPS:g} fps (set fps=)"]
    return Imported(_clip(rows, file.name, fps, spec), notes)


def _read_csv(data: bytes, name: str) -> Tuple[Optional[List[str]], np.ndarray]:
    lines = [line for line in data.lstrip(b"\xef\xbb\xbf").splitlines() if line.strip()]
    names = None
    if lines and not _NUMBER.match(lines[0]):
        names = [printable(word.decode("latin1").strip().strip('"'))[:80] for word in lines.pop(0).split(b",")]
    columns = lines[0].count(b",") + 1 if lines else 0
    if not 2 <= len(lines) <= MAX_FRAMES or len(lines) * columns > MAX_NUMBERS:
        raise _bad(name, f"it has {len(lines)} rows; 2 to {MAX_FRAMES} are allowed")
    if any(line.count(b",") + 1 != columns for line in lines) or (names and len(names) != columns):
        raise _bad(name, "its rows have different numbers of columns")
    try:
        rows = np.array([line.split(b",") for line in lines], dtype=np.float64)
    except ValueError:
        raise _bad(name, "it contains something other than numbers") from None
    if not np.isfinite(rows).all():
        raise _bad(name, "it contains NaN or infinity")
    return names, rows


def _in_order(names: Optional[List[str]], rows: np.ndarray, spec: CharacterSpec, name: str) -> np.ndarray:
    """Put named columns in the character's order; a header without its joints is ignored."""
    wanted = dof_names(spec)
    if names is None or not set(wanted) & set(names):
        return rows
    missing = [dof for dof in wanted if dof not in names]
    if missing:
        raise _bad(name, f"its header lacks {', '.join(missing[:8])}, joints of '{spec.name}'")
    return np.concatenate((rows[:, :_ROOT], rows[:, [names.index(dof) for dof in wanted]]), axis=1)


def dof_names(spec: CharacterSpec) -> List[str]:
    """Name every dof: a hinge's joint, or joint_x, joint_y, joint_z."""
    axes = {1: ("",), 3: ("_x", "_y", "_z")}
    return [joint + axis for joint, size in zip(spec.joint_names, spec.joint_sizes) for axis in axes[size]]


def _clip(rows: np.ndarray, name: str, fps: Any, spec: CharacterSpec) -> MotionClip:
    values = torch.from_numpy(rows).float()
    return MotionClip(
        name=name,
        fps=fps,
        root_pos=values[:, :3],
        root_rot=values[:, 3:_ROOT],
        joint_rot=Kinematics(spec).joint_rot(values[:, _ROOT:]),
        joint_names=spec.joint_names,
    )


def _array(value: Any, width: int, key: str, name: str, spec: Optional[CharacterSpec] = None) -> np.ndarray:
    is_array = isinstance(value, np.ndarray) and value.dtype.kind in "iuf" and value.ndim == 2
    if not is_array or value.size > MAX_NUMBERS or not np.isfinite(value).all():
        raise _bad(name, f"{key} must be rows of {width} finite numbers")
    if value.shape[1] != width:
        raise _bad(name, _wanted(value.shape[1], spec) if spec else f"{key} must be rows of {width} numbers")
    return value.astype(np.float64)


def _wanted(found: int, spec: CharacterSpec) -> str:
    return (
        f"it has {found} joint angles and character '{spec.name}' {spec.num_dofs}. It was made for another robot; "
        "choose it with character="
    )


def _bad(name: str, what: str) -> MotionError:
    return MotionError(f"Robot motion '{name}' cannot be used: {what}.")


GMR = Importer("GMR .pkl", _is_gmr, _parse_gmr)
ROBOT_CSV = Importer("robot CSV", _is_csv, _parse_csv)
