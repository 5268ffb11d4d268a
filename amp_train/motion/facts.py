"""Training settings derived from a clip: bodies that may touch the ground, how long it stays low, how strong the
character must be. Your own clip needs no preset for these."""

import math
from typing import TYPE_CHECKING, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

import torch
from torch import Tensor

from amp_train.character import CharacterSpec, Kinematics
from amp_train.motion.clip import MotionClip
from amp_train.motion.ground import lowest_heights, lowest_of_bodies
from amp_train.motion.operations import other_side
from amp_train.motion.strength import torque_needed
from amp_train.motion.velocities import cycle_of

if TYPE_CHECKING:
    from amp_train.config.schema import CharacterConfig, MotionConfig

_TOUCHING_M = 0.03  # a policy gets this much closer to the ground than the clip it follows
_LYING = 0.6  # of the standing height: a root below it lies, sits or rolls
_UPRIGHT = 0.75
_LEAP, _LEAP_M, _LEAP_S = 1.06, 0.06, 0.15  # root above standing height, soles above the ground, and for how long
_PATIENCE = 1.5  # of the clip's own longest time
_PATIENCE_S = 0.2
# Share of its limits beyond which a character is too weak: the bundled walk needs 0.7 of the humanoid's, the clips that
# are learned sooner with stronger joints need 0.9 to 2 (docs/notes/derived_facts.md).
STRONG_ENOUGH = 0.9
_STRONGER = 2.0  # with 1.5 the back-flip, which needs 1.55, is hardly learned (the same note)


class ClipFacts(NamedTuple):
    """Facts of one or several clips of a character.

    Attributes:
        contact_bodies: bodies that touch the ground in a clip, in the character's order.
        rise_height: m, a height that the root regularly exceeds in the clips; None: they are never low.
        low_s: s, the longest they stay below it; None with `rise_height`.
        max_low_s: s, an episode should end after this time below it.
        torque_share: joint -> torque needed, as a share of the character's limit; infinite for a joint, other than an
            ankle, whose body touches the ground: what it needs cannot be derived.
        torque_limits: joint -> N m, raised for a character that is too weak for the clips; else {}.
        num_bodies: of the character.
    """

    contact_bodies: Tuple[str, ...]
    rise_height: Optional[float]
    low_s: Optional[float]
    max_low_s: Optional[float]
    torque_share: Dict[str, float]
    torque_limits: Dict[str, float]
    num_bodies: int

    @property
    def named_contact_bodies(self) -> List[str]:
        """As `motion.contact_bodies` has them."""
        return ["all"] if len(self.contact_bodies) == self.num_bodies else list(self.contact_bodies)

    @property
    def is_lively(self) -> bool:
        """Whether the clips need more strength than the character has, or may need it."""
        return max(self.torque_share.values(), default=0.0) > STRONG_ENOUGH

    @property
    def strength(self) -> str:
        """What the joint that needs most needs, in words."""
        joint = max(self.torque_share, key=lambda name: self.torque_share[name])
        share = self.torque_share[joint]
        if math.isinf(share):
            return f"what {joint} needs is unknown: its body carries weight"
        return f"needs {share:.0%} of the torque limit at {joint}"


def clip_facts(clips: Sequence[MotionClip], spec: CharacterSpec, with_strength: bool = True) -> ClipFacts:
    """Derive the facts; `spec.contact_body_ids` may touch the ground in any case.

    Args:
        clips: one motion.
        spec: the character.
        with_strength: whether to look at torques too, which takes longest.
    """
    touching = torch.stack([(lowest_of_bodies(clip, spec) < _TOUCHING_M).any(0) for clip in clips]).any(0)
    bodies = _contact_bodies(touching.nonzero().flatten().tolist(), spec)
    rise_height, low_s = _low_posture(clips, spec)
    share = _torque_shares(clips, spec) if with_strength else {}
    return ClipFacts(
        contact_bodies=tuple(spec.body_names[b] for b in sorted(bodies)),
        rise_height=rise_height,
        low_s=low_s,
        max_low_s=None if low_s is None else round(_PATIENCE * low_s + _PATIENCE_S, 1),
        torque_share=share,
        torque_limits=_raised(share, spec),
        num_bodies=spec.num_bodies,
    )


def _contact_bodies(touching: Sequence[int], spec: CharacterSpec) -> Set[int]:
    """Return the bodies that may touch the ground: those that do, with what they are welded to, on both sides. Who
    lies on the trunk, from which limbs branch off, may touch it with everything."""
    if any(spec.parent_ids.count(body) > 1 for body in touching):
        return set(range(spec.num_bodies))
    bodies = set(spec.contact_body_ids)
    for body in touching:
        bodies |= _rigid_part(spec, body)
    names = {spec.body_names[body] for body in bodies}
    names |= {other_side(name) for name in names} & set(spec.body_names)
    return {body for body, name in enumerate(spec.body_names) if name in names}


def _rigid_part(spec: CharacterSpec, body: int) -> Set[int]:
    """Return a body and those it is welded to: a hand that touches the ground is the end of its forearm."""
    part = {body}
    while body > 0 and body not in spec.joint_body_ids:
        body = spec.parent_ids[body]
        part.add(body)
    return part


