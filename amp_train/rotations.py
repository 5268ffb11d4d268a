"""Quaternion maths in torch. Quaternions are unit, xyzw, body to world; functions broadcast over leading dimensions.

Results have the usual shape but lie in memory component by component (all x, then all y, ...): a batch is
processed in contiguous vectors, several times as fast on a CPU as interleaved. Checked against MuJoCo's `mju_*`
functions in `tests/reference`.
"""

from typing import Tuple

import torch
from torch import Tensor

_EPS = 1e-6


def quat_mul(p: Tensor, q: Tensor) -> Tensor:
    """Return the Hamilton product p * q (apply q first, then p), (..., 4)."""
    px, py, pz, pw = p.unbind(-1)
    qx, qy, qz, qw = q.unbind(-1)
    return _join(
        pw * qx + px * qw + py * qz - pz * qy,
        pw * qy - px * qz + py * qw + pz * qx,
        pw * qz + px * qy - py * qx + pz * qw,
        pw * qw - px * qx - py * qy - pz * qz,
    )


def quat_conjugate(q: Tensor) -> Tensor:
    """Return the inverse rotation of a unit quaternion, (..., 4)."""
    x, y, z, w = q.unbind(-1)
    return _join(-x, -y, -z, w)


def quat_rotate(q: Tensor, v: Tensor) -> Tensor:
    """Rotate vectors v (..., 3) from the body to the world frame by q (..., 4)."""
    x, y, z, w = q.unbind(-1)
    vx, vy, vz = v.unbind(-1)
    # v + w t + u x t with t = 2 u x v, u the vector part.
    tx, ty, tz = _cross((x, y, z), (vx, vy, vz))
    tx, ty, tz = tx + tx, ty + ty, tz + tz
    ux, uy, uz = _cross((x, y, z), (tx, ty, tz))
    return _join(vx + w * tx + ux, vy + w * ty + uy, vz + w * tz + uz)


def quat_rotate_inverse(q: Tensor, v: Tensor) -> Tensor:
    """Rotate vectors v (..., 3) from the world to the body frame by q (..., 4)."""
    return quat_rotate(quat_conjugate(q), v)


def normalize(q: Tensor) -> Tensor:
    """Scale to unit length along the last dimension; a zero vector stays zero."""
    return q / q.norm(dim=-1, keepdim=True).clamp(min=1e-12)


def exp_map_to_quat(exp_map: Tensor) -> Tensor:
    """Convert rotation vectors (axis * angle in rad, (..., 3)) to quaternions (..., 4)."""
    x, y, z = exp_map.unbind(-1)
    angle = torch.sqrt(x * x + y * y + z * z)
    half = 0.5 * angle
    scale = torch.where(angle > _EPS, torch.sin(half) / angle.clamp(min=_EPS), torch.full_like(angle, 0.5))
    return _join(x * scale, y * scale, z * scale, torch.cos(half))


def quat_to_exp_map(q: Tensor) -> Tensor:
    """Convert quaternions (..., 4) to rotation vectors (..., 3) of angle in [0, pi]; q and -q give the same vector."""
    x, y, z, w = q.unbind(-1)
    sin_half = torch.sqrt(x * x + y * y + z * z)
    # |w| and the sign of w together choose the shorter of the two turns.
    angle = 2.0 * torch.atan2(sin_half, w.abs())
    scale = torch.where(sin_half > _EPS, angle / sin_half.clamp(min=_EPS), torch.full_like(angle, 2.0))
    scale = torch.where(w < 0, -scale, scale)
    return _join(x * scale, y * scale, z * scale)


def quat_from_angle_axis(angle: Tensor, axis: Tensor) -> Tensor:
    """Build quaternions (..., 4) that turn by `angle` (..., rad) about unit `axis` (..., 3)."""
    half = 0.5 * angle.unsqueeze(-1)
    return torch.cat((torch.sin(half) * axis, torch.cos(half)), dim=-1)


