"""`SkeletonMotion`: a motion of another skeleton, as in its file. The result of every mocap importer."""

from dataclasses import dataclass, field, replace
from typing import Dict, List, Tuple

import numpy as np
import torch
from torch import Tensor

from amp_train import rotations
from amp_train.errors import MotionError
from amp_train.motion.clip import MAX_FPS, MAX_FRAMES, MAX_JOINTS, MIN_FPS

# How the axes of a file become ours (x forward, y left, z up): rotations of a file whose up-axis is y, or z.
UP_AXES: Dict[str, Tuple[Tuple[float, ...], ...]] = {
    "y": ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "z": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
}

_FARTHEST = 1e7  # of the file's unit
_NO_TURN_RAD, _SOME_TURN_RAD = 0.005, 0.05  # of joints in the zero pose, and of those in another on the average


@dataclass(frozen=True, eq=False)
class SkeletonMotion:
    """Joints, bones and rotations in the file's own axes and unit.

    Attributes:
        name: its name in messages.
        fps: frames per second.
        joint_names: J names, a parent before its children; the first is the root.
        parents: index of each joint's parent, -1 for the root.
        offsets: (J, 3) position in the parent's frame with all rotations zero.
        rotations: (F, J, 4) xyzw, joint to parent.
        root_pos: (F, 3) world position of the root joint.
        tips: joint -> (3,) where its bone ends, in its own frame (BVH: End Site).
        moved: joint -> (F, 3) positions in the parent's frame that replace its offset, where the file moves it.
        up: the file's up-axis, "y" or "z"; "" if unknown.
        metres: length of the file's unit, m; 0 if unknown.
    """

    name: str
    fps: float
    joint_names: Tuple[str, ...]
    parents: Tuple[int, ...]
    offsets: Tensor
    rotations: Tensor
    root_pos: Tensor
    tips: Dict[int, Tensor] = field(default_factory=dict)
    moved: Dict[int, Tensor] = field(default_factory=dict)
    up: str = ""
    metres: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= len(self.joint_names) <= MAX_JOINTS:
            raise MotionError(f"Clip '{self.name}' has {len(self.joint_names)} joints; 1 to {MAX_JOINTS} are allowed.")
        if not 2 <= len(self.root_pos) <= MAX_FRAMES:
            raise MotionError(f"Clip '{self.name}' has {len(self.root_pos)} frames; 2 to {MAX_FRAMES} are allowed.")
        if not MIN_FPS <= self.fps <= MAX_FPS:
            raise MotionError(
                f"Clip '{self.name}' has {self.fps:.6g} frames a second; {MIN_FPS:g} to {MAX_FPS:g} "
                "are allowed. Give fps=."
            )

        places = [self.offsets, self.root_pos, *self.moved.values(), *self.tips.values()]
        if not all(bool((part.abs() < _FARTHEST).all()) for part in places) or not bool(
            torch.isfinite(self.rotations).all()
        ):
            raise MotionError(f"Clip '{self.name}' contains NaN, infinity or a position out of range.")

    @property
    def num_frames(self) -> int:
        return len(self.root_pos)

    @property
    def begins_in_zero_pose(self) -> bool:
        """Whether the first frame is the zero pose and the second is not: many exporters write it."""
        if self.num_frames < 3 or len(self.joint_names) < 2:
            return False
        turns = rotations.quat_to_exp_map(self.rotations[:2, 1:]).norm(dim=-1)
        return bool(turns[0].max() < _NO_TURN_RAD) and bool(turns[1].mean() > _SOME_TURN_RAD)

    def without_first(self) -> "SkeletonMotion":
        """Drop the first frame."""
        moved = {joint: pos[1:] for joint, pos in self.moved.items()}
        return replace(self, rotations=self.rotations[1:], root_pos=self.root_pos[1:], moved=moved)

    def thinned(self, max_fps: float) -> "SkeletonMotion":
        """Keep every n-th frame, so that at most `max_fps` per second remain."""
        step = max(1, int(np.ceil(self.fps / max_fps - 1e-3)))
        if step == 1 or self.num_frames <= step:
            return self
        return replace(
            self,
            fps=self.fps / step,
            rotations=self.rotations[::step],
            root_pos=self.root_pos[::step],
            moved={joint: pos[::step] for joint, pos in self.moved.items()},
        )

    def forward(self) -> Tuple[Tensor, Tensor]:
        """Place every joint: positions (F, J, 3) and rotations (F, J, 4), world, in the file's axes and unit."""
        return _forward(self, self.rotations, self.root_pos, self.moved)

    def zero_pose(self) -> Tensor:
        """Return the joints' positions (J, 3) with all rotations zero and the root at the origin."""
        rot = torch.tensor([0.0, 0.0, 0.0, 1.0]).repeat(1, len(self.parents), 1).to(self.offsets)
        return _forward(self, rot, torch.zeros(1, 3).to(self.offsets), {})[0][0]

    def descendants(self, joint: int) -> List[int]:
        """List a joint and all below it."""
        found = [joint]
        for child in range(joint + 1, len(self.parents)):
            if self.parents[child] in found:
                found.append(child)
        return found

    def path(self, joint: int) -> List[int]:
        """List a joint and those above it, up to the root."""
        found = [joint]
        while self.parents[found[-1]] >= 0:
            found.append(self.parents[found[-1]])
        return found


def _forward(
    skeleton: SkeletonMotion, local: Tensor, root_pos: Tensor, moved: Dict[int, Tensor]
) -> Tuple[Tensor, Tensor]:
    pos: List[Tensor] = []
    rot: List[Tensor] = []
    for joint, parent in enumerate(skeleton.parents):
        if parent < 0:
            pos.append(root_pos)
            rot.append(local[:, joint])
        else:
            reach = moved.get(joint, skeleton.offsets[joint].expand(len(local), 3))
            pos.append(pos[parent] + rotations.quat_rotate(rot[parent], reach))
            rot.append(rotations.quat_mul(rot[parent], local[:, joint]))
    return torch.stack(pos, dim=1), torch.stack(rot, dim=1)
