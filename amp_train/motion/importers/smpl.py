"""AMASS and other `.npz` of SMPL, SMPL-H and SMPL-X: the body's pose, without fingers, shape or face.

Members: `poses` (F, 66 or more), rotation vectors of the joints in SMPL's order (or `root_orient` (F, 3) and
`pose_body` (F, 63)); `trans` (F, 3) m; `mocap_framerate` or `mocap_frame_rate`. z is up in AMASS. SMPL's body model
has its own licence and is not needed: only angles matter, so the bones here are those of an average body, rounded to a
centimetre."""

from typing import Dict, Tuple

import numpy as np
import torch

from amp_train import rotations
from amp_train.character import CharacterSpec
from amp_train.errors import MotionError
from amp_train.motion.clip import MAX_FRAMES, MAX_NUMBERS
from amp_train.motion.importers.base import Imported, Importer, MotionFile
from amp_train.motion.retarget import RetargetOptions, SkeletonMotion, retarget

# Joint, parent, offset in m: T pose, y up, x to the left.
_JOINTS: Tuple[Tuple[str, int, Tuple[float, float, float]], ...] = (
    ("pelvis", -1, (0.0, 0.0, 0.0)),
    ("left_hip", 0, (0.08, -0.09, 0.0)),
    ("right_hip", 0, (-0.08, -0.09, 0.0)),
    ("spine1", 0, (0.0, 0.11, -0.02)),
    ("left_knee", 1, (0.02, -0.39, 0.0)),
    ("right_knee", 2, (-0.02, -0.39, 0.0)),
    ("spine2", 3, (0.0, 0.13, 0.0)),
    ("left_ankle", 4, (0.0, -0.41, -0.03)),
    ("right_ankle", 5, (0.0, -0.41, -0.03)),
    ("spine3", 6, (0.0, 0.06, 0.02)),
    ("left_toe", 7, (0.03, -0.06, 0.12)),
    ("right_toe", 8, (-0.03, -0.06, 0.12)),
    ("neck", 9, (0.0, 0.21, -0.03)),
    ("left_collar", 9, (0.08, 0.12, -0.02)),
    ("right_collar", 9, (-0.08, 0.12, -0.02)),
    ("head", 12, (0.0, 0.09, 0.05)),
    ("left_shoulder", 13, (0.11, 0.04, 0.0)),
    ("right_shoulder", 14, (-0.11, 0.04, 0.0)),
    ("left_elbow", 16, (0.26, 0.0, 0.0)),
    ("right_elbow", 17, (-0.26, 0.0, 0.0)),
    ("left_wrist", 18, (0.25, 0.0, 0.0)),
    ("right_wrist", 19, (-0.25, 0.0, 0.0)),
)
_MEMBERS = ("poses", "root_orient", "pose_body", "trans", "mocap_framerate", "mocap_frame_rate", "fps")


def _matches(file: MotionFile) -> bool:
    return bool({"poses", "pose_body"} & file.members) and "trans" in file.members


def _parse(file: MotionFile, spec: CharacterSpec, options: RetargetOptions) -> Imported:
    done = retarget(read_smpl(file.arrays(*_MEMBERS), file.name, options.fps), spec, options)
    return Imported(done.clip, done.notes, done)


def read_smpl(arrays: Dict[str, np.ndarray], name: str, fps: "float | None" = None) -> SkeletonMotion:
    """Build the motion of SMPL's body joints.

    Raises:
        MotionError: members missing, of the wrong shape, or not finite.
    """
    count = len(_JOINTS)
    poses = arrays.get("poses")
    if poses is None and {"root_orient", "pose_body"} <= set(arrays):
        parts = arrays["root_orient"], arrays["pose_body"]
        if all(p.ndim == 2 for p in parts) and len(parts[0]) == len(parts[1]):
            poses = np.concatenate(parts, axis=1)
    trans = arrays.get("trans")
    if poses is None or trans is None or poses.ndim != 2 or poses.shape[1] < 3 * count:
        raise _bad(name, f"poses must have shape (frames, {3 * count} or more) and trans (frames, 3)")
    if trans.shape != (len(poses), 3) or not 2 <= len(poses) <= MAX_FRAMES or poses.size > 8 * MAX_NUMBERS:
        raise _bad(name, f"poses and trans must have the same 2 to {MAX_FRAMES} frames")
    if poses.dtype.kind not in "iuf" or trans.dtype.kind not in "iuf":
        raise _bad(name, "poses and trans must be numbers")
    values = np.concatenate((poses[:, : 3 * count], trans), axis=1).astype(np.float64)
    if not np.isfinite(values).all() or np.abs(values).max() > 1e4:
        raise _bad(name, "poses or trans contains NaN, infinity or a number out of range")
    rates = [arrays[key] for key in _MEMBERS[-3:] if key in arrays and arrays[key].size == 1]
    rate = fps or (float(rates[0].reshape(-1)[0]) if rates and rates[0].dtype.kind in "iuf" else 0.0)
    if not rate:
        raise _bad(name, "it has no mocap_framerate; give fps=")
    offsets = torch.tensor([offset for _, _, offset in _JOINTS], dtype=torch.float64)
    vectors = torch.from_numpy(values[:, : 3 * count]).reshape(-1, count, 3)
    return SkeletonMotion(
        name=name,
        fps=rate,
        joint_names=tuple(joint for joint, _, _ in _JOINTS),
        parents=tuple(parent for _, parent, _ in _JOINTS),
        offsets=offsets,
        rotations=rotations.exp_map_to_quat(vectors),
        root_pos=torch.from_numpy(values[:, 3 * count :]),
        up="z",
        metres=1.0,
    )


def _bad(name: str, what: str) -> MotionError:
    return MotionError(f"SMPL clip '{name}' cannot be used: {what}.")


SMPL = Importer("AMASS and SMPL .npz", _matches, _parse)
