"""When an episode has failed, and why. A time limit is not a failure and is not decided here."""

from typing import TYPE_CHECKING, Optional, Tuple

import torch
from torch import Tensor

from amp_train.character import CharacterSpec, CharacterState
from amp_train.env.tasks import Task
from amp_train.errors import MotionError
from amp_train.motion import MotionLibrary

if TYPE_CHECKING:
    from amp_train.config.schema import Config

# N; below this a contact sensor reads noise (IsaacGymEnvs).
CONTACT_THRESHOLD_N = 0.1
NEVER = 2**62  # steps
_CHUNK = 4096

# Causes by code; those of a character's own bodies come after them.
NOT_FAILED, DIVERGED, TASK_FAILED, STAYED_LOW = range(4)


class FallDetector:
    """Decides which characters have fallen, and why.

    Attributes:
        cause_names: by code: 0 is none, then divergence, the task, the low-posture timeout, each body that sank
            and each that touched.
    """

    def __init__(
        self,
        spec: CharacterSpec,
        termination_height: float,
        min_trunk_height: Tensor,
        device: torch.device,
        rise_height: float = 0.0,
        max_low_steps: int = NEVER,
        task_failure: str = "task failed",
    ) -> None:
        """Prepare the rules.

        Args:
            spec: `contact_body_ids` may touch the ground.
            termination_height: m; an episode ends when a forbidden body feels a contact while a forbidden body is
                lower than this (IsaacGymEnvs `compute_humanoid_reset`).
            min_trunk_height: (num_bodies,) m; an episode also ends when a body sinks below its height; 0 switches a
                body off.
            device: where states live.
            rise_height: m, a height that the clip's root regularly exceeds.
            max_low_steps: low-posture timeout: an episode also ends when the root has been lower than `rise_height` for
                more consecutive control steps than this. Lying where the clip rolls, or standing where it leaps, is
                safer than following it, and the style reward alone does not prevent that.
            task_failure: name of the task's failure.
        """
        self._rise_height, self._max_low_steps = rise_height, max_low_steps
        forbidden = [b for b in range(spec.num_bodies) if b not in spec.contact_body_ids]
        self._forbidden = torch.tensor(forbidden, dtype=torch.long, device=device)
        self._height = termination_height
        trunk = torch.nonzero(min_trunk_height > 0).reshape(-1)
        self._trunk, self._trunk_height = trunk.to(device), min_trunk_height[trunk].to(device)
        sank = [f"{spec.body_names[b]} sank" for b in trunk.tolist()]
        touched = [f"{spec.body_names[b]} touched" for b in forbidden]
        self._first_sank, self._first_touched = STAYED_LOW + 1, STAYED_LOW + 1 + len(sank)
        self.cause_names: Tuple[str, ...] = ("", "diverged", task_failure, "stayed low", *sank, *touched)

    def low_steps(self, state: CharacterState, so_far: Tensor) -> Tensor:
        """Return for how many consecutive control steps (N,) long the characters have been low, including this one."""
        return (so_far + 1) * (state.root_pos[:, 2] < self._rise_height)

    def fall_cause(self, state: CharacterState, progress: Tensor, low_steps: Tensor) -> Tensor:
        """Return the causes (N,) long, 0 where there is no fall: of the trunk the body that sank deepest, of several
        bodies that touch the lowest. In the first step after a reset contacts are not judged, as IsaacGymEnvs does:
        they may be stale.

        Args:
            state: with body_pos and contact_force.
            progress: (N,) long, steps since the reset.
            low_steps: (N,) long, from `low_steps`.
        """
        cause = torch.where(low_steps > self._max_low_steps, STAYED_LOW, NOT_FAILED)
        height = state.body_pos[..., 2]
        if len(self._forbidden):
            force = state.contact_force
            assert force is not None
            heights = height[:, self._forbidden]
            touching = (force[:, self._forbidden].abs() > CONTACT_THRESHOLD_N).any(-1)
            touched = touching.any(-1) & (heights < self._height).any(-1) & (progress > 1)
            lowest = heights.masked_fill(~touching, float("inf")).argmin(-1)
            cause = torch.where(touched, self._first_touched + lowest, cause)
        if len(self._trunk):
            share = height[:, self._trunk] / self._trunk_height
            sank = (height[:, self._trunk] < self._trunk_height).any(-1)
            cause = torch.where(sank, self._first_sank + share.argmin(-1), cause)
        return cause


