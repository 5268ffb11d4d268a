"""MimicKit's clips: a pickled dict with `fps`, `loop_mode` (0 clamp, 1 wrap) and `frames`.

A frame is [root position 3 (m), root rotation 3 (exponential map), dof positions] in the order of the character's
joints: an exponential map for a spherical joint, an angle for a hinge. The file names no joints, so only their number
is checked.

MimicKit's own humanoid differs from this project's in its rest pose: its arms point sideways and its elbows turn
about z. Its clips are recognised by the elbows (the right one bends with a positive angle there, a negative one here)
and converted."""

import math
from typing import Any, Dict

import numpy as np
import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterSpec, Kinematics
from amp_train.errors import MotionError
from amp_train.motion.clip import MAX_FRAMES, MotionClip
from amp_train.motion.importers.base import Imported, Importer, MotionFile
from amp_train.motion.retarget import RetargetOptions

_LOOPS = {0: "clamp", 1: "wrap"}
# Side, and the turn about x (rad) that lifts its hanging arm to the side.
ARMS = (("right", -0.5 * math.pi), ("left", 0.5 * math.pi))


def is_mimickit(content: Any) -> bool:
    """Return whether unpickled content is a MimicKit motion."""
    return isinstance(content, dict) and {"fps", "loop_mode", "frames"} <= set(content)


def parse_mimickit(content: Dict[str, Any], name: str, spec: CharacterSpec) -> MotionClip:
    """Convert a MimicKit motion of a character with the joints of `spec`.

    Raises:
        MotionError: members of the wrong kind, or another number of dofs.
    """
    loop_mode, fps = content["loop_mode"], content["fps"]
    if type(loop_mode) is not int or loop_mode not in _LOOPS:
        raise MotionError(f"MimicKit clip '{name}': loop_mode must be 0 (clamp) or 1 (wrap).")
    if type(fps) not in (int, float):
        raise MotionError(f"MimicKit clip '{name}': fps must be a number.")
    frames = torch.from_numpy(_frames(content["frames"], name, 6 + spec.num_dofs, spec))
    dof_pos = frames[:, 6:].float()
    return MotionClip(
        name=name,
        fps=fps,
        root_pos=frames[:, :3],
        root_rot=rotations.exp_map_to_quat(frames[:, 3:6]),
        joint_rot=_arms_down_joint_rot(dof_pos, spec)
        if _rests_arms_sideways(dof_pos, spec)
        else _joint_rot(dof_pos, spec),
        joint_names=spec.joint_names,
        loop=_LOOPS[loop_mode],
    )


def _frames(rows: Any, name: str, columns: int, spec: CharacterSpec) -> np.ndarray:
    """Return the frames as a finite float64 array (F, columns), from an array or from a list of lists."""
    if isinstance(rows, list) and 0 < len(rows) <= MAX_FRAMES:
        # A pickle may contain one list many times: the size is checked before numpy expands it.
        if all(isinstance(row, list) and len(row) == columns and all(_is_number(x) for x in row) for row in rows):
            rows = np.array(rows, dtype=np.float64)
    if not isinstance(rows, np.ndarray) or rows.dtype.kind not in "iuf" or rows.ndim != 2 or rows.shape[1] != columns:
        raise MotionError(
            f"MimicKit clip '{name}': frames must be rows of {columns} numbers (6 of the root, "
            f"{spec.num_dofs} dofs of '{spec.name}'){_found(rows)}."
        )
    if len(rows) > MAX_FRAMES or not np.isfinite(rows).all():
        raise MotionError(f"MimicKit clip '{name}': frames must be finite and at most {MAX_FRAMES}.")
    return np.array(rows, dtype=np.float64)


def _is_number(value: Any) -> bool:
    """Return whether it is a number that fits a float; integers in a pickle may have hundreds of digits."""
    return type(value) is float or (type(value) is int and abs(value) < 2**63)


def _found(rows: Any) -> str:
    if isinstance(rows, np.ndarray):
        return f"; their shape is {rows.shape}"
    if isinstance(rows, list) and rows and isinstance(rows[0], list):
        return f"; the first has {len(rows[0])}"
    return ""


def _joint_rot(dof_pos: Tensor, spec: CharacterSpec) -> Tensor:
    return Kinematics(spec).joint_rot(dof_pos)


def rests_arms_down(spec: CharacterSpec) -> bool:
    """Tell this project's humanoid from MimicKit's: its arms hang at rest, its elbows turn about y."""
    if not {side + joint for side, _ in ARMS for joint in ("_shoulder", "_elbow")} <= set(spec.joint_names):
        return False
    elbow = spec.joint_names.index("right_elbow")
    hangs = bool(spec.body_offset[spec.joint_body_ids[elbow], 2] < -0.1)
    return hangs and bool(spec.joint_axis[elbow, 1] > 0.9)


def _rests_arms_sideways(dof_pos: Tensor, spec: CharacterSpec) -> bool:
    """Tell a clip of MimicKit's humanoid: its right elbow bends by 0 to 160 degrees, here by -160 to 0."""
    if not rests_arms_down(spec):
        return False
    return float(dof_pos[:, spec.dof_offsets[spec.joint_names.index("right_elbow")]].mean()) > 0.0


def _arms_down_joint_rot(dof_pos: Tensor, spec: CharacterSpec) -> Tensor:
    """Convert joint rotations whose arms rest sideways into ones whose arms rest hanging down.

    With C the rotation that lifts a hanging arm to the side (-90 degrees about x for the right one), an arm body's
    frame here is its frame there times C; so a shoulder becomes S C and an elbow, a turn about z there, C^-1 E C."""
    joint_rot = _joint_rot(dof_pos, spec)
    for side, angle in ARMS:
        shoulder, elbow = (spec.joint_names.index(side + joint) for joint in ("_shoulder", "_elbow"))
        lift = rotations.exp_map_to_quat(torch.tensor([angle, 0.0, 0.0]))
        bend = dof_pos[:, spec.dof_offsets[elbow]]
        about_z = rotations.quat_from_angle_axis(bend, torch.tensor([0.0, 0.0, 1.0]))
        joint_rot[:, shoulder] = rotations.quat_mul(joint_rot[:, shoulder], lift)
        joint_rot[:, elbow] = rotations.quat_mul(rotations.quat_mul(rotations.quat_conjugate(lift), about_z), lift)
    return joint_rot


def _matches(file: MotionFile) -> bool:
    return file.is_pickle and is_mimickit(file.pickled)


def _parse(file: MotionFile, spec: CharacterSpec, options: RetargetOptions) -> Imported:
    return Imported(parse_mimickit(file.pickled, file.name, spec))


MIMICKIT = Importer("MimicKit .pkl", _matches, _parse)
