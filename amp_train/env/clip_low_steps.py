"""For how long the clips have been low at every moment."""

import torch
from torch import Tensor

from amp_train.motion import MotionLibrary

_CHUNK = 4096


class ClipLowSteps:
    """How many control steps ago the clips' root was last above a height.

    An episode that begins in the clip begins with this count: one that began with none could leave a leap out once
    without a penalty, and a policy does not see how long ago it leapt.
    """

    def __init__(self, library: MotionLibrary, rise_height: float, control_dt_s: float) -> None:
        """Look through the clips; in one that wraps, the cycle before counts, else its beginning.

        Args:
            library: the clips.
            rise_height: m.
            control_dt_s: s.
        """
        self._dt_s = control_dt_s
        counts = [_counts(library, clip, rise_height, control_dt_s) for clip in range(len(library))]
        lengths = torch.tensor([len(count) for count in counts], device=library.device)
        self._counts, self._first = torch.cat(counts), torch.cumsum(lengths, 0) - lengths

    @property
    def longest(self) -> int:
        """The longest that a clip stays low, control steps."""
        return int(self._counts.max())

    def at(self, clip_ids: Tensor, times_s: Tensor) -> Tensor:
        """Return the counts (N,) long at the times (N,) s of the clips (N,)."""
        return self._counts[self._first[clip_ids] + (times_s / self._dt_s).long()]


def _counts(library: MotionLibrary, clip: int, rise_height: float, control_dt_s: float) -> Tensor:
    last = int(float(library.durations_s[clip]) / control_dt_s) + 1  # the end itself, however it is rounded
    steps = torch.arange(-last, last + 1, device=library.device)
    parts = steps.split(_CHUNK)  # whole characters are posed
    states = (library.state_at(torch.full_like(part, clip), part * control_dt_s) for part in parts)
    height = torch.cat([state.root_pos[:, 2] for state in states])
    never = steps[0] - 1
    last_above = torch.cummax(torch.where(height >= rise_height, steps, never), dim=0)[0]
    return (steps - last_above.where(last_above != never, torch.zeros_like(steps)))[steps >= 0]
