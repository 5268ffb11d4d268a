"""The motion of the body's parts, independent of the skeleton.

Every part gets a frame (`frames`): identity for a person standing upright with hanging arms, facing +x. Two skeletons
with equal frames are in the same pose, whatever the axes of their joints.

- Limbs: from positions. The bone gives one axis, the plane in which knee or elbow bends the other. While a limb is
  straight that plane is undefined: then it follows the joint, as learnt from the frames in which the limb is bent, or
  from the zero pose.
- Pelvis, chest, head, feet: a fixed frame in their joint. Files whose zero pose stands (T, A, or arms down) define
  it. Others align each bone with an axis, so that their zero pose is meaningless: there it is learnt from the whole
  motion and rounded to the nearest axes."""

import math
from typing import Dict, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from amp_train import rotations
from amp_train.motion.retarget.frames import frame, mean_rotation, relative, snapped, snapped_direction, swing, unit
from amp_train.motion.retarget.roles import ARM, LEG, SIDES
from amp_train.motion.retarget.skeleton import SkeletonMotion

LIMBS = tuple((side, chain) for side in SIDES for chain in (LEG, ARM))
TRUNK = ("pelvis", "chest", "head")
_STANDS = 0.7  # cosine between a leg and straight down in a zero pose that stands
_SNAP_RAD = {"pelvis": math.radians(40.0), "chest": math.radians(40.0), "head": math.radians(62.0)}
_FREE_SNAP_RAD = math.radians(50.0)
_UPRIGHT_SNAP_RAD = math.radians(15.0)
_BENT = (0.10, 0.35)  # sine of the bend: below it the plane is not seen, above it is
_SEEN = 3.0  # frames of bending that suffice to learn a joint's plane
_STEEP = 0.85
_NO_LENGTH_M = 1e-3
# A planted foot, and the slope of its ankle-to-toe line; the usual slope where it is never planted.
_STILL_M_S, _LOW_M, _ENOUGH = 0.3, 0.03, 5
_SLOPE_RAD, _STEEPEST_RAD = math.radians(28.0), math.radians(60.0)


class Anatomy(NamedTuple):
    """Parts and points of a body in F frames.

    Attributes:
        frames: part -> (F, 4) anatomical frame to world.
        points: role -> (F, 3) m, the start of the part (its joint); `left_toe` too.
        stands: whether the frames of trunk and feet were read from a zero pose that stands.
    """

    frames: Dict[str, Tensor]
    points: Dict[str, Tensor]
    stands: bool


class _Upright(NamedTuple):
    """Directions of a standing zero pose, in its own axes."""

    up: Tensor
    left: Tensor

    @property
    def rotation(self) -> Tensor:
        return frame(self.up, self.left)


def anatomy_of(motion: SkeletonMotion, roles: Dict[str, int]) -> Anatomy:
    """Read the anatomy of a motion in our axes and metres."""
    pos, rot = motion.forward()
    points = {role: pos[:, joint] for role, joint in roles.items()}
    for side in SIDES:
        toe = _toe(motion, roles, side)
        if toe is not None:
            foot = roles[side + "_foot"]
            points[side + "_toe"] = pos[:, foot] + rotations.quat_rotate(rot[:, foot], toe.expand(len(pos), 3))
        _add_hand(points, motion, roles, side, pos, rot)
    upright = _upright(motion, roles)
    frames: Dict[str, Tensor] = {}
    for part in TRUNK:
        if part in roles:
            joint_rot = rot[:, roles[part]]
            frames[part] = rotations.quat_mul(
                joint_rot, _trunk_frame(part, joint_rot, points, upright).expand_as(joint_rot)
            )
    for side, chain in LIMBS:
        if chain is LEG or _has_length([points.get(f"{side}_{part}") for part in chain]):
            frames.update(_limb_frames(side, chain, points, rot, roles, frames, motion, upright))
    for side in SIDES:
        joint_rot = rot[:, roles[side + "_foot"]]
        fixed = _foot_frame(side, motion, roles, points, rot, frames, upright)
        frames[side + "_foot"] = rotations.quat_mul(joint_rot, fixed.expand_as(joint_rot))
    return Anatomy(frames, points, upright is not None)


