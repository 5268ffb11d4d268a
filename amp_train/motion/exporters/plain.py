"""Write a clip as CSV, DeepMimic, poselib or MimicKit: the inverses of the importers of the same names, which describe
the formats."""

import io
import json
import pickle
from collections import OrderedDict
from typing import Any, Dict, List

import numpy as np
import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterSpec, Kinematics
from amp_train.errors import MotionError
from amp_train.motion.clip import MotionClip
from amp_train.motion.fit import match_joints
from amp_train.motion.importers.deepmimic import JOINTS
from amp_train.motion.importers.mimickit import ARMS, rests_arms_down
from amp_train.motion.importers.robot import dof_names
from amp_train.motion.operations import posed_bodies

_LOOPS = {"wrap": "wrap", "clamp": "none"}


def csv_text(clip: MotionClip, spec: CharacterSpec) -> str:
    """A header; then a row a frame: root x y z (m), quaternion x y z w, joint angles (rad)."""
    clip = match_joints(clip, spec)
    names = ["root_x", "root_y", "root_z", "root_qx", "root_qy", "root_qz", "root_qw", *dof_names(spec)]
    rows = torch.cat((clip.root_pos, clip.root_rot, Kinematics(spec).dof_pos(clip.joint_rot)), dim=1).tolist()
    return "\n".join([",".join(names)] + [",".join(f"{value:.7g}" for value in row) for row in rows]) + "\n"


def deepmimic_text(clip: MotionClip, spec: CharacterSpec) -> str:
    """Raises: MotionError: the character does not have DeepMimic's joints."""
    if set(spec.joint_names) != {name for name, _ in JOINTS}:
        raise MotionError(f"DeepMimic's format is for its own humanoid; '{spec.name}' has other joints.")
    clip = match_joints(clip, spec)
    columns: List[Tensor] = [torch.full((clip.num_frames, 1), 1.0 / clip.fps), _y_up(clip.root_pos)]
    columns.append(_wxyz_y_up(clip.root_rot))
    for name, size in JOINTS:
        rot = clip.joint_rot[:, spec.joint_names.index(name)]
        axis = torch.tensor([0.0, 1.0, 0.0]).expand(clip.num_frames, 3)
        columns.append(_wxyz_y_up(rot) if size == 4 else -rotations.quat_twist_angle(rot, axis).unsqueeze(1))
    frames = [[round(value, 7) for value in row] for row in torch.cat(columns, dim=1).double().tolist()]
    return json.dumps({"Loop": _LOOPS[clip.loop], "Frames": frames})


def poselib_bytes(clip: MotionClip, spec: CharacterSpec) -> bytes:
    """The pickled dict in a `.npy` that poselib's `SkeletonMotion.from_file` reads."""
    clip = match_joints(clip, spec)
    joint_of = {body: joint for joint, body in enumerate(spec.joint_body_ids)}
    local = spec.body_offset_rot.repeat(clip.num_frames, 1, 1)
    local[:, 0] = clip.root_rot
    for body, joint in joint_of.items():
        local[:, body] = rotations.quat_mul(local[:, body], clip.joint_rot[:, joint])
    pos, rot = posed_bodies(clip, spec)
    turn = rotations.quat_to_exp_map(rotations.quat_mul(rot[1:], rotations.quat_conjugate(rot[:-1]))) * clip.fps
    content = OrderedDict(
        rotation=_with_context(local),
        root_translation=_with_context(clip.root_pos),
        global_velocity=_with_context(torch.cat((pos[1:] - pos[:-1], pos[-1:] - pos[-2:-1])) * clip.fps),
        global_angular_velocity=_with_context(torch.cat((turn, turn[-1:]))),
        skeleton_tree=OrderedDict(
            node_names=list(spec.body_names),
            parent_indices=_with_context(torch.tensor(spec.parent_ids)),
            local_translation=_with_context(spec.body_offset),
        ),
        is_local=True,
        fps=clip.fps,
    )
    content["__name__"] = "SkeletonMotion"
    buffer = io.BytesIO()
    np.save(buffer, np.array(content, dtype=object))
    return buffer.getvalue()


def mimickit_bytes(clip: MotionClip, spec: CharacterSpec) -> bytes:
    """MimicKit's own humanoid rests with its arms sideways; for ours the arms are converted."""
    clip = match_joints(clip, spec)
    joint_rot = _arms_sideways(clip.joint_rot, spec) if rests_arms_down(spec) else clip.joint_rot
    dof_pos = Kinematics(spec).dof_pos(joint_rot)
    if rests_arms_down(spec):
        for side, _ in ARMS:
            elbow = spec.joint_names.index(side + "_elbow")
            axis = torch.tensor([0.0, 0.0, 1.0]).expand(clip.num_frames, 3)
            dof_pos[:, spec.dof_offsets[elbow]] = rotations.quat_twist_angle(joint_rot[:, elbow], axis)
    frames = torch.cat((clip.root_pos, rotations.quat_to_exp_map(clip.root_rot), dof_pos), dim=1)
    content: Dict[str, Any] = {
        "fps": clip.fps if clip.fps != round(clip.fps) else int(clip.fps),
        "loop_mode": int(clip.loop == "wrap"),
        "frames": frames.double().tolist(),
    }
    return pickle.dumps(content, protocol=4)


def _arms_sideways(joint_rot: Tensor, spec: CharacterSpec) -> Tensor:
    """Undo `mimickit.arms_down_joint_rot`: with C the lift of a hanging arm, a shoulder is S C^-1 and an elbow C E
    C^-1."""
    joint_rot = joint_rot.clone()
    for side, angle in ARMS:
        lift = rotations.exp_map_to_quat(torch.tensor([angle, 0.0, 0.0]))
        back = rotations.quat_conjugate(lift)
        shoulder, elbow = (spec.joint_names.index(side + joint) for joint in ("_shoulder", "_elbow"))
        joint_rot[:, shoulder] = rotations.quat_mul(joint_rot[:, shoulder], back)
        joint_rot[:, elbow] = rotations.quat_mul(rotations.quat_mul(lift, joint_rot[:, elbow]), back)
    return joint_rot


def _with_context(values: Tensor) -> Dict[str, Any]:
    array = values.cpu().numpy()
    return OrderedDict(arr=array, context={"dtype": array.dtype.name})


def _y_up(v: Tensor) -> Tensor:
    """Turn vectors (..., 3) by -90 degrees about x: (x, y, z) -> (x, z, -y)."""
    return torch.stack((v[..., 0], v[..., 2], -v[..., 1]), dim=-1)


def _wxyz_y_up(rot: Tensor) -> Tensor:
    return torch.cat((rot[..., 3:], _y_up(rot[..., :3])), dim=-1)
