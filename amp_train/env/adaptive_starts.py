"""Where along the clips episodes begin: more often where those that began there soon failed."""

from typing import Tuple

import torch
from torch import Tensor

from amp_train.motion import MotionLibrary

_PLACE_S = 0.1
_SOON_S = 1.0  # an episode that fails later failed at something else
_EASY_SHARE = 0.2  # how likely a place is that is never failed at, next to one that always is
_NEWEST_SHARE = 0.05  # of one episode in what is known of a place


class AdaptiveStarts:
    """Draws initial states by how soon they lead to a fall.

    Uniform starts give a leap of half a second in a clip of four a tenth of the episodes, and what comes after it
    is reached by nobody who has not learned the leap. The failure rate of every tenth of a second of every clip is
    followed, and starts are drawn in proportion to it, mixed with uniform ones: the adaptive sampling that BeyondMimic
    tracks motions with (Liao et al. 2025, section III-F), by where episodes began, as AMP knows no phase of the clip.
    Demonstrations stay uniform.

    Attributes:
        failure_rate: (P,) by place, 0 to 1, a running mean; 1 where nothing is known, so that the first starts are
            uniform.
    """

    def __init__(self, library: MotionLibrary, control_dt_s: float, generator: torch.Generator) -> None:
        self._generator = generator
        self._soon_steps = round(_SOON_S / control_dt_s)
        span = library.durations_s - library.earliest_s
        num = torch.ceil(span / _PLACE_S).clamp(min=1).long()
        clip_ids = torch.repeat_interleave(torch.arange(len(num), device=num.device), num)
        within = torch.arange(len(clip_ids), device=num.device) - (torch.cumsum(num, 0) - num)[clip_ids]
        self._clip_ids, self._width_s = clip_ids, (span / num)[clip_ids]
        self._begin_s = library.earliest_s[clip_ids] + within * self._width_s
        self._uniform = (library.weights / num)[clip_ids].double()
        self.failure_rate = torch.ones_like(self._uniform)

    def draw(self, n: int) -> Tuple[Tensor, Tensor, Tensor]:
        """Draw n places (n,) long, and a clip id (n,) and a time (n,) s of each."""
        weight = self._uniform * (_EASY_SHARE + (1.0 - _EASY_SHARE) * self.failure_rate)
        cumulative = torch.cumsum(weight, 0)
        u = torch.rand(n, device=weight.device, dtype=weight.dtype, generator=self._generator) * cumulative[-1]
        places = torch.searchsorted(cumulative, u, right=True).clamp_(max=len(weight) - 1)
        share = torch.rand(n, device=weight.device, generator=self._generator)
        return places, self._clip_ids[places], self._begin_s[places] + share * self._width_s[places]

    def learn(self, places: Tensor, progress: Tensor, terminated: Tensor) -> None:
        """Take note of one control step of N episodes.

        Args:
            places: (N,) long, where they began.
            progress: (N,) long, steps since.
            terminated: (N,) bool, failed in this step.
        """
        early = progress <= self._soon_steps
        known = early & (terminated | (progress == self._soon_steps))
        zero = torch.zeros_like(self.failure_rate)
        count = zero.index_add(0, places, known.to(zero.dtype))
        failed = zero.index_add(0, places, (known & terminated).to(zero.dtype))
        kept = (1.0 - _NEWEST_SHARE) ** count
        self.failure_rate = kept * self.failure_rate + (1.0 - kept) * failed / count.clamp(min=1.0)
