"""Reference state initialisation: where an episode starts, and the history it starts with (Peng et al. 2018,
section 6.1)."""

from typing import Any, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from amp_train.character import CharacterSpec, CharacterState, Kinematics
from amp_train.env.amp_observations import amp_obs_frame
from amp_train.errors import unknown_choice
from amp_train.motion import MotionLibrary

STATE_INITS = ("Default", "Start", "Random", "Hybrid", "Adaptive")
_BIN_S = 0.1
_SOON_S = 1.0  # a failure later than this has another cause
_EASY_SHARE = 0.2  # weight of a bin without failures relative to one that always fails
_NEWEST_SHARE = 0.05  # weight of one episode in a bin's failure rate


class DemoSampler:
    """Samples states and observation histories of the clips.

    Args:
        motion_library: `sample_clips`, `sample_times`, `state_at`.
        num_steps: frames in a history.
        step_dt_s: s between two frames.
    """

    def __init__(
        self, motion_library: Any, spec: CharacterSpec, num_steps: int, step_dt_s: float, local_root_obs: bool
    ) -> None:
        self.library, self._spec, self._local_root_obs = motion_library, spec, local_root_obs
        self._num_steps, self.step_dt_s = num_steps, step_dt_s
        self._ages_s = step_dt_s * torch.arange(num_steps, device=motion_library.device)

    def start_at(self, clip_ids: Tensor, times_s: Tensor) -> Tuple[CharacterState, Tensor]:
        """Look up the clips at `times_s` (n,), and the observations there and at the control steps before.

        Returns:
            n states, and histories (n, num_steps, frame_size), newest first.
        """
        times = (times_s.unsqueeze(1) - self._ages_s).flatten()
        state = self.library.state_at(clip_ids.repeat_interleave(self._num_steps), times)
        return state[:: self._num_steps], self.observe(state).unflatten(0, (-1, self._num_steps))

    def sample_times(self, n: int) -> Tuple[Tensor, Tensor]:
        """Draw n clip ids (n,) long, and a time (n,) s in each; where the heading is observed, in any cycle."""
        clip_ids = self.library.sample_clips(n)
        return clip_ids, self.library.sample_times(clip_ids, any_cycle=not self._local_root_obs)

    def sample_with_next(self, n: int, ahead_s: float) -> Tuple[CharacterState, CharacterState]:
        """Draw n states of the clips, and those `ahead_s` later."""
        clip_ids, times = self.sample_times(n)
        later = self.library.state_at(clip_ids, times + ahead_s)
        return self.library.state_at(clip_ids, times), later

    def sample(self, n: int) -> Tensor:
        """Draw n demonstrations, (n, num_steps * frame_size)."""
        return self.start_at(*self.sample_times(n))[1].flatten(1)

    def observe(self, state: CharacterState) -> Tensor:
        """Observe N characters as this task does, (N, frame_size)."""
        return amp_obs_frame(state, self._spec, self._local_root_obs)


class Starts(NamedTuple):
    """Where K episodes begin.

    Attributes:
        state, history: K states, and (K, num_steps, frame_size), newest first.
        clip_ids, times_s: (K,) long and (K,) s, where in the clips.
        from_clip: (K,) bool; False: in the default pose instead.
        bins: (K,) long, in which bins of the failure-weighted starts; 0 without these.
    """

    state: CharacterState
    history: Tensor
    clip_ids: Tensor
    times_s: Tensor
    from_clip: Tensor
    bins: Tensor


