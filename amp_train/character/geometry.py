"""The character's contact geometry, reduced to what the motion importer needs: the lowest point of a pose."""

from dataclasses import dataclass

import torch
from torch import Tensor

from amp_train import rotations


@dataclass(frozen=True)
class ContactGeoms:
    """Every colliding geom as a box swept by a sphere: a sphere is a point with a radius, a capsule a segment with one.

    Attributes:
        body_ids: (num_geoms,) the body each geom is fixed to.
        pos: (num_geoms, 3) m, centre in the body's frame.
        rot: (num_geoms, 4) geom to body.
        half_size: (num_geoms, 3) m, half extents of the box along the geom's axes.
        radius: (num_geoms,) m, of the sphere.
    """

    body_ids: Tensor
    pos: Tensor
    rot: Tensor
    half_size: Tensor
    radius: Tensor

    @classmethod
    def none(cls) -> "ContactGeoms":
        """Return the geometry of a character that cannot touch anything."""
        return cls(
            torch.zeros(0, dtype=torch.long), torch.zeros(0, 3), torch.zeros(0, 4), torch.zeros(0, 3), torch.zeros(0)
        )

    def lowest_height(self, body_pos: Tensor, body_rot: Tensor) -> Tensor:
        """Return the height (..., num_geoms) m of each geom's lowest point.

        Args:
            body_pos: (..., num_bodies, 3) m, world.
            body_rot: (..., num_bodies, 4).
        """
        rot = body_rot[..., self.body_ids, :]
        centre = body_pos[..., self.body_ids, :] + rotations.quat_rotate(rot, self.pos)
        x, y, z, w = rotations.quat_mul(rot, self.rot).unbind(-1)
        # Third row of the rotation matrix: how much each of the geom's axes points up.
        up = torch.stack((2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)), dim=-1)
        return centre[..., 2] - (up.abs() * self.half_size).sum(-1) - self.radius
