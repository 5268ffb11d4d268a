"""Skeletons of the field, written down from published files: names, zero pose, unit, order of the channels. `rig_bvh`
lets one of them do what a clip of the humanoid does."""

import math
from typing import Dict, List, NamedTuple

import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterSpec
from amp_train.motion import MotionClip
from amp_train.motion.operations import posed_bodies
from amp_train.motion.retarget.frames import matrix_to_quat, swing, unit


class Rig(NamedTuple):
    """A skeleton; y up.

    Attributes:
        unit, metres: its unit, as `amp-motion` calls it.
        order: of the rotation channels.
        moves: whether every joint lists a position, which is its offset.
        joints: a line each: name, parent, offset in the file's unit, the humanoid's body that it goes with. One side:
            L and R stand for both, with x (along_x: z) reversed.
        along_x: every bone lies along its joint's x axis, and the zero pose stands nowhere.
    """

    unit: str
    metres: float
    order: str
    moves: bool
    joints: str
    along_x: bool = False


RIGS: Dict[str, Rig] = {
    # CMU as converted by cgspeed for MotionBuilder; Xia's and AnimatedDrawings' files of CMU have the same skeleton.
    "CMU": Rig("cmu", 0.0254 / 0.45, "ZYX", False, """
        Hips - 0 0 0 pelvis
        {L}HipJoint Hips 0 0 0 pelvis
        {Left}UpLeg {L}HipJoint 1.36306 -1.79463 0.83929 thigh
        {Left}Leg {Left}UpLeg 2.44811 -6.72613 0 shin
        {Left}Foot {Left}Leg 2.5622 -7.03959 0 foot
        {Left}ToeBase {Left}Foot 0.15764 -0.43311 2.32255 foot
        LowerBack Hips 0 0 0 torso
        Spine LowerBack 0.01961 2.0545 -0.14119 torso
        Spine1 Spine 0.01021 2.06436 -0.05921 torso
        Neck Spine1 0 0 0 torso
        Neck1 Neck 0.00713 1.56711 0.14968 head
        Head Neck1 0.03429 1.56041 -0.10006 head
        {Left}Shoulder Spine1 0 0 0 torso
        {Left}Arm {Left}Shoulder 3.36554 1.2009 -0.31121 upper_arm
        {Left}ForeArm {Left}Arm 4.983 0 0 lower_arm
        {Left}Hand {Left}ForeArm 3.48356 0 0 lower_arm
        {L}Thumb {Left}Hand 0 0 0 lower_arm"""),
    # Biovision's own example: inches, arms sideways, an end of the foot straight below the ankle.
    "Biovision": Rig("inch", 0.0254, "ZXY", False, """
        Hips - 0 0 0 pelvis
        {Left}Hip Hips 3.43 0 0 thigh
        {Left}Knee {Left}Hip 0 -18.47 0 shin
        {Left}Ankle {Left}Knee 0 -17.95 0 foot
        {Left}Ankle_end {Left}Ankle 0 -3.12 0 foot
        Chest Hips 0 4.57 0 torso
        {Left}Collar Chest 1.06 15.33 1.76 torso
        {Left}Shoulder {Left}Collar 5.81 0 0 upper_arm
        {Left}Elbow {Left}Shoulder 0 -12.08 0 lower_arm
        {Left}Wrist {Left}Elbow 0 -9.82 0 lower_arm
        Neck Chest 0 17.62 0 head
        Head Neck 0 5.19 0 head"""),
    "Rokoko": Rig("cm", 0.01, "YXZ", True, """
        Hips - 0 95 0 pelvis
        Spine Hips 0 8 0 torso
        Spine1 Spine 0 11 0 torso
        Spine2 Spine1 0 11 0 torso
        Neck Spine2 0 22 0 head
        Head Neck 0 10 2 head
        {Left}Shoulder Spine2 3 17 0 torso
        {Left}Arm {Left}Shoulder 14 0 0 upper_arm
        {Left}ForeArm {Left}Arm 28 0 0 lower_arm
        {Left}Hand {Left}ForeArm 26 0 0 lower_arm
        {Left}Thigh Hips 9 -4 0 thigh
        {Left}Shin {Left}Thigh 0 -42 0 shin
        {Left}Foot {Left}Shin 0 -41 0 foot
        {Left}Toe {Left}Foot 0 -7 14 foot"""),
    "Xsens": Rig("cm", 0.01, "YXZ", False, """
        Hips - 0 0 0 pelvis
        Chest Hips 0 10.1 -1.2 torso
        Chest2 Chest 0 10.4 0 torso
        Chest3 Chest2 0 9.6 0 torso
        Chest4 Chest3 0 9.6 0 torso
        Neck Chest4 0 13.5 0 head
        Head Neck 0 9.2 0 head
        {Left}Collar Chest4 3 7.8 0 torso
        {Left}Shoulder {Left}Collar 13.6 0 0 upper_arm
        {Left}Elbow {Left}Shoulder 29.1 0 0 lower_arm
        {Left}Wrist {Left}Elbow 24.8 0 0 lower_arm
        {Left}Hip Hips 8.1 -1 0 thigh
        {Left}Knee {Left}Hip 0 -43.2 0 shin
        {Left}Ankle {Left}Knee 0 -42.1 0 foot
        {Left}Toe {Left}Ankle 0 -8.3 17.4 foot"""),
    "Mixamo": Rig("cm", 0.01, "ZXY", False, """
        mixamorig:Hips - 0 99.8 0 pelvis
        mixamorig:Spine mixamorig:Hips 0 9.92 -1.22 torso
        mixamorig:Spine1 mixamorig:Spine 0 11.73 0 torso
        mixamorig:Spine2 mixamorig:Spine1 0 13.46 0 torso
        mixamorig:Neck mixamorig:Spine2 0 15.03 0.88 head
        mixamorig:Head mixamorig:Neck 0 10.32 3.14 head
        mixamorig:HeadTop_End mixamorig:Head 0 18.47 6.64 head
        mixamorig:{Left}Shoulder mixamorig:Spine2 6.11 9.11 0.76 torso
        mixamorig:{Left}Arm mixamorig:{Left}Shoulder 12.92 0 0 upper_arm
        mixamorig:{Left}ForeArm mixamorig:{Left}Arm 27.4 0 0 lower_arm
        mixamorig:{Left}Hand mixamorig:{Left}ForeArm 27.6 0 0 lower_arm
        mixamorig:{Left}UpLeg mixamorig:Hips 9.12 -6.66 -0.06 thigh
        mixamorig:{Left}Leg mixamorig:{Left}UpLeg 0 -40.6 0 shin
        mixamorig:{Left}Foot mixamorig:{Left}Leg 0 -42.1 0 foot
        mixamorig:{Left}ToeBase mixamorig:{Left}Foot 0 -10.7 15.3 foot"""),
    "LAFAN1": Rig("cm", 0.01, "ZYX", False, """
        Hips - 0 0 0 pelvis
        {Left}UpLeg Hips 0.1 1.86 10.55 thigh
        {Left}Leg {Left}UpLeg 43.5 0 0 shin
        {Left}Foot {Left}Leg 42.37 0 0 foot
        {Left}Toe {Left}Foot 17.3 0 0 foot
        Spine Hips 6.9 -2.6 0 torso
        Spine1 Spine 12.59 0 0 torso
        Spine2 Spine1 12.59 0 0 torso
        Neck Spine2 25.83 0 0 head
        Head Neck 11.77 0 0 head
        {Left}Shoulder Spine2 19.75 -1.48 6 torso
        {Left}Arm {Left}Shoulder 11.28 0 0 upper_arm
        {Left}ForeArm {Left}Arm 33 0 0 lower_arm
        {Left}Hand {Left}ForeArm 25.2 0 0 lower_arm""", along_x=True),
}  # fmt: skip
_SIDES = (("Left", "L", "left_", 1.0), ("Right", "R", "right_", -1.0))
_SLOPE_RAD = math.radians(25.0)  # from ankle to toes of a foot that stands
_TRUNK = ("pelvis", "torso", "head")