def quat_twist_angle(q: Tensor, axis: Tensor) -> Tensor:
    """Return the angle (..., rad, in [-pi, pi]) of the rotation about `axis` (..., 3) contained in q (swing-twist)."""
    q = torch.where(q[..., 3:] < 0, -q, q)
    return 2.0 * torch.atan2((q[..., :3] * axis).sum(-1), q[..., 3])


def slerp(q0: Tensor, q1: Tensor, blend: Tensor) -> Tensor:
    """Interpolate along the shorter arc; `blend` in [0, 1] broadcasts against (..., 1). Returns unit quaternions
    (..., 4)."""
    cos = (q0 * q1).sum(-1, keepdim=True)
    q1 = torch.where(cos < 0, -q1, q1)
    theta = torch.acos(cos.abs().clamp(max=1.0))
    sin = torch.sin(theta)
    near = sin < 1e-4
    safe = torch.where(near, torch.ones_like(sin), sin)
    w0 = torch.where(near, 1.0 - blend, torch.sin((1.0 - blend) * theta) / safe)
    w1 = torch.where(near, blend.expand_as(sin), torch.sin(blend * theta) / safe)
    return normalize(w0 * q0 + w1 * q1)


def quat_to_tan_norm(q: Tensor) -> Tensor:
    """Return the 6D rotation (..., 6): the rotated x axis ("tangent") and z axis ("normal"), as in IsaacGymEnvs."""
    x, y, z, w = q.unbind(-1)
    x2, y2, z2 = x + x, y + y, z + z
    xz, wy, xx1 = x2 * z, y2 * w, 1.0 - x2 * x
    return _join(1.0 - y2 * y - z2 * z, x2 * y + z2 * w, xz - wy, xz + wy, y2 * z - x2 * w, xx1 - y2 * y)


def heading(q: Tensor) -> Tensor:
    """Return the yaw (..., rad) of the rotated x axis, the direction a character faces."""
    x, y, z, w = q.unbind(-1)
    return torch.atan2(2.0 * (x * y + w * z), 1.0 - 2.0 * (y * y + z * z))


def yaw_quat(angle: Tensor) -> Tensor:
    """Build rotations about world z by `angle` (..., rad)."""
    zero = torch.zeros_like(angle)
    half = 0.5 * angle
    return _join(zero, zero, torch.sin(half), torch.cos(half))


def heading_rot_inv(q: Tensor) -> Tensor:
    """Return the rotation that removes only the yaw of q, (..., 4)."""
    return yaw_quat(-heading(q))


def rotate_to_heading(q: Tensor, v: Tensor) -> Tensor:
    """Turn world vectors v (N, K, 3) into the heading frames of q (N, 4).

    It is `quat_rotate(heading_rot_inv(q), v)` without trigonometry.
    """
    x, y, z, w = q.unsqueeze(1).unbind(-1)
    cos, sin = 1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z)
    length = torch.sqrt(cos * cos + sin * sin)
    # A vertical x axis has no heading; as atan2(0, 0) = 0, take the x direction.
    vertical = length < 1e-12
    cos, sin = torch.where(vertical, torch.ones_like(cos), cos / length), torch.where(vertical, length, sin / length)
    vx, vy, vz = v.unbind(-1)
    return _join(cos * vx + sin * vy, cos * vy - sin * vx, vz)


def xyzw_to_wxyz(q: Tensor) -> Tensor:
    """Reorder to MuJoCo's layout."""
    return torch.cat((q[..., 3:], q[..., :3]), dim=-1)


def wxyz_to_xyzw(q_wxyz: Tensor) -> Tensor:
    """Reorder from MuJoCo's layout."""
    return torch.cat((q_wxyz[..., 1:], q_wxyz[..., :1]), dim=-1)


def _join(*components: Tensor) -> Tensor:
    return torch.stack(torch.broadcast_tensors(*components)).movedim(0, -1)


def _cross(a: Tuple[Tensor, Tensor, Tensor], b: Tuple[Tensor, Tensor, Tensor]) -> Tuple[Tensor, Tensor, Tensor]:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
