"""Several characters side by side: in the simulation each has its own world, and all are in the same place."""

from dataclasses import replace
from typing import List

import numpy as np
import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterState
from amp_train.viewers.marker import MarkerPose

SPACING_M = 1.8


class Row:
    """Moves N characters so that each episode starts in its character's lane, facing x."""

    def __init__(self, num: int) -> None:
        """Lay out `num` lanes along y, the middle at 0."""
        lane = torch.arange(num) - 0.5 * (num - 1)
        self._lanes = torch.stack((0 * lane, lane * SPACING_M, 0 * lane), dim=-1)
        self._origin, self._turn = torch.zeros(num, 3), torch.zeros(num, 4)
        self._begun = torch.zeros(num, dtype=torch.bool)

    def place(self, state: CharacterState, restarted: Tensor) -> CharacterState:
        """Return N states in their lanes.

        Args:
            state: N characters in their worlds, on the CPU.
            restarted: (N,) bool, those whose episode has just started.
        """
        new = (restarted | ~self._begun).unsqueeze(-1)
        ground = state.root_pos * torch.tensor([1.0, 1.0, 0.0])
        self._origin = torch.where(new, ground, self._origin)
        self._turn = torch.where(new, rotations.yaw_quat(-rotations.heading(state.root_rot)), self._turn)
        self._begun = torch.ones_like(self._begun)
        moved = state.clone()
        moved.root_pos = rotations.quat_rotate(self._turn, state.root_pos - self._origin) + self._lanes
        moved.root_rot = rotations.quat_mul(self._turn, state.root_rot)
        moved.root_vel = rotations.quat_rotate(self._turn, state.root_vel)
        bodies = rotations.quat_rotate(self._turn.unsqueeze(1), state.body_pos - self._origin.unsqueeze(1))
        moved.body_pos = bodies + self._lanes.unsqueeze(1)
        return moved

    def place_markers(self, markers: List[MarkerPose]) -> List[MarkerPose]:
        """Move goals like their characters."""
        return [self._place_marker(marker) for marker in markers]

    def _place_marker(self, marker: MarkerPose) -> MarkerPose:
        pos = rotations.quat_rotate(self._turn, torch.from_numpy(marker.pos) - self._origin) + self._lanes
        direction, rot = marker.direction, marker.rot
        if direction is not None:
            direction = rotations.quat_rotate(self._turn, torch.from_numpy(direction)).numpy()
        if rot is not None:
            rot = rotations.quat_mul(self._turn, torch.from_numpy(rot)).numpy()
        return replace(marker, pos=pos.numpy(), direction=direction, rot=rot)

    def direction_in_world(self, n: int, direction: np.ndarray) -> np.ndarray:
        """Turn a direction (3,) as shown for character n back to its world."""
        back = rotations.quat_conjugate(self._turn[n])
        return rotations.quat_rotate(back, torch.tensor(direction, dtype=torch.float32)).numpy()