class _Joint(NamedTuple):
    name: str
    parent: str
    offset: Tensor
    body: str


def rig_bvh(clip: MotionClip, spec: CharacterSpec, rig: Rig) -> str:
    """The clip as a file of the rig."""
    joints = _joints(rig)
    names = [j.name for j in joints]
    pos, rot = (part.double() for part in posed_bodies(clip, spec))
    bodies = {name: index for index, name in enumerate(spec.body_names)}
    rest = {body: _rest(rig, joints, body) for body in {j.body for j in joints}}
    turned: List[Tensor] = []
    local: List[Tensor] = []
    for joint in joints:
        world = rotations.quat_mul(
            _file_rot(rot[:, bodies[joint.body]]), rotations.quat_conjugate(rest[joint.body]).expand(len(rot), 4)
        )
        above = None if joint.parent == "-" else turned[names.index(joint.parent)]
        turned.append(world)
        local.append(world if above is None else rotations.quat_mul(rotations.quat_conjugate(above), world))
    root = _root(rig, joints, spec, pos, turned[0])
    return _text(rig, joints, root, [_degrees(r, rig.order) for r in local], clip.fps)


def _joints(rig: Rig) -> List[_Joint]:
    found: List[_Joint] = []
    for line in rig.joints.split("\n"):
        if not line.strip():
            continue
        name, parent, x, y, z, body = line.split()
        for long, short, side, sign in _SIDES if "{" in name else _SIDES[:1]:
            flip = torch.tensor([1.0, 1.0, sign] if rig.along_x else [sign, 1.0, 1.0]).double()
            offset = torch.tensor([float(x), float(y), float(z)], dtype=torch.float64) * (flip if "{" in name else 1.0)
            full, above = (text.format(Left=long, L=short) for text in (name, parent))
            found.append(_Joint(full, above, offset, body if body in _TRUNK else side + body))
    return found