def fill_in(
    motion: "MotionConfig", character: "CharacterConfig", clips: Sequence[MotionClip], spec: CharacterSpec
) -> List[str]:
    """Derive the open keys of a configuration from its clips.

    Args:
        motion: `cfg.motion`; `contact_bodies`, `rise_height` and `max_low_s` are set where they are null and `derive`
            lists them.
        character: `cfg.character`; `torque_limits` are set where there are none.
        clips: the clips of `motion.file`.
        spec: the character.

    Returns:
        What was set, one fact per line.
    """
    asks_strength = "torque_limits" in motion.derive and not character.torque_limits
    if not motion.derive:
        return []
    facts, said = clip_facts(clips, spec, asks_strength), []
    usual = tuple(spec.body_names[b] for b in sorted(spec.contact_body_ids))
    if "contact_bodies" in motion.derive and motion.contact_bodies is None and facts.contact_bodies != usual:
        motion.contact_bodies = facts.named_contact_bodies
        said.append(f"motion.contact_bodies=[{','.join(motion.contact_bodies)}]")
    is_open = motion.rise_height is None and motion.max_low_s is None
    if "low_posture" in motion.derive and is_open and facts.rise_height is not None:
        motion.rise_height, motion.max_low_s = facts.rise_height, facts.max_low_s
        said.append(f"motion.rise_height={facts.rise_height:g} motion.max_low_s={facts.max_low_s:g}")
    if asks_strength and facts.torque_limits:
        character.torque_limits = dict(facts.torque_limits)
        said.append(f"torque limits {_STRONGER:g} times the character's ({facts.strength})")
    return said


def standing_height(spec: CharacterSpec) -> float:
    """Return the height (m) of the root over the ground when the character stands at rest."""
    state = Kinematics(spec).default_state(1)
    assert state.body_rot is not None
    lowest = spec.geoms.lowest_height(state.body_pos, state.body_rot).min()
    return float(state.root_pos[0, 2] - lowest)


def _low_posture(clips: Sequence[MotionClip], spec: CharacterSpec) -> Tuple[Optional[float], Optional[float]]:
    """Return a height that the clips regularly exceed, and the longest time below it, s.

    For clips that lie down and get up again: the middle between both; for clips that leap: the middle between standing
    and the top of the leap. Clips that always lie, or never leap, have none."""
    stand = standing_height(spec)
    lowest = min(float(clip.root_pos[:, 2].min()) for clip in clips)
    highest = min(float(clip.root_pos[:, 2].max()) for clip in clips)
    if lowest < _LYING * stand and highest > _UPRIGHT * stand:
        height = 0.5 * (lowest + min(highest, stand))
    elif highest > _LEAP * stand and all(_leaps(clip, spec) for clip in clips):
        height = stand + 0.5 * (highest - stand)
    else:
        return None, None
    height = round(height, 2)
    return height, max(_longest_below(clip, height) for clip in clips)


def _leaps(clip: MotionClip, spec: CharacterSpec) -> bool:
    """Return whether the clip leaves the ground for a while."""
    up = lowest_heights(clip, spec) > _LEAP_M
    longest = run = 0
    for frame in up.tolist():
        run = run + 1 if frame else 0
        longest = max(longest, run)
    return longest / clip.fps > _LEAP_S


def _longest_below(clip: MotionClip, height: float) -> float:
    """Return the longest continuous time (s) that the root is lower, across the seam of a wrap clip."""
    low: Tensor = clip.root_pos[:, 2] < height
    frames = low[:-1].tolist() * 2 if clip.loop == "wrap" else low.tolist()
    longest = run = 0
    for frame in frames:
        run = run + 1 if frame else 0
        longest = max(longest, run)
    return min(longest, clip.num_frames) / clip.fps


def _torque_shares(clips: Sequence[MotionClip], spec: CharacterSpec) -> Dict[str, float]:
    shares: Dict[str, float] = {}
    for needed in filter(None, (torque_needed(clip, spec) for clip in clips)):
        for joint, body, start, size in zip(spec.joint_names, spec.joint_body_ids, spec.dof_offsets, spec.joint_sizes):
            limit = float(spec.dof_effort[start : start + size].min())
            if 0.0 < limit < math.inf and (joint in needed or body not in spec.contact_body_ids):
                shares[joint] = max(shares.get(joint, 0.0), needed.get(joint, math.inf) / limit)
    return shares


def _raised(share: Dict[str, float], spec: CharacterSpec) -> Dict[str, float]:
    """Return twice the limits (N m) of all joints if a clip needs more than it has. A robot (hinges only) keeps the
    limits of its motors."""
    if max(share.values(), default=0.0) <= STRONG_ENOUGH or 3 not in spec.joint_sizes:
        return {}
    limits = {joint: float(spec.dof_effort[start]) for joint, start in zip(spec.joint_names, spec.dof_offsets)}
    return {joint: round(_STRONGER * limit, 1) for joint, limit in limits.items() if 0.0 < limit < float("inf")}


def speed_m_s(clip: MotionClip) -> float:
    """Return the mean horizontal speed of the root, along its path."""
    steps = (clip.root_pos[1:, :2] - clip.root_pos[:-1, :2]).norm(dim=-1)
    return float(steps.sum()) / clip.duration_s


def turn_per_cycle(clip: MotionClip) -> float:
    """Return by how much (rad) a wrap clip turns in a cycle."""
    return float(cycle_of(clip).turn)
