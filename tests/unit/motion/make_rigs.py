"""The humanoid's clips as files of other skeletons: other names, rest poses, axes and proportions, with known
answers."""

import math
from dataclasses import replace
from typing import Dict, Optional

import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterSpec, Kinematics
from amp_train.motion import MotionClip
from amp_train.motion.exporters import bvh_text
from amp_train.motion.retarget.frames import matrix_to_quat

MIXAMO = {
    "pelvis": "mixamorig:Hips", "torso": "mixamorig:Spine2", "head": "mixamorig:Head",
    "right_upper_arm": "mixamorig:RightArm", "right_lower_arm": "mixamorig:RightForeArm",
    "right_hand": "mixamorig:RightHand", "left_upper_arm": "mixamorig:LeftArm",
    "left_lower_arm": "mixamorig:LeftForeArm", "left_hand": "mixamorig:LeftHand",
    "right_thigh": "mixamorig:RightUpLeg", "right_shin": "mixamorig:RightLeg", "right_foot": "mixamorig:RightFoot",
    "left_thigh": "mixamorig:LeftUpLeg", "left_shin": "mixamorig:LeftLeg", "left_foot": "mixamorig:LeftFoot",
}  # fmt: skip


def rest_pose(spec: CharacterSpec, arms_deg: float, legs_deg: float) -> Tensor:
    """Rotations (B, 4) of the bodies with arms and legs lifted to the side: 90 and 0 is a T pose, 45 and 20 an A."""
    rest = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64).repeat(spec.num_bodies, 1)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for parts, angle in ((("upper_arm", "lower_arm", "hand"), arms_deg), (("thigh", "shin"), legs_deg)):
            turn = rotations.exp_map_to_quat(torch.tensor([sign * math.radians(angle), 0.0, 0.0]).double())
            for part in parts:
                rest[spec.body_names.index(f"{side}_{part}")] = turn
    return rest


def along_bones(spec: CharacterSpec, mirrored: bool) -> Tensor:
    """Rotations (B, 4) of a zero pose that stands nowhere: every bone lies along the file's x axis, its left along z;
    mirrored, the right side's lies along -x (as Bandai-Namco's does)."""
    rest = []
    for name in spec.body_names:
        bone = torch.tensor([0.0, 0.0, -1.0])
        if name in ("pelvis", "torso", "head"):
            bone = torch.tensor([0.0, 0.0, 1.0])
        elif "foot" in name:
            bone = torch.tensor([1.0, 0.0, 0.0])
        sign = -1.0 if mirrored and name.startswith("right") else 1.0
        x, z = sign * bone, sign * torch.tensor([0.0, 1.0, 0.0])
        axes = torch.stack((x, torch.cross(z, x, dim=0), z), dim=1).double()
        rest.append(rotations.quat_conjugate(matrix_to_quat(axes)))
    return torch.stack(rest)


def as_bvh(
    clip: MotionClip, spec: CharacterSpec, rest: Optional[Tensor] = None, scale: float = 1.0, arms: float = 1.0,
    names: Optional[Dict[str, str]] = None,
) -> str:  # fmt: skip
    """A clip as a BVH file of somebody `scale` times as tall with arms `arms` times as long again."""
    factors = torch.full((spec.num_bodies,), scale)
    for body, name in enumerate(spec.body_names):
        if "lower_arm" in name or "hand" in name:
            factors[body] *= arms
    tall = replace(clip, root_pos=clip.root_pos * scale)
    return bvh_text(tall, spec, MIXAMO if names is None else names, rest, factors)


def joint_angles_deg(one: MotionClip, other: MotionClip) -> Tensor:
    """Angles (F, J) between two clips' joint rotations."""
    turn = rotations.quat_mul(rotations.quat_conjugate(one.joint_rot), other.joint_rot)
    return torch.rad2deg(rotations.quat_to_exp_map(turn).norm(dim=-1))


def body_distances_cm(one: MotionClip, other: MotionClip, spec: CharacterSpec) -> Tensor:
    """Distances (F, B) between two clips' bodies."""
    kinematics = Kinematics(spec)
    places = [kinematics.forward(c.root_pos, c.root_rot, c.joint_rot)[0] for c in (one, other)]
    return 100.0 * (places[0] - places[1]).norm(dim=-1)
