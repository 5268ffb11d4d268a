"""Is a clip fit to train on? Measures of a clip, each with its usual range and what to do about it."""

import math
from typing import Any, Dict, List, NamedTuple, Optional

import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterSpec, Kinematics
from amp_train.errors import MotionError
from amp_train.motion.clip import MotionClip
from amp_train.motion.fit import match_joints
from amp_train.motion.ground import HOVERING_M, is_carried, lowest_heights, lowest_of_bodies
from amp_train.motion.operations import posed_bodies
from amp_train.motion.retarget import Retargeted
from amp_train.motion.retarget.frames import unit
from amp_train.motion.retarget.roles import SIDES, find_roles
from amp_train.motion.retime import floating_flights
from amp_train.motion.velocities import cycle_of, frame_velocities

OK, WARNING, BAD = "ok", "warning", "bad"
_TOUCHING_M = 0.02
_SHORT_S = 0.4
_CROSSED_M, _INSIDE_M = 0.05, 0.03
_TURNING_RAD_S = 1.0


class Finding(NamedTuple):
    """One measure.

    Attributes:
        name: the measure, with its unit.
        value: the number; None if unknown.
        verdict: "ok", "warning" or "bad".
        advice: what to do about it; "" if nothing.
    """

    name: str
    value: Optional[float]
    verdict: str
    advice: str


class _Rule(NamedTuple):
    name: str
    warning: float  # above this
    bad: float
    advice: str


_RULES = {
    rule.name: rule
    for rule in (
        _Rule("ground_penetration_cm", 4.0, 12.0, "import it again: importing places it on the ground"),
        _Rule("floating_cm", 4.0, 12.0, "it hovers where the feet should touch: import it again"),
        _Rule("foot_slide_m_s", 0.25, 0.8, "feet slide on the ground: check the source, or import with ik=True"),
        _Rule("joint_limit_excess_deg", 2.0, 15.0, "joints exceed the character's limits: import with ik=True"),
        _Rule("joint_speed_rad_s", 25.0, 60.0, "a joint jumps: crop that part, or smooth=0.03"),
        _Rule("joint_acceleration_rad_s2", 800.0, 4000.0, "jitter or a jump: smooth=0.03"),
        _Rule("root_acceleration_m_s2", 60.0, 400.0, "the root jumps: crop that part, or smooth=0.03"),
        _Rule("loop_gap_deg", 3.0, 15.0, "first and last pose differ: amp-motion loop"),
        _Rule("loop_speed_gap_rad_s", 4.0, 12.0, "the cycle's seam is not smooth: amp-motion loop"),
        _Rule("legs_crossed_share", 0.6, 0.9, "left and right may be swapped: view it, then amp-motion mirror or map="),
        _Rule("facing_off_path_deg", 100.0, 190.0, "it moves backwards or sideways: if unintended, check the source"),
        _Rule("flights_too_slow", 0.5, 99.0, "leaps fall slower than gravity: motion.retime_flights=True"),
        _Rule("left_right_exchanged", 0.35, 0.5, "left is called right: swap them (map=, left_thigh: RIGHT NAME)"),
        _Rule("jitter_share", 0.12, 0.35, "joints tremble: smooth=0.03"),
        _Rule("retarget_error_cm", 8.0, 20.0, "bodies are far from the source's: view it, or give map="),
    )
}