def _toe(motion: SkeletonMotion, roles: Dict[str, int], side: str) -> Optional[Tensor]:
    """Return where the toes begin, in the foot's frame; None for a foot of length 0."""
    foot = roles[side + "_foot"]
    if side + "_toe" in roles and motion.parents[roles[side + "_toe"]] == foot:
        toe = motion.offsets[roles[side + "_toe"]]
    else:
        below = [j for j, parent in enumerate(motion.parents) if parent == foot]
        toe = motion.tips.get(foot, motion.offsets[below[0]] if below else torch.zeros(3).to(motion.offsets))
    return toe if float(toe.norm()) > 0.02 else None


def _add_hand(
    points: Dict[str, Tensor], motion: SkeletonMotion, roles: Dict[str, int], side: str, pos: Tensor, rot: Tensor
) -> None:
    """Use the end of the forearm where no joint is a hand."""
    elbow = roles.get(side + "_lower_arm")
    if elbow is not None and side + "_hand" not in points and elbow in motion.tips:
        tip = motion.tips[elbow].expand(len(pos), 3)
        points[side + "_hand"] = pos[:, elbow] + rotations.quat_rotate(rot[:, elbow], tip)


def _has_length(places: Sequence[Optional[Tensor]]) -> bool:
    """Tell whether a limb's joints (F, 3) are all there, and apart."""
    return all(a is not None and b is not None and float((b - a).norm(dim=-1).median()) > _NO_LENGTH_M
               for a, b in zip(places, places[1:]))  # fmt: skip


def _upright(motion: SkeletonMotion, roles: Dict[str, int]) -> Optional[_Upright]:
    """Return up and left of the zero pose, if it stands."""
    zero = motion.zero_pose()
    hips = [zero[roles[side + "_thigh"]] for side in SIDES]
    legs = [unit(zero[roles[side + "_foot"]] - hip) for side, hip in zip(SIDES, hips)]
    middle = 0.5 * (hips[0] + hips[1])
    top = zero[roles.get("head", roles.get("chest", roles["pelvis"]))] - middle
    up = unit(unit(top) - unit(legs[0] + legs[1]))
    left = hips[0] - hips[1]
    stands = all(float(-(leg @ up)) > _STANDS for leg in legs) and float(unit(top) @ up) > _STANDS
    if not stands or abs(float(unit(left) @ up)) > 0.5:
        return None
    up = snapped_direction(up, _UPRIGHT_SNAP_RAD)
    return _Upright(up, snapped_direction(unit(left - (left @ up) * up), _UPRIGHT_SNAP_RAD))


def _trunk_frame(part: str, joint_rot: Tensor, points: Dict[str, Tensor], upright: Optional[_Upright]) -> Tensor:
    """Return the frame (4,) of pelvis, chest or head in its joint."""
    if upright is not None:
        return upright.rotation
    hips = points["left_thigh"], points["right_thigh"]
    middle = 0.5 * (hips[0] + hips[1])
    top = points.get("head", points.get("chest", points["pelvis"]))
    shoulders = points.get("left_upper_arm"), points.get("right_upper_arm")
    left = hips[0] - hips[1]
    if part != "pelvis" and shoulders[0] is not None and shoulders[1] is not None:
        left = shoulders[0] - shoulders[1]
        top = 0.5 * (shoulders[0] + shoulders[1])
    seen = relative(joint_rot, frame(top - middle, left))
    return snapped(mean_rotation(seen, torch.ones(len(seen)).to(seen)), _SNAP_RAD[part])


def _limb_frames(
    side: str,
    chain: Tuple[str, ...],
    points: Dict[str, Tensor],
    rot: Tensor,
    roles: Dict[str, int],
    frames: Dict[str, Tensor],
    motion: SkeletonMotion,
    upright: Optional[_Upright],
) -> Dict[str, Tensor]:
    """Return the frames of upper and lower leg or arm, from the positions of its three joints."""
    names = [f"{side}_{part}" for part in chain]
    a, b, c = (points[name] for name in names)
    upper, lower = unit(b - a), unit(c - b)
    # A knee folds to the back, an elbow to the front: the left of the part.
    sign = 1.0 if chain is LEG else -1.0
    left = sign * torch.cross(upper, lower, dim=-1)
    bent = left.norm(dim=-1)
    joint_rot = rot[:, roles[names[0]]]
    carried = _carried_left(joint_rot, left, bent, frames["pelvis"], motion, roles, names, upright)
    agree = torch.where((left * carried).sum(-1, keepdim=True) < 0, -1.0, 1.0).to(left)
    share = ((bent - _BENT[0]) / (_BENT[1] - _BENT[0])).clamp(0.0, 1.0).unsqueeze(-1)
    left = share * agree * unit(left) + (1.0 - share) * carried
    return {names[0]: frame(-upper, left), names[1]: frame(-lower, left)}


