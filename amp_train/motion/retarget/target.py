"""The target of retargeting: the character's parts, and their anatomical frames in its rest pose."""

from typing import Dict, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterSpec, Kinematics
from amp_train.errors import MotionError
from amp_train.motion.retarget.anatomy import LIMBS, TRUNK
from amp_train.motion.retarget.frames import frame, relative, unit
from amp_train.motion.retarget.roles import LEG, SIDES, find_roles

_HANGING = 0.5  # cosine between an arm and straight down


class Target(NamedTuple):
    """A character, prepared for the transfer.

    Attributes:
        spec: the character.
        bodies: role -> body.
        fixed: part -> (4,) rotation of the part's body in the part's anatomical frame.
        hips_offset: (3,) m, middle of the hips in the root body's frame.
        leg_m: length of a leg, m.
        ankle_m: height of the ankle above the sole, m.
        rest_points: role -> (3,) m in the rest pose.
    """

    spec: CharacterSpec
    bodies: Dict[str, int]
    fixed: Dict[str, Tensor]
    hips_offset: Tensor
    leg_m: float
    ankle_m: float
    rest_points: Dict[str, Tensor]


def target_of(spec: CharacterSpec) -> Target:
    """Read a character's parts and rest pose.

    Raises:
        MotionError: its legs are not recognised by their names.
    """
    try:
        bodies = find_roles(spec.body_names, spec.parent_ids)
    except MotionError as error:
        raise MotionError(f"Human motions cannot be retargeted to character '{spec.name}': {error}") from None
    bodies["pelvis"] = 0
    state = Kinematics(spec).default_state(1)
    assert state.body_rot is not None
    pos, rot = state.body_pos[0].double(), state.body_rot[0].double()
    points = {role: pos[body] for role, body in bodies.items()}
    frames = _rest_frames(spec, bodies, points, rot)
    middle = 0.5 * (points["left_thigh"] + points["right_thigh"])
    legs = [(points[s + "_shin"] - points[s + "_thigh"]).norm() + (points[s + "_foot"] - points[s + "_shin"]).norm()
            for s in SIDES]  # fmt: skip
    return Target(
        spec=spec,
        bodies=bodies,
        fixed={part: relative(rest, rot[bodies[part]]) for part, rest in frames.items() if part in bodies},
        hips_offset=rotations.quat_rotate_inverse(rot[0], middle - pos[0]),
        leg_m=float(sum(legs)) / 2.0,
        ankle_m=_ankle_height(spec, bodies, state.body_pos[0], state.body_rot[0]),
        rest_points=points,
    )


def _rest_frames(
    spec: CharacterSpec, bodies: Dict[str, int], points: Dict[str, Tensor], rot: Tensor
) -> Dict[str, Tensor]:
    """Return each part's anatomical frame (4,) in the rest pose."""
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    left = points["left_thigh"] - points["right_thigh"]
    straight = frame(up, left)
    frames = {part: straight for part in TRUNK + ("left_foot", "right_foot")}
    for side, chain in LIMBS:
        names = [f"{side}_{part}" for part in chain]
        if all(name in points for name in names[:2]):
            a, b = points[names[0]], points[names[1]]
            c = points.get(names[2], _end_of(spec, bodies[names[1]], points[names[1]], rot))
            turn = _left_of_hinge(spec, bodies[names[1]], rot, chain, unit(b - a), left)
            frames[names[0]], frames[names[1]] = frame(a - b, turn), frame(b - c, turn)
    return frames


def _end_of(spec: CharacterSpec, body: int, start: Tensor, rot: Tensor) -> Tensor:
    """Return where a body without a hand ends: at its geometry's far end, else straight below."""
    mine = (spec.geoms.body_ids == body).nonzero().flatten()
    if len(mine) == 0:
        return start + torch.tensor([0.0, 0.0, -0.1], dtype=torch.float64)
    far = spec.geoms.pos[mine].double()
    return start + rotations.quat_rotate(rot[body], far[far.norm(dim=-1).argmax()])


def _left_of_hinge(
    spec: CharacterSpec, body: int, rot: Tensor, chain: Tuple[str, ...], bone: Tensor, left: Tensor
) -> Tensor:
    """Return the limb's left (3,): the axis about which a knee folds, or against which an elbow does."""
    joint = next((j for j, b in enumerate(spec.joint_body_ids) if b == body), None)
    sign = 1.0 if chain is LEG else -1.0
    if joint is None or spec.joint_sizes[joint] != 1:
        return unit(left - (left @ bone) * bone)
    dof = spec.dof_offsets[joint]
    middle = float(spec.dof_lower[dof] + spec.dof_upper[dof])
    axis = rotations.quat_rotate(rot[body], spec.joint_axis[joint].double())
    if abs(middle) < 1e-6:
        return axis * torch.sign(axis @ left)
    return axis * (1.0 if middle > 0 else -1.0) * sign


def _ankle_height(spec: CharacterSpec, bodies: Dict[str, int], pos: Tensor, rot: Tensor) -> float:
    heights: List[float] = []
    for side in SIDES:
        foot = bodies[side + "_foot"]
        mine = [g for g, b in enumerate(spec.geoms.body_ids.tolist()) if b == foot]
        if mine:
            heights.append(float(pos[foot, 2] - spec.geoms.lowest_height(pos, rot)[mine].min()))
    return sum(heights) / len(heights) if heights else 0.05


def joint_of_body(spec: CharacterSpec, body: int) -> Optional[int]:
    """Return the joint that moves a body; None where it is welded."""
    return next((j for j, b in enumerate(spec.joint_body_ids) if b == body), None)