def check_clip(clip: MotionClip, spec: CharacterSpec, retargeted: Optional[Retargeted] = None) -> List[Finding]:
    """Measure a clip.

    Args:
        clip: joints by name.
        spec: its character.
        retargeted: the result of retargeting, for a clip from another skeleton.
    """
    clip = match_joints(clip, spec)
    values: Dict[str, Optional[float]] = {}
    low = lowest_of_bodies(clip, spec)
    lowest = low.min(dim=1)[0]
    values["ground_penetration_cm"] = 100.0 * max(0.0, -float(lowest.min()))
    values["floating_cm"] = _floating_cm(clip, spec)
    values.update(_feet(clip, spec, low))
    values["joint_limit_excess_deg"] = _limit_excess_deg(clip, spec)
    values.update(_spikes(clip))
    values.update(_seam(clip))
    values["facing_off_path_deg"] = _facing_off_path_deg(clip)
    values["flights_too_slow"] = float(len(floating_flights(clip, spec)))
    if retargeted is not None:
        error_cm = list(retargeted.error_cm.values())
        values["left_right_exchanged"] = max(float(retargeted.is_mirrored), values.get("left_right_exchanged") or 0.0)
        values["retarget_error_cm"] = sum(error_cm) / len(error_cm)
    return [_length(clip)] + [_judged(_RULES[name], value) for name, value in values.items() if value is not None]


def verdict(findings: List[Finding]) -> str:
    """Return the worst verdict."""
    verdicts = [finding.verdict for finding in findings]
    return BAD if BAD in verdicts else WARNING if WARNING in verdicts else OK


def as_json(clip: MotionClip, findings: List[Finding], retargeted: Optional[Retargeted] = None) -> Dict[str, Any]:
    """Return the check as plain data."""
    error_cm = {} if retargeted is None else {role: round(cm, 2) for role, cm in retargeted.error_cm.items()}
    return {
        "clip": clip.name,
        "verdict": verdict(findings),
        "frames": clip.num_frames,
        "fps": clip.fps,
        "loop": clip.loop,
        "retarget_error_cm": error_cm,
        "findings": {f.name: {"value": f.value, "verdict": f.verdict, "advice": f.advice} for f in findings},
    }


def table(findings: List[Finding]) -> str:
    """Return the check as lines of text."""
    lines = []
    for f in findings:
        value = "-" if f.value is None else f"{f.value:.3g}"
        lines.append(f"{f.name:26s} {value:>8s}  {f.verdict:8s}{f.advice}".rstrip())
    return "\n".join(lines)


def _judged(rule: _Rule, value: float) -> Finding:
    grade = BAD if value > rule.bad or not math.isfinite(value) else WARNING if value > rule.warning else OK
    return Finding(rule.name, round(value, 4), grade, "" if grade == OK else rule.advice)


def _length(clip: MotionClip) -> Finding:
    too_short = clip.duration_s < _SHORT_S
    advice = "too short to learn much from" if too_short else ""
    return Finding("duration_s", round(clip.duration_s, 3), WARNING if too_short else OK, advice)


def _floating_cm(clip: MotionClip, spec: CharacterSpec) -> float:
    """Return how high the lowest point hovers in supported frames (the best 95 %), or how far the whole clip is above
    the ground."""
    lowest = lowest_heights(clip, spec)
    carried = is_carried(clip, spec) & (lowest < HOVERING_M)
    hovering = float(torch.quantile(lowest[carried], 0.95)) if bool(carried.any()) else 0.0
    return 100.0 * max(0.0, hovering, float(lowest.min()))


def _feet(clip: MotionClip, spec: CharacterSpec, low: Tensor) -> Dict[str, Optional[float]]:
    """Return how fast feet slide while they touch the ground, how often the legs are crossed, and how often elbows are
    inside their shoulders: nearly never, unless left and right are exchanged."""
    try:
        roles = find_roles(spec.body_names, spec.parent_ids)
    except MotionError:  # a character without legs has no feet
        return {}
    pos, _ = posed_bodies(clip, spec)
    speeds = []
    for side in SIDES:
        foot = roles[side + "_foot"]
        speed = (pos[1:, foot, :2] - pos[:-1, foot, :2]).norm(dim=-1) * clip.fps
        touching = (low[1:, foot] < _TOUCHING_M) & (low[:-1, foot] < _TOUCHING_M)
        speeds.append(speed[touching])
    both = torch.cat(speeds)
    left = rotations.quat_rotate(clip.root_rot, torch.tensor([0.0, 1.0, 0.0]).expand(clip.num_frames, 3))
    apart = ((pos[:, roles["left_foot"]] - pos[:, roles["right_foot"]]) * left).sum(-1)
    found: Dict[str, Optional[float]] = {
        "foot_slide_m_s": float(both.median()) if len(both) else 0.0,
        "legs_crossed_share": float((apart < -_CROSSED_M).float().mean()),
    }
    if all(f"{side}_{part}" in roles for side in SIDES for part in ("upper_arm", "lower_arm")):
        shoulders, elbows = ([pos[:, roles[f"{side}_{part}"]] for side in SIDES] for part in ("upper_arm", "lower_arm"))
        outwards = unit(shoulders[0] - shoulders[1])
        reach = [sign * ((e - s) * outwards).sum(-1) for sign, e, s in zip((1.0, -1.0), elbows, shoulders)]
        found["left_right_exchanged"] = float((torch.stack(reach) < -_INSIDE_M).float().mean())
    return found