class FailureWeightedStarts:
    """Draws initial states by how soon they lead to a fall: failure-weighted start sampling (`state_init=Adaptive`).

    With uniform starts, a leap of half a second in a clip of four seconds gets a tenth of the episodes, and what
    follows it is only reached after the leap has been learned. The failure rate of every tenth of a second of every
    clip is tracked, and starts are drawn in proportion to it, mixed with uniform ones: the adaptive sampling of
    BeyondMimic (Liao et al. 2025, section III-F), by the start of episodes, because AMP has no phase. Demonstrations
    stay uniform.

    Attributes:
        failure_rate: (B,) by bin, 0 to 1, a running mean; initially 1, so that the first starts are
            uniform.
    """

    def __init__(self, library: MotionLibrary, control_dt_s: float, generator: torch.Generator) -> None:
        self._generator = generator
        self._soon_steps = round(_SOON_S / control_dt_s)
        span = library.durations_s - library.earliest_s
        num = torch.ceil(span / _BIN_S).clamp(min=1).long()
        clip_ids = torch.repeat_interleave(torch.arange(len(num), device=num.device), num)
        within = torch.arange(len(clip_ids), device=num.device) - (torch.cumsum(num, 0) - num)[clip_ids]
        self._clip_ids, self._width_s = clip_ids, (span / num)[clip_ids]
        self._begin_s = library.earliest_s[clip_ids] + within * self._width_s
        self._uniform = (library.weights / num)[clip_ids].double()
        self.failure_rate = torch.ones_like(self._uniform)

    def draw(self, n: int) -> Tuple[Tensor, Tensor, Tensor]:
        """Draw n bins (n,) long, and a clip id (n,) and a time (n,) s in each."""
        weight = self._uniform * (_EASY_SHARE + (1.0 - _EASY_SHARE) * self.failure_rate)
        cumulative = torch.cumsum(weight, 0)
        u = torch.rand(n, device=weight.device, dtype=weight.dtype, generator=self._generator) * cumulative[-1]
        bins = torch.searchsorted(cumulative, u, right=True).clamp_(max=len(weight) - 1)
        share = torch.rand(n, device=weight.device, generator=self._generator)
        return bins, self._clip_ids[bins], self._begin_s[bins] + share * self._width_s[bins]

    def learn(self, bins: Tensor, progress: Tensor, terminated: Tensor) -> None:
        """Update the rates with one control step of N episodes.

        Args:
            bins: (N,) long, where they started.
            progress: (N,) long, steps since.
            terminated: (N,) bool, failed in this step.
        """
        early = progress <= self._soon_steps
        known = early & (terminated | (progress == self._soon_steps))
        zero = torch.zeros_like(self.failure_rate)
        count = zero.index_add(0, bins, known.to(zero.dtype))
        failed = zero.index_add(0, bins, (known & terminated).to(zero.dtype))
        kept = (1.0 - _NEWEST_SHARE) ** count
        self.failure_rate = kept * self.failure_rate + (1.0 - kept) * failed / count.clamp(min=1.0)


class ResetPlanner:
    """Chooses the state and the AMP history in which each reset environment starts.

    `Default`: the MJCF's pose, at rest. `Start`: the clip's first frame. `Random`: any time of the clip. `Hybrid`:
    `Random` with probability `hybrid_init_prob`, else `Default`. `Adaptive`: any time of the clip, more often
    where the character soon failed.
    """

    def __init__(
        self,
        sampler: DemoSampler,
        state_init: str,
        hybrid_init_prob: float,
        kinematics: Kinematics,
        generator: torch.Generator,
    ) -> None:
        if state_init not in STATE_INITS:
            raise unknown_choice("task.env.state_init (or motion.state_init)", state_init, STATE_INITS)
        self._sampler, self._state_init, self._generator = sampler, state_init, generator
        self._clip_share = {"Default": 0.0, "Hybrid": hybrid_init_prob}.get(state_init, 1.0)
        self._default = kinematics.default_state(1)
        self.adaptive: Optional[FailureWeightedStarts] = None
        if state_init == "Adaptive":
            self.adaptive = FailureWeightedStarts(sampler.library, sampler.step_dt_s, generator)

    def plan(self, num: int) -> Starts:
        """Choose `num` starts."""
        bins, clip_ids, times = self._draw(num)
        state, history = self._sampler.start_at(clip_ids, times)
        from_clip = torch.ones_like(clip_ids, dtype=torch.bool)
        if self._clip_share < 1.0:
            chance = torch.rand(num, generator=self._generator, device=times.device)
            from_clip = chance < self._clip_share
            history = self._put_default(state, history, ~from_clip)
        return Starts(state, history, clip_ids, times, from_clip, bins)

    def _draw(self, num: int) -> Tuple[Tensor, Tensor, Tensor]:
        if self.adaptive is not None:
            return self.adaptive.draw(num)
        clip_ids, times = self._sampler.sample_times(num)
        return torch.zeros_like(clip_ids), clip_ids, torch.zeros_like(times) if self._state_init == "Start" else times

    def _put_default(self, state: CharacterState, history: Tensor, chosen: Tensor) -> Tensor:
        return self._put(state, history, self._default, chosen)

    def _put(self, state: CharacterState, history: Tensor, other: CharacterState, chosen: Tensor) -> Tensor:
        """Set other states, at rest, in the rows `chosen` (K,) bool; return the histories."""
        for name, rest in other.tensors().items():
            if getattr(state, name) is not None:
                mask = chosen.view((-1,) + (1,) * (rest.dim() - 1))
                setattr(state, name, torch.where(mask, rest, getattr(state, name)))
        return torch.where(chosen.view(-1, 1, 1), self._sampler.observe(other).unsqueeze(1), history)

    def replace(self, starts: Starts, state: CharacterState, chosen: Tensor) -> Starts:
        """Return the starts with other states (K), at rest, where `chosen` (K,) bool."""
        history = self._put(starts.state, starts.history, state, chosen)
        return starts._replace(history=history, from_clip=starts.from_clip & ~chosen)
