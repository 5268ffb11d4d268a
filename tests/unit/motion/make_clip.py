"""Small clips with known content, shared by the tests of this folder."""

from typing import Any, Dict, Optional

import numpy as np
import torch

from amp_train import rotations
from amp_train.character import CharacterSpec
from amp_train.motion import MotionClip

STANDING_HEIGHT = 0.89


def standing_clip(spec: CharacterSpec, num_frames: int = 4, **fields: Any) -> MotionClip:
    """A clip of the rest pose at standing height; any field can be given otherwise."""
    identity = torch.tensor([0.0, 0.0, 0.0, 1.0])
    given: Dict[str, Any] = {
        "name": "standing",
        "fps": 30.0,
        "root_pos": torch.tensor([0.0, 0.0, STANDING_HEIGHT]).repeat(num_frames, 1),
        "root_rot": identity.repeat(num_frames, 1),
        "joint_rot": identity.repeat(num_frames, spec.num_joints, 1),
        "joint_names": spec.joint_names,
    }
    given.update(fields)
    return MotionClip(**given)


def random_clip(spec: CharacterSpec, num_frames: int = 20, seed: int = 0, **fields: Any) -> MotionClip:
    """A smooth clip that moves every dof, the root's position and its rotation, about all axes."""
    rng = np.random.default_rng(seed)
    phase = np.linspace(0.0, 2.0, num_frames)[:, None]

    def wave(count: int, amplitude: float) -> torch.Tensor:
        angle = rng.uniform(0, 6, (1, count)) + phase * rng.uniform(0.5, 2.0, (1, count))
        return torch.tensor(amplitude * np.sin(angle), dtype=torch.float32)

    joint_rot = rotations.exp_map_to_quat(wave(spec.num_joints * 3, 0.5).reshape(num_frames, -1, 3))
    hinges, _ = spec.joint_dofs(1)
    angles = wave(len(hinges), 0.8)
    joint_rot[:, hinges] = rotations.quat_from_angle_axis(angles, spec.joint_axis[hinges].expand(num_frames, -1, -1))
    root_rot = rotations.exp_map_to_quat(wave(3, 1.0))
    root_pos = wave(3, 0.4) + torch.tensor([0.0, 0.0, 1.0])
    return standing_clip(
        spec, **dict({"name": "random", "root_pos": root_pos, "root_rot": root_rot, "joint_rot": joint_rot}, **fields)
    )


def circling_clip(spec: CharacterSpec, turn: float, num_frames: int = 31, radius: float = 1.5) -> MotionClip:
    """One cycle of a walk along a circle: it faces along its path, and turns by `turn` rad a cycle."""
    angle = torch.linspace(0.0, turn, num_frames)
    height = torch.full_like(angle, STANDING_HEIGHT)
    root_pos = torch.stack((radius * torch.sin(angle), radius * (1.0 - torch.cos(angle)), height), dim=-1)
    return standing_clip(
        spec, num_frames, name="circle", root_pos=root_pos, root_rot=rotations.yaw_quat(angle), loop="wrap"
    )


def poselib_content(spec: CharacterSpec, num_frames: int = 5, seed: Optional[int] = 0) -> Dict[str, Any]:
    """The dict inside a poselib file, for random rotations of every body."""
    rng = np.random.default_rng(seed)
    rot = rng.normal(size=(num_frames, spec.num_bodies, 4)) + np.array([0.0, 0.0, 0.0, 4.0])
    rot /= np.linalg.norm(rot, axis=-1, keepdims=True)
    return {
        "rotation": {"arr": rot, "context": {"dtype": "float64"}},
        "root_translation": {"arr": rng.normal(size=(num_frames, 3)), "context": {"dtype": "float64"}},
        "skeleton_tree": {
            "node_names": list(spec.body_names),
            "parent_indices": {"arr": np.array(spec.parent_ids), "context": {"dtype": "int64"}},
        },
        "is_local": True,
        "fps": 30,
        "__name__": "SkeletonMotion",
    }
