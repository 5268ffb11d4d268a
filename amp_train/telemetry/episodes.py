"""Lengths and ends of the episodes of an iteration, summed on the device and read once."""

from typing import Callable, List, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor


class EpisodeMeter:
    """Averages over the episodes that ended since the last reading; adding to it never waits for the device."""

    def __init__(self, device: Union[str, torch.device]) -> None:
        self._sums = torch.zeros(3, dtype=torch.double, device=device)

    def add(self, done: Tensor, lengths: Tensor, terminated: Tensor) -> None:
        """Count episodes.

        Args:
            done: (N,) bool, those that end now.
            lengths: (N,) steps.
            terminated: (N,) bool, those that failed; the others ran into the time limit.
        """
        self._sums += torch.stack([part.sum(dtype=torch.double) for part in (done, lengths * done, terminated)])

    def pop(
        self, total: Callable[[Sequence[float]], List[float]] = list
    ) -> Tuple[int, Optional[float], Optional[float]]:
        """Return the number of episodes, their mean length in steps and the share that failed, and start anew.

        Args:
            total: sums numbers over the processes of a training, so that the episodes of all are counted.
        """
        count, steps, failures = total(self._sums.tolist())
        episodes = int(count)
        self._sums.zero_()
        if episodes == 0:
            return 0, None, None
        return episodes, steps / episodes, failures / episodes
