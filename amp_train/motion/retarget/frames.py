"""Geometry of anatomical frames: x forward, y left, z up for every part of a person standing with hanging
arms."""

import itertools

import torch
from torch import Tensor

from amp_train import rotations


def unit(v: Tensor) -> Tensor:
    """Scale vectors (..., 3) to length 1; a zero vector stays zero."""
    return v / v.norm(dim=-1, keepdim=True).clamp(min=1e-12)


def frame(up: Tensor, left: Tensor) -> Tensor:
    """Return the rotation (..., 4) of a frame whose z is `up` and whose y is as near to `left` as it can be."""
    z = unit(up)
    y = unit(left - (left * z).sum(-1, keepdim=True) * z)
    return matrix_to_quat(torch.stack((torch.cross(y, z, dim=-1), y, z), dim=-1))


def matrix_to_quat(matrix: Tensor) -> Tensor:
    """Convert rotation matrices (..., 3, 3) to quaternions (..., 4): the largest of the four components comes from
    the diagonal, so that no division is by a small number."""
    m = matrix
    d0, d1, d2 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    four = torch.stack((1 + d0 - d1 - d2, 1 - d0 + d1 - d2, 1 - d0 - d1 + d2, 1 + d0 + d1 + d2), dim=-1)
    xy, xz, yz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    rows = torch.stack(
        (
            torch.stack((four[..., 0], xy, xz, wx), dim=-1),
            torch.stack((xy, four[..., 1], yz, wy), dim=-1),
            torch.stack((xz, yz, four[..., 2], wz), dim=-1),
            torch.stack((wx, wy, wz, four[..., 3]), dim=-1),
        ),
        dim=-2,
    )
    best = four.argmax(dim=-1)[..., None, None].expand(four.shape[:-1] + (1, 4))
    return rotations.normalize(rows.gather(-2, best).squeeze(-2))


def relative(parent: Tensor, child: Tensor) -> Tensor:
    """Return child rotations (..., 4) in the parent's frame."""
    return rotations.quat_mul(rotations.quat_conjugate(parent), child)


def mean_rotation(rot: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean (4,) of rotations (F, 4): the main direction of their outer products (Markley 2007)."""
    moments = torch.einsum("f,fi,fj->ij", weight, rot, rot)
    return torch.linalg.eigh(moments)[1][:, -1]


def snapped(rot: Tensor, within_rad: float) -> Tensor:
    """Return the rotation (4,) that maps axes to axes, if one is near; else `rot`."""
    nearest = min(_axis_rotations().to(rot), key=lambda other: _angle(rot, other))
    return nearest if _angle(rot, nearest) < within_rad else rot


def snapped_direction(v: Tensor, within_rad: float) -> Tensor:
    """Return the coordinate direction (3,) near a unit vector, if there is one; else the vector."""
    axis = int(v.abs().argmax())
    nearest = torch.zeros_like(v)
    nearest[axis] = torch.sign(v[axis])
    return nearest if float(torch.acos((v @ nearest).clamp(-1, 1))) < within_rad else v


def swing(start: Tensor, end: Tensor) -> Tensor:
    """Return the shortest rotations (..., 4) that turn unit vectors `start` (..., 3) into `end` (..., 3)."""
    axis = torch.cross(start, end, dim=-1)
    cos = (start * end).sum(-1, keepdim=True)
    # Opposite vectors: half a turn about any perpendicular axis.
    other = torch.eye(3).to(start)[start.abs().argmin(dim=-1)]
    axis = torch.where(cos < -1 + 1e-9, torch.cross(start, other, dim=-1), axis)
    return rotations.normalize(torch.cat((axis, (1.0 + cos).clamp(min=0.0)), dim=-1))


def _angle(p: Tensor, q: Tensor) -> float:
    return 2.0 * float(torch.acos((p * q).sum().abs().clamp(max=1.0)))


def _axis_rotations() -> Tensor:
    """Return the 24 rotations (24, 4) that map axes to axes."""
    found = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            matrix = torch.zeros(3, 3, dtype=torch.float64)
            for row, (column, sign) in enumerate(zip(order, signs)):
                matrix[row, column] = sign
            if torch.det(matrix) > 0:
                found.append(matrix)
    return matrix_to_quat(torch.stack(found))