class Termination:
    """Combines the reasons to end an episode: diverged physics, the task, and, with early termination, a fall.

    Attributes:
        cause_names: by code; 0 is none.
        low_steps: (N,) long, for how many consecutive control steps each character has been low.
    """

    def __init__(self, falls: FallDetector, early: bool, num_envs: int, device: torch.device) -> None:
        self._falls, self._early = falls, early
        self.cause_names = falls.cause_names
        self.low_steps = torch.zeros(num_envs, dtype=torch.long, device=device)

    def cause(self, state: CharacterState, progress: Tensor, diverged: Tensor, task: Task) -> Tensor:
        """Return the cause of each episode's failure in this control step, (N,) long, 0 where there is none.

        Args:
            state: N characters.
            progress: (N,) long, steps since the reset.
            diverged: (N,) bool.
            task: may fail, and may forgive a fall.
        """
        cause = torch.zeros_like(progress)
        if self._early:
            self.low_steps = self._falls.low_steps(state, self.low_steps)
            cause = self._falls.fall_cause(state, progress, self.low_steps)
        forgiven, task_failed = task.forgives(state, cause > 0), task.failed(state)
        if forgiven is not None:
            cause = cause.masked_fill(forgiven, NOT_FAILED)
        if task_failed is not None:
            cause = torch.where(task_failed & (cause == NOT_FAILED), TASK_FAILED, cause)
        return torch.where(diverged, DIVERGED, cause)


class ClipLowSteps:
    """How many control steps ago the clips' root was last above a height.

    An episode that starts in the clip starts with this count. Starting from 0, it could skip one leap without a
    penalty, and a policy does not observe how long ago it leapt.
    """

    def __init__(self, library: MotionLibrary, rise_height: float, control_dt_s: float) -> None:
        """Go through the clips; in a wrap clip the previous cycle counts too.

        Args:
            library: the clips.
            rise_height: m.
            control_dt_s: s.
        """
        self._library, self._dt_s = library, control_dt_s
        counts = [_counts(library, clip, rise_height, control_dt_s) for clip in range(len(library))]
        lengths = torch.tensor([len(count) for count in counts], device=library.device)
        self._counts, self._first = torch.cat(counts), torch.cumsum(lengths, 0) - lengths

    @property
    def longest(self) -> int:
        """The longest that a clip stays low, control steps."""
        return int(self._counts.max())

    def at(self, clip_ids: Tensor, times_s: Tensor) -> Tensor:
        """Return the counts (N,) long at the times (N,) s of the clips (N,)."""
        within_s = self._library.cycle_at(clip_ids, times_s)[1]
        return self._counts[self._first[clip_ids] + (within_s / self._dt_s).long()]


def _counts(library: MotionLibrary, clip: int, rise_height: float, control_dt_s: float) -> Tensor:
    last = int(float(library.durations_s[clip]) / control_dt_s) + 1  # the end itself, despite rounding
    steps = torch.arange(-last, last + 1, device=library.device)
    parts = steps.split(_CHUNK)  # in batches, because whole characters are posed
    states = (library.state_at(torch.full_like(part, clip), part * control_dt_s) for part in parts)
    height = torch.cat([state.root_pos[:, 2] for state in states])
    never = steps[0] - 1
    last_above = torch.cummax(torch.where(height >= rise_height, steps, never), dim=0)[0]
    return (steps - last_above.where(last_above != never, torch.zeros_like(steps)))[steps >= 0]


def make_termination(
    cfg: "Config", spec: CharacterSpec, library: MotionLibrary, control_dt_s: float, num_envs: int, task_failure: str
) -> Termination:
    """Build the rules from the task's settings; those of the motion preset win."""
    env, motion, device = cfg.task.env, cfg.motion, library.device
    height = env.termination_height if motion.termination_height is None else motion.termination_height
    min_height = torch.zeros(spec.num_bodies)
    trunk = list(spec.body_ids(cfg.character.fall_bodies))
    min_height[trunk] = env.fall_height_ratio * library.min_body_height.amin(0).cpu()[trunk]
    rise_height, low_steps = 0.0, NEVER
    if motion.max_low_s is not None and motion.rise_height is not None:
        rise_height, low_steps = motion.rise_height, round(motion.max_low_s / control_dt_s)
    falls = FallDetector(spec, height, min_height, device, rise_height, low_steps, task_failure)
    return Termination(falls, env.early_termination, num_envs, device)


def make_clip_low_steps(cfg: "Config", library: MotionLibrary, control_dt_s: float) -> Optional[ClipLowSteps]:
    """Compute how long the clips stay low, if the low-posture timeout is set.

    Raises:
        MotionError: a clip itself exceeds the timeout.
    """
    motion = cfg.motion
    if motion.max_low_s is None or motion.rise_height is None:
        return None
    clips = ClipLowSteps(library, motion.rise_height, control_dt_s)
    if clips.longest >= round(motion.max_low_s / control_dt_s):
        raise MotionError(
            f"{motion.file} stays below motion.rise_height={motion.rise_height:g} m for "
            f"{clips.longest * control_dt_s:.1f} s, and motion.max_low_s={motion.max_low_s:g} ends such episodes. "
            "Raise motion.max_low_s, or set both keys to null."
        )
    return clips
