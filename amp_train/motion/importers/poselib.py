"""poselib's `SkeletonMotion`, as ASE and IsaacGymEnvs publish it: a pickled dict inside a `.npy` file.

z up, quaternions xyzw; `rotation.arr` (F, bodies, 4) is the root's rotation and every other body's relative to its
parent (or all in the world, where `is_local` is false); `root_translation.arr` (F, 3) m; bodies and parents in
`skeleton_tree`."""

from typing import Any, Dict, List, Tuple

import numpy as np
import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterSpec
from amp_train.errors import MotionError
from amp_train.motion.clip import MAX_JOINTS, MAX_NUMBERS, MotionClip
from amp_train.motion.importers.base import Imported, Importer, MotionFile
from amp_train.motion.retarget import RetargetOptions


def is_poselib(content: Any) -> bool:
    """Return whether unpickled content is a poselib motion."""
    return isinstance(content, dict) and {"rotation", "root_translation", "skeleton_tree"} <= set(content)


def parse_poselib(content: Dict[str, Any], name: str, spec: CharacterSpec) -> MotionClip:
    """Convert a poselib motion; its bodies become the joints that move them, by name. It does not loop.

    Raises:
        MotionError: members missing or of the wrong kind, or bodies of another character.
    """
    bodies, parents = _skeleton(content, name)
    rot = _array(content, name, "rotation", "arr")
    if rot.ndim != 3 or rot.shape[1:] != (len(bodies), 4):
        raise MotionError(
            f"poselib clip '{name}': rotation has shape {rot.shape}, expected (frames, {len(bodies)}, 4)."
        )
    local = torch.from_numpy(rot)
    if not _is_local(content, name):
        local = _relative_to_parents(local, parents)
    joint_of = {spec.body_names[body]: joint for body, joint in zip(spec.joint_body_ids, spec.joint_names)}
    # A body that is welded to its parent here (the hands) has no joint; its rotation moves no other body.
    kept = [i for i, body in enumerate(bodies) if i > 0 and (body in joint_of or body not in spec.body_names)]
    return MotionClip(
        name=name,
        fps=_fps(content, name),
        root_pos=torch.from_numpy(_array(content, name, "root_translation", "arr")),
        root_rot=local[:, 0],
        joint_rot=local[:, kept],
        joint_names=tuple(joint_of.get(bodies[i], bodies[i]) for i in kept),
        loop="clamp",
    )


def _skeleton(content: Dict[str, Any], name: str) -> Tuple[List[str], List[int]]:
    bodies = _member(content, name, "skeleton_tree", "node_names")
    parents = _array(content, name, "skeleton_tree", "parent_indices", "arr")
    few = isinstance(bodies, list) and 2 <= len(bodies) <= MAX_JOINTS and parents.shape == (len(bodies),)
    if not few or not all(isinstance(body, str) for body in bodies):
        raise MotionError(f"poselib clip '{name}': skeleton_tree must name 2 to {MAX_JOINTS} bodies.")
    if parents[0] != -1 or not all(0 <= parent < body for body, parent in enumerate(parents) if body > 0):
        raise MotionError(f"poselib clip '{name}': every body's parent must come before it.")
    return bodies, [int(parent) for parent in parents]


def _relative_to_parents(world: Tensor, parents: List[int]) -> Tensor:
    """Turn world rotations (F, bodies, 4) into rotations relative to the parent; the root's stays."""
    world = rotations.normalize(world)
    local = rotations.quat_mul(rotations.quat_conjugate(world[:, parents[1:]]), world[:, 1:])
    return torch.cat((world[:, :1], local), dim=1)


def _is_local(content: Dict[str, Any], name: str) -> bool:
    is_local = content.get("is_local", True)
    if not isinstance(is_local, bool):
        raise MotionError(f"poselib clip '{name}': is_local must be true or false.")
    return is_local


def _fps(content: Dict[str, Any], name: str) -> Any:
    fps = content.get("fps")
    if isinstance(fps, np.ndarray) and fps.ndim == 0:
        fps = fps.item()
    if isinstance(fps, bool) or not isinstance(fps, (int, float)):
        raise MotionError(f"poselib clip '{name}': fps must be a number.")
    return fps


def _member(content: Dict[str, Any], name: str, *path: str) -> Any:
    value: Any = content
    for key in path:
        if not isinstance(value, dict) or key not in value:
            raise MotionError(f"poselib clip '{name}' lacks {'.'.join(path)}.")
        value = value[key]
    return value


def _array(content: Dict[str, Any], name: str, *path: str) -> np.ndarray:
    value = _member(content, name, *path)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf" or value.size > MAX_NUMBERS:
        raise MotionError(f"poselib clip '{name}': {'.'.join(path)} must be an array of at most {MAX_NUMBERS} numbers.")
    if not np.isfinite(value).all():
        raise MotionError(f"poselib clip '{name}': {'.'.join(path)} must be an array of finite numbers.")
    return value.astype(np.float64)


def _matches(file: MotionFile) -> bool:
    return file.is_pickle and is_poselib(file.pickled)


def _parse(file: MotionFile, spec: CharacterSpec, options: RetargetOptions) -> Imported:
    return Imported(parse_poselib(file.pickled, file.name, spec))


POSELIB = Importer("poselib .npy (IsaacGymEnvs, ASE)", _matches, _parse)