def _rest(rig: Rig, joints: List[_Joint], body: str) -> Tensor:
    """The body's rotation (4,) in the file's zero pose: identity when it stands with hanging arms."""
    kind = body.split("_", 1)[-1]
    if rig.along_x:
        up, left, forward = (torch.eye(3).double()[k] for k in (1, 0, 2))
        toes = math.cos(_SLOPE_RAD) * forward - math.sin(_SLOPE_RAD) * up
        bone = up if body in _TRUNK else toes if kind == "foot" else -up
        axes = torch.stack((bone, torch.cross(left, bone, dim=0), left), dim=1)
        return rotations.quat_conjugate(matrix_to_quat(axes))
    if body in _TRUNK:
        return torch.tensor([0.0, 0.0, 0.0, 1.0]).double()
    first = next(j for j in joints if j.body == body)
    bone = next(j.offset for j in joints if j.parent == first.name)
    if kind == "foot":
        yaw = math.atan2(float(bone[0]), float(bone[2])) if bone[2] > 0 else 0.0
        return rotations.exp_map_to_quat(torch.tensor([0.0, yaw, 0.0]).double())
    return swing(torch.tensor([0.0, -1.0, 0.0]).double(), unit(bone))


def _root(rig: Rig, joints: List[_Joint], spec: CharacterSpec, pos: Tensor, turned: Tensor) -> Tensor:
    """Where the root joint is: the middle of the hips is the humanoid's, by the length of the legs."""
    lengths = [float(next(j.offset for j in joints if j.body == f"left_{part}").norm()) for part in ("shin", "foot")]
    places = {name: pos[:, spec.body_names.index(name)] for name in spec.body_names}
    leg = sum(float((places[f"left_{a}"] - places[f"left_{b}"])[0].norm())
              for a, b in (("thigh", "shin"), ("shin", "foot")))  # fmt: skip
    middle = 0.5 * (places["left_thigh"] + places["right_thigh"]) * (sum(lengths) / leg)
    hips = sum(j.offset for j in joints if j.body.endswith("thigh")) / 2.0
    assert isinstance(hips, Tensor)
    return _file_axes(middle) - rotations.quat_rotate(turned, hips.expand(len(pos), 3))


def _text(rig: Rig, joints: List[_Joint], root: Tensor, degrees: List[Tensor], fps: float) -> str:
    lines: List[str] = ["HIERARCHY"]
    order: List[_Joint] = []

    def write(joint: _Joint, indent: str) -> None:
        order.append(joint)
        is_root = joint.parent == "-"
        lines.append(f"{indent}{'ROOT' if is_root else 'JOINT'} {joint.name}")
        lines.extend([indent + "{", "{}\tOFFSET {} {} {}".format(indent, *joint.offset.tolist())])
        places = "Xposition Yposition Zposition " if is_root or rig.moves else ""
        turns = " ".join(f"{axis}rotation" for axis in rig.order)
        lines.append(f"{indent}\tCHANNELS {6 if places else 3} {places}{turns}")
        below = [j for j in joints if j.parent == joint.name]
        for child in below:
            write(child, indent + "\t")
        if not below:
            lines.extend([f"{indent}\tEnd Site", indent + "\t{", f"{indent}\t\tOFFSET 0 0 0", indent + "\t}"])
        lines.append(indent + "}")

    write(joints[0], "")
    columns = []
    for joint in order:
        if joint.parent == "-":
            columns.append(root)
        elif rig.moves:
            columns.append(joint.offset.expand(len(root), 3))
        columns.append(degrees[[j.name for j in joints].index(joint.name)])
    rows = torch.cat(columns, dim=1)
    lines += ["MOTION", f"Frames: {len(root)}", f"Frame Time: {1.0 / fps:.6f}"]
    return "\n".join(lines + [" ".join(f"{value:.5f}" for value in row) for row in rows.tolist()]) + "\n"


def _file_axes(v: Tensor) -> Tensor:
    """Ours (forward, left, up) to the file's (left, up, forward)."""
    return torch.stack((v[..., 1], v[..., 2], v[..., 0]), dim=-1)


def _file_rot(rot: Tensor) -> Tensor:
    return torch.cat((_file_axes(rot[..., :3]), rot[..., 3:]), dim=-1)


def _degrees(rot: Tensor, order: str) -> Tensor:
    """Angles (F, 3) of turns about the axes of `order`, each about the axes that the one before left."""
    i, j, k = ("XYZ".index(axis) for axis in order)
    sign = 1.0 if (j - i) % 3 == 1 else -1.0
    m = torch.stack([rotations.quat_rotate(rot, e.expand(len(rot), 3)) for e in torch.eye(3).double()], dim=-1)
    first = torch.atan2(-sign * m[:, j, k], m[:, k, k])
    second = torch.asin((sign * m[:, i, k]).clamp(-1.0, 1.0))
    third = torch.atan2(-sign * m[:, i, j], m[:, i, i])
    return torch.rad2deg(torch.stack((first, second, third), dim=-1))
