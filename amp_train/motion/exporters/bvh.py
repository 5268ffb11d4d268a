"""Write a clip as BVH, for Blender and other programs: y up, cm, Z X Y angles in degrees."""

from typing import Dict, List, Optional

import numpy as np
import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterSpec
from amp_train.motion.clip import MotionClip
from amp_train.motion.fit import match_joints

_CM = 100.0
_INDENT = "  "
_MIN_TIP_M = 0.02


def bvh_text(
    clip: MotionClip,
    spec: CharacterSpec,
    names: Optional[Dict[str, str]] = None,
    rest_rot: Optional[Tensor] = None,
    bone_scale: Optional[Tensor] = None,
) -> str:
    """Return a clip as the text of a BVH file.

    Args:
        clip: for `spec`.
        spec: the character.
        names: body -> what the file calls it; None: its own name.
        rest_rot: (B, 4) rotation of every body in the world in the file's zero pose; None: the character's rest pose.
        bone_scale: (B,) factor of each body's offset from its parent; None: 1.
    """
    clip = match_joints(clip, spec)
    count = spec.num_bodies
    offset_rot = spec.body_offset_rot.double()
    rest = _rest(spec) if rest_rot is None else rest_rot.double()
    world = _world(clip, spec, offset_rot)
    # In the file a body's rotation is measured from the zero pose, in which all axes are the world's.
    turned = rotations.quat_mul(world, rotations.quat_conjugate(rest).expand_as(world))
    parents = list(spec.parent_ids)
    local = turned.clone()
    for body in range(1, count):
        local[:, body] = rotations.quat_mul(rotations.quat_conjugate(turned[:, parents[body]]), turned[:, body])
    scale = torch.ones(count).double() if bone_scale is None else bone_scale.double()
    offsets = torch.zeros(count, 3).double()
    for body in range(1, count):
        offsets[body] = scale[body] * rotations.quat_rotate(rest[parents[body]], spec.body_offset[body].double())
    header: List[str] = ["HIERARCHY"]
    order: List[int] = []
    tips = _tips(spec, rest)
    _write_joint(0, "", spec, names or {}, _y_up(offsets) * _CM, tips, header, order)
    angles = _zxy_degrees(_y_up_rot(local))
    root = _y_up(clip.root_pos.double()) * _CM
    rows = torch.cat([root] + [angles[:, body] for body in order], dim=1).numpy()
    header += ["MOTION", f"Frames: {clip.num_frames}", f"Frame Time: {1.0 / clip.fps:.8f}"]
    return "\n".join(header + [" ".join(f"{value:.6f}" for value in row) for row in rows]) + "\n"


def _rest(spec: CharacterSpec) -> Tensor:
    rot: List[Tensor] = []
    for body, parent in enumerate(spec.parent_ids):
        own = spec.body_offset_rot[body].double()
        rot.append(own if parent < 0 else rotations.quat_mul(rot[parent], own))
    return torch.stack(rot)


def _world(clip: MotionClip, spec: CharacterSpec, offset_rot: Tensor) -> Tensor:
    """Return the bodies' rotations (F, B, 4) in the world, float64."""
    rot: List[Tensor] = [clip.root_rot.double()]
    joint_of = {body: joint for joint, body in enumerate(spec.joint_body_ids)}
    for body in range(1, spec.num_bodies):
        own = rotations.quat_mul(rot[spec.parent_ids[body]], offset_rot[body].expand(clip.num_frames, 4))
        if body in joint_of:
            own = rotations.quat_mul(own, clip.joint_rot[:, joint_of[body]].double())
        rot.append(own)
    return torch.stack(rot, dim=1)


def _tips(spec: CharacterSpec, rest: Tensor) -> Dict[int, Tensor]:
    """Return where each body that has no child ends (3,) m, from the farthest point of its geometry."""
    tips = {}
    for body in range(spec.num_bodies):
        if body in spec.parent_ids:
            continue
        mine = (spec.geoms.body_ids == body).nonzero().flatten()
        tip = torch.zeros(3).double()
        if len(mine) > 0:
            far = mine[spec.geoms.pos[mine].norm(dim=-1).argmax()]
            tip = spec.geoms.pos[far].double()
            longest = int(spec.geoms.half_size[far].argmax())
            tip = tip + torch.eye(3).double()[longest] * spec.geoms.half_size[far].double()
        if float(tip.norm()) < _MIN_TIP_M:
            tip = torch.tensor([0.0, 0.0, -0.08]).double()
        tips[body] = rotations.quat_rotate(rest[body], tip)
    return tips


def _write_joint(
    body: int,
    indent: str,
    spec: CharacterSpec,
    names: Dict[str, str],
    offsets: Tensor,
    tips: Dict[int, Tensor],
    lines: List[str],
    order: List[int],
) -> None:
    order.append(body)
    own = spec.body_names[body]
    lines.append(f"{indent}{'JOINT' if body else 'ROOT'} {names.get(own, own)}")
    lines += [indent + "{", indent + _INDENT + _offset(offsets[body])]
    position = "6 Xposition Yposition Zposition" if body == 0 else "3"
    lines.append(f"{indent}{_INDENT}CHANNELS {position} Zrotation Xrotation Yrotation")
    for child, parent in enumerate(spec.parent_ids):
        if parent == body:
            _write_joint(child, indent + _INDENT, spec, names, offsets, tips, lines, order)
    if body in tips:
        inner = indent + _INDENT
        tip = _offset(_y_up(tips[body]) * _CM)
        lines += [inner + "End Site", inner + "{", inner + _INDENT + tip, inner + "}"]
    lines.append(indent + "}")


def _offset(offset: Tensor) -> str:
    return "OFFSET " + " ".join(f"{length:.6f}" for length in offset.tolist())


def _y_up(v: Tensor) -> Tensor:
    """Turn vectors (..., 3): our x (forward) becomes z, our z (up) becomes y."""
    return torch.stack((v[..., 1], v[..., 2], v[..., 0]), dim=-1)


def _y_up_rot(rot: Tensor) -> Tensor:
    return torch.cat((_y_up(rot[..., :3]), rot[..., 3:]), dim=-1)


def _zxy_degrees(rot: Tensor) -> Tensor:
    """Return the angles (..., 3) of turns about z, then x, then y, each about the axes the one before left."""
    x, y, z, w = rot.unbind(-1)
    tilt = torch.asin((2.0 * (w * x + y * z)).clamp(-1.0, 1.0))
    yaw = torch.atan2(2.0 * (w * z - x * y), 1.0 - 2.0 * (x * x + z * z))
    roll = torch.atan2(2.0 * (w * y - x * z), 1.0 - 2.0 * (x * x + y * y))
    angles = torch.stack((yaw, tilt, roll), dim=-1).numpy()
    return torch.from_numpy(np.rad2deg(np.unwrap(angles, axis=0)))