def _limit_excess_deg(clip: MotionClip, spec: CharacterSpec) -> float:
    dof_pos = Kinematics(spec).dof_pos(clip.joint_rot)
    hinges, dofs = spec.joint_dofs(1)
    if len(hinges) == 0:
        return 0.0
    flat = dofs.flatten()
    beyond = torch.maximum(spec.dof_lower[flat] - dof_pos[:, flat], dof_pos[:, flat] - spec.dof_upper[flat])
    return math.degrees(max(0.0, float(beyond.max())))


def _spikes(clip: MotionClip) -> Dict[str, Optional[float]]:
    cycle = cycle_of(clip)
    root_vel, _, joint_vel = frame_velocities(clip, cycle)
    turning = joint_vel.norm(dim=-1) > _TURNING_RAD_S
    back = ((joint_vel[1:] * joint_vel[:-1]).sum(-1) < 0.0) & turning[1:] & turning[:-1]
    return {
        "jitter_share": float(back.float().mean()),
        "joint_speed_rad_s": float(joint_vel.norm(dim=-1).max()),
        "joint_acceleration_rad_s2": float((joint_vel[1:] - joint_vel[:-1]).norm(dim=-1).max()) * clip.fps,
        "root_acceleration_m_s2": float((root_vel[1:] - root_vel[:-1]).norm(dim=-1).max()) * clip.fps,
    }


def _seam(clip: MotionClip) -> Dict[str, Optional[float]]:
    if clip.loop != "wrap":
        return {"loop_gap_deg": None, "loop_speed_gap_rad_s": None}
    gap = rotations.quat_mul(rotations.quat_conjugate(clip.joint_rot[-1]), clip.joint_rot[0])
    turns = [
        rotations.quat_to_exp_map(
            rotations.quat_mul(rotations.quat_conjugate(clip.joint_rot[k]), clip.joint_rot[k + 1])
        )
        for k in (0, -2)
    ]
    faster = (turns[0] - turns[1]).norm(dim=-1).mean() * clip.fps
    return {
        "loop_gap_deg": math.degrees(float(rotations.quat_to_exp_map(gap).norm(dim=-1).max())),
        "loop_speed_gap_rad_s": float(faster),
    }


def _facing_off_path_deg(clip: MotionClip) -> Optional[float]:
    """Return the angle between heading and path, while moving."""
    reach = max(1, round(0.2 * clip.fps))
    if clip.num_frames <= reach:
        return None
    step = clip.root_pos[reach:, :2] - clip.root_pos[:-reach, :2]
    up = rotations.quat_rotate(clip.root_rot, torch.tensor([0.0, 0.0, 1.0]).expand(clip.num_frames, 3))[:-reach, 2]
    going = (step.norm(dim=-1) * clip.fps / reach > 0.3) & (up > 0.7)
    if float(going.float().mean()) < 0.3:
        return None
    heading = rotations.heading(clip.root_rot[:-reach])[going]
    path = torch.atan2(step[going, 1], step[going, 0])
    off = torch.atan2(torch.sin(heading - path), torch.cos(heading - path)).abs()
    return math.degrees(float(off.median()))
