"""Transfer a motion's anatomy to a character: orientations unchanged, positions scaled by leg length."""

from typing import Dict, List, NamedTuple, Tuple

import torch
from torch import Tensor

from amp_train import rotations
from amp_train.motion.clip import continuous
from amp_train.motion.retarget.anatomy import Anatomy
from amp_train.motion.retarget.frames import relative
from amp_train.motion.retarget.roles import SIDES
from amp_train.motion.retarget.target import Target, joint_of_body

_PLANTED_M_S = 0.15  # of the character; a planted foot is slower
_PLANTED_RISE_M = 0.04  # above the lowest height of the foot
_PLANTED_S = 0.1
_EASE_S = 0.08
_UNEVEN_M = 0.04  # tolerance of capture for the height of one step


class Goals(NamedTuple):
    """Goals for the character's bodies in F frames.

    Attributes:
        body_rot: part -> (F, 4), world.
        points: role -> (F, 3) m, world; feet are held in place.
        hips: (F, 3) m, the middle of the hips.
        planted: side -> (F,) bool, the foot is planted.
        reach: side -> (F, 3) m, from the shoulder to the hand.
        scale: metres of the character per metre of the source.
    """

    body_rot: Dict[str, Tensor]
    points: Dict[str, Tensor]
    hips: Tensor
    planted: Dict[str, Tensor]
    reach: Dict[str, Tensor]
    scale: float


def goals_of(anatomy: Anatomy, target: Target, leg_m: float, fps: float) -> Goals:
    """Scale a motion to the character and place it on z = 0.

    Args:
        anatomy: of the source, metres.
        target: the character.
        leg_m: length of the source's leg.
        fps: frames per second.
    """
    scale = target.leg_m / leg_m
    points = {role: pos * scale for role, pos in anatomy.points.items()}
    planted = {side: _planted(points, side, fps) for side in SIDES}
    drop = _height_of_soles(points, planted) - target.ankle_m
    shift = torch.tensor([0.0, 0.0, -1.0], dtype=torch.float64) * drop
    points = {role: pos + shift for role, pos in points.items()}
    hips = 0.5 * (points["left_thigh"] + points["right_thigh"])
    for side in SIDES:
        points[side + "_foot"] = _held(points[side + "_foot"], planted[side], target.ankle_m, fps)
    body_rot = {
        part: rotations.quat_mul(rot, target.fixed[part].expand_as(rot))
        for part, rot in anatomy.frames.items()
        if part in target.fixed
    }
    return Goals(body_rot, points, hips, planted, reach_of_arms(anatomy, target), scale)


def posed(goals: Goals, target: Target) -> Tuple[Tensor, Tensor, Tensor]:
    """Pose the character by the orientations alone; hinges get as close as they can.

    Returns:
        root_pos (F, 3), root_rot (F, 4) and joint_rot (F, J, 4).
    """
    spec = target.spec
    by_body = {target.bodies[part]: rot for part, rot in goals.body_rot.items()}
    root_rot = by_body[0]
    count = len(root_rot)
    world: List[Tensor] = [root_rot]
    joint_rot = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64).repeat(count, spec.num_joints, 1)
    for body in range(1, spec.num_bodies):
        rest = rotations.quat_mul(world[spec.parent_ids[body]], spec.body_offset_rot[body].double().expand(count, 4))
        joint = joint_of_body(spec, body)
        if joint is not None and body in by_body:
            turn = relative(rest, by_body[body])
            if spec.joint_sizes[joint] == 1:
                axis = spec.joint_axis[joint].double().expand(count, 3)
                turn = rotations.quat_from_angle_axis(rotations.quat_twist_angle(turn, axis), axis)
            joint_rot[:, joint] = turn
            rest = rotations.quat_mul(rest, turn)
        world.append(rest)
    root_pos = goals.hips - rotations.quat_rotate(root_rot, target.hips_offset.expand(count, 3))
    return root_pos, continuous(root_rot), continuous(joint_rot)


def _planted(points: Dict[str, Tensor], side: str, fps: float) -> Tensor:
    """Return in which frames (F,) a foot is planted: its ankle low and slow for a while."""
    ankle = points[side + "_foot"]
    speed = (ankle[1:] - ankle[:-1]).norm(dim=-1) * fps
    speed = torch.minimum(torch.cat((speed[:1], speed)), torch.cat((speed, speed[-1:])))
    lowest = torch.quantile(ankle[:, 2], 0.05)
    stands = (speed < _PLANTED_M_S) & (ankle[:, 2] < lowest + _PLANTED_RISE_M)
    for begin, end in stretches(stands):
        if (end - begin) / fps < _PLANTED_S:
            stands[begin:end] = False
    return stands


def stretches(flags: Tensor) -> List[Tuple[int, int]]:
    """List the runs [begin, end) of true in (F,) flags."""
    padded = torch.cat((torch.zeros(1), flags.cpu().float(), torch.zeros(1)))
    edges = (padded[1:] - padded[:-1]).nonzero().flatten().tolist()
    return list(zip(edges[::2], edges[1::2]))


def _height_of_soles(points: Dict[str, Tensor], planted: Dict[str, Tensor]) -> float:
    """Return the height of the ankles while the feet are planted."""
    heights = torch.cat([points[side + "_foot"][planted[side], 2] for side in SIDES])
    if len(heights) > 0:
        return float(heights.median())
    both = torch.stack([points[side + "_foot"][:, 2] for side in SIDES]).min(dim=0)[0]
    return float(torch.quantile(both, 0.05))


def _held(ankle: Tensor, planted: Tensor, ankle_m: float, fps: float) -> Tensor:
    """Hold a foot in place while planted, place the whole step on the ground, and ease in and out."""
    count = max(1, round(_EASE_S * fps))
    share, sums = torch.zeros(len(ankle), 1).double(), torch.zeros_like(ankle)
    for begin, end in stretches(planted):
        step = ankle[begin:end]
        moves = step.mean(dim=0) - ankle
        # The ankle's height shows how the foot rolls: the step is shifted, not flattened.
        moves[:, 2] = (ankle_m - step[:, 2].min()).clamp(-_UNEVEN_M, _UNEVEN_M)
        for frame in range(max(0, begin - count), min(len(ankle), end + count)):
            away = max(begin - frame, frame - end + 1, 0)
            x = 1.0 - away / (count + 1)
            weight = x * x * (3.0 - 2.0 * x)
            # Before and after the step it moves as before, starting from where it is held.
            nearest = min(max(frame, begin), end - 1)
            share[frame] += weight
            sums[frame] += weight * moves[nearest]
    return ankle + sums / share.clamp(min=1.0)


def reach_of_arms(anatomy: Anatomy, target: Target) -> Dict[str, Tensor]:
    """Return where the hands are from their shoulders (F, 3) m, scaled by the arms' own lengths."""
    reach = {}
    for side in SIDES:
        names = [f"{side}_{part}" for part in ("upper_arm", "lower_arm", "hand")]
        if all(n in anatomy.points and n in target.bodies for n in names):
            points, rest = anatomy.points, target.rest_points
            source = sum(float((points[b] - points[a]).norm(dim=-1).median()) for a, b in zip(names, names[1:]))
            own = sum(float((rest[b] - rest[a]).norm()) for a, b in zip(names, names[1:]))
            reach[side] = (points[names[2]] - points[names[0]]) * own / max(source, 1e-6)
    return reach