def _carried_left(
    joint_rot: Tensor,
    left: Tensor,
    bent: Tensor,
    pelvis: Tensor,
    motion: SkeletonMotion,
    roles: Dict[str, int],
    names: "list[str]",
    upright: Optional[_Upright],
) -> Tensor:
    """Return the limb's left (F, 3) in the world as its upper joint carries it."""
    weight = torch.where(bent > _BENT[1], bent, torch.zeros_like(bent))
    if float(weight.sum()) > _SEEN:
        local = unit((weight.unsqueeze(-1) * rotations.quat_rotate_inverse(joint_rot, unit(left))).sum(0))
    elif upright is not None:
        zero = motion.zero_pose()
        bone = unit(zero[roles[names[1]]] - zero[roles[names[0]]])
        local = rotations.quat_rotate(swing(-upright.up, bone), upright.left)
    else:
        lateral = rotations.quat_rotate(pelvis, torch.tensor([0.0, 1.0, 0.0]).to(pelvis).expand(len(pelvis), 3))
        local = unit(rotations.quat_rotate_inverse(joint_rot, lateral).mean(0))
    return rotations.quat_rotate(joint_rot, local.expand(len(joint_rot), 3))


def _foot_frame(
    side: str,
    motion: SkeletonMotion,
    roles: Dict[str, int],
    points: Dict[str, Tensor],
    rot: Tensor,
    frames: Dict[str, Tensor],
    upright: Optional[_Upright],
) -> Tensor:
    """Return the frame (4,) of a foot in its joint: toes forward, sole level."""
    toe = _toe(motion, roles, side)
    joint_rot = rot[:, roles[side + "_foot"]]
    if upright is not None and (toe is None or abs(float(unit(toe) @ upright.up)) < _STEEP):
        return upright.rotation if toe is None else _facing(upright.up, toe)
    if upright is not None:  # the file's foot ends straight below the ankle: does it stand as in the zero pose?
        up = rotations.quat_rotate(joint_rot, upright.up.expand(len(joint_rot), 3))
        if float(up[:, 2].median()) > _STANDS:
            return upright.rotation
    if toe is None:
        return mean_rotation(relative(joint_rot, frames[side + "_shin"]), torch.ones(len(rot)).to(rot))
    return _learnt_foot(side, toe, joint_rot, points, frames, motion.fps)


def _learnt_foot(
    side: str, toe: Tensor, joint_rot: Tensor, points: Dict[str, Tensor], frames: Dict[str, Tensor], fps: float
) -> Tensor:
    """Return a foot's frame in its joint without a zero pose: sideways as the shin on average, and level while
    planted."""
    lateral = rotations.quat_rotate(
        frames[side + "_shin"], torch.tensor([0.0, 1.0, 0.0]).to(toe).expand(len(joint_rot), 3)
    )
    left = unit(rotations.quat_rotate_inverse(joint_rot, lateral).mean(0))
    left = snapped_direction(left, _FREE_SNAP_RAD)
    forward = unit(toe - (toe @ left) * left)
    ankle, tip = points[side + "_foot"], points[side + "_toe"]
    steps = torch.stack([(p[1:] - p[:-1]).norm(dim=-1) for p in (ankle, tip)]).max(dim=0)[0]
    speed = torch.cat((steps[:1], steps)) * fps
    stands = (speed < _STILL_M_S) & (tip[:, 2] < torch.quantile(tip[:, 2], 0.1) + _LOW_M)
    slope = torch.asin(((ankle - tip)[:, 2] / toe.norm()).clamp(-1.0, 1.0))
    stands &= (slope > 0.0) & (slope < _STEEPEST_RAD)
    pitch = slope[stands].median() if int(stands.sum()) >= _ENOUGH else torch.tensor(_SLOPE_RAD).to(toe)
    up = torch.cross(forward, left, dim=0)
    level = rotations.quat_rotate(rotations.quat_from_angle_axis(-pitch, left), up)
    return frame(level, left)


def _facing(up: Tensor, forward: Tensor) -> Tensor:
    return frame(up, torch.cross(up, forward, dim=-1))
