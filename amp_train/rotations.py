"""Quaternion maths in torch. Quaternions are unit, xyzw, body to world; every function broadcasts over leading
dimensions.

Checked against MuJoCo's `mju_*` functions in `tests/reference`.
"""

import torch
from torch import Tensor

_EPS = 1e-6


def quat_mul(p: Tensor, q: Tensor) -> Tensor:
    """Return the Hamilton product p * q (apply q first, then p), (..., 4)."""
    px, py, pz, pw = p.unbind(-1)
    qx, qy, qz, qw = q.unbind(-1)
    return torch.stack(
        (
            pw * qx + px * qw + py * qz - pz * qy,
            pw * qy - px * qz + py * qw + pz * qx,
            pw * qz + px * qy - py * qx + pz * qw,
            pw * qw - px * qx - py * qy - pz * qz,
        ),
        dim=-1,
    )


def quat_conjugate(q: Tensor) -> Tensor:
    """Return the inverse rotation of a unit quaternion, (..., 4)."""
    return torch.cat((-q[..., :3], q[..., 3:]), dim=-1)


def quat_rotate(q: Tensor, v: Tensor) -> Tensor:
    """Rotate vectors v (..., 3) from the body to the world frame by q (..., 4)."""
    q, v = torch.broadcast_tensors(q, torch.cat((v, v[..., :1]), dim=-1))
    xyz, w, v = q[..., :3], q[..., 3:], v[..., :3]
    t = 2.0 * torch.linalg.cross(xyz, v)
    return v + w * t + torch.linalg.cross(xyz, t)


def quat_rotate_inverse(q: Tensor, v: Tensor) -> Tensor:
    """Rotate vectors v (..., 3) from the world to the body frame by q (..., 4)."""
    return quat_rotate(quat_conjugate(q), v)


def normalize(q: Tensor) -> Tensor:
    """Scale to unit length along the last dimension; a zero vector stays zero."""
    return q / q.norm(dim=-1, keepdim=True).clamp(min=1e-12)


def exp_map_to_quat(exp_map: Tensor) -> Tensor:
    """Convert rotation vectors (axis * angle in rad, (..., 3)) to quaternions (..., 4)."""
    angle = exp_map.norm(dim=-1, keepdim=True)
    half = 0.5 * angle
    scale = torch.where(angle > _EPS, torch.sin(half) / angle.clamp(min=_EPS), 0.5 * torch.ones_like(angle))
    return torch.cat((exp_map * scale, torch.cos(half)), dim=-1)


def quat_to_exp_map(q: Tensor) -> Tensor:
    """Convert quaternions (..., 4) to rotation vectors (..., 3) of angle in [0, pi]; q and -q give the same vector."""
    q = torch.where(q[..., 3:] < 0, -q, q)
    sin_half = q[..., :3].norm(dim=-1, keepdim=True)
    angle = 2.0 * torch.atan2(sin_half, q[..., 3:])
    scale = torch.where(sin_half > _EPS, angle / sin_half.clamp(min=_EPS), 2.0 * torch.ones_like(angle))
    return q[..., :3] * scale


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
    """Return the 6D rotation (..., 6): the rotated x axis ("tangent") and the rotated z axis ("normal"), as in
    IsaacGymEnvs."""
    x, y, z, w = q.unbind(-1)
    return torch.stack(
        (
            1.0 - 2.0 * (y * y + z * z),
            2.0 * (x * y + w * z),
            2.0 * (x * z - w * y),
            2.0 * (x * z + w * y),
            2.0 * (y * z - w * x),
            1.0 - 2.0 * (x * x + y * y),
        ),
        dim=-1,
    )


def heading(q: Tensor) -> Tensor:
    """Return the yaw (..., rad) of the rotated x axis, the direction a character faces."""
    x, y, z, w = q.unbind(-1)
    return torch.atan2(2.0 * (x * y + w * z), 1.0 - 2.0 * (y * y + z * z))


def yaw_quat(angle: Tensor) -> Tensor:
    """Build rotations about world z by `angle` (..., rad)."""
    zero = torch.zeros_like(angle)
    half = 0.5 * angle
    return torch.stack((zero, zero, torch.sin(half), torch.cos(half)), dim=-1)


def heading_rot_inv(q: Tensor) -> Tensor:
    """Return the rotation that removes the yaw of q and nothing else, (..., 4)."""
    return yaw_quat(-heading(q))


def rotate_to_heading(q: Tensor, v: Tensor) -> Tensor:
    """Turn world vectors v (N, K, 3) into the heading frames of q (N, 4): `quat_rotate(heading_rot_inv(q), v)`
    without trigonometry."""
    x, y, z, w = q.unbind(-1)
    facing = torch.stack((1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z)), dim=-1)
    # A vertical x axis has no heading: atan2(0, 0) = 0, the x direction.
    facing = facing / facing.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    cos, sin = facing[:, :1], facing[:, 1:]
    cos = torch.where((cos == 0) & (sin == 0), torch.ones_like(cos), cos)
    return torch.stack((cos * v[..., 0] + sin * v[..., 1], cos * v[..., 1] - sin * v[..., 0], v[..., 2]), dim=-1)


def xyzw_to_wxyz(q: Tensor) -> Tensor:
    """Reorder to MuJoCo's layout."""
    return torch.cat((q[..., 3:], q[..., :3]), dim=-1)


def wxyz_to_xyzw(q_wxyz: Tensor) -> Tensor:
    """Reorder from MuJoCo's layout."""
    return torch.cat((q_wxyz[..., 1:], q_wxyz[..., :1]), dim=-1)
