"""The soles: foot slide is the speed of the point on the ground, not of the ankle above it."""

from itertools import product
from typing import List, Sequence

import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterSpec


class FootPoints:
    """The corners of the geometry of each foot."""

    def __init__(self, spec: CharacterSpec, foot_ids: Sequence[int], device: torch.device) -> None:
        """Find the corners; a foot without geometry has its origin."""
        self._feet = list(foot_ids)
        corners = [_corners(spec, foot) for foot in self._feet]
        most = max(len(points) for points in corners)
        padded = [torch.cat((points, points[:1].expand(most - len(points), 3))) for points in corners]
        self._local = torch.stack(padded).to(device)

    def __call__(self, body_pos: Tensor, body_rot: Tensor) -> Tensor:
        """Return the corners (N, F, C, 3) m, world, of characters (N, B, 3) and (N, B, 4)."""
        rot = body_rot[:, self._feet].unsqueeze(-2)
        return body_pos[:, self._feet].unsqueeze(-2) + rotations.quat_rotate(
            rot, self._local.expand(len(rot), -1, -1, -1)
        )


def _corners(spec: CharacterSpec, body: int) -> Tensor:
    """Return the corners (C, 3) m of a body's geoms in its frame."""
    signs = torch.tensor(list(product((-1.0, 1.0), repeat=3)))
    found: List[Tensor] = []
    for geom in (spec.geoms.body_ids == body).nonzero().flatten().tolist():
        points = signs * spec.geoms.half_size[geom]
        found.append(spec.geoms.pos[geom] + rotations.quat_rotate(spec.geoms.rot[geom].expand(8, 4), points))
    return torch.cat(found) if found else torch.zeros(1, 3)


def lowest_point_speed(foot_points: Tensor, dt_s: float) -> Tensor:
    """Return the horizontal speed (T - 1, N, F) m/s of the point that is lowest after each step.

    Args:
        foot_points: (T, N, F, C, 3) m, world.
        dt_s: s between two rows.
    """
    speed = (foot_points[1:, ..., :2] - foot_points[:-1, ..., :2]).norm(dim=-1) / dt_s
    lowest = foot_points[1:, ..., 2].argmin(dim=-1, keepdim=True)
    return speed.gather(-1, lowest).squeeze(-1)
