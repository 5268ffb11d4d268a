"""When the next checkpoint is due, so that saving stays a small part of the time."""

import time
from typing import Callable

NEGLIGIBLE_S = 0.1  # a save that takes less is never put off


class SaveSchedule:
    """Due every so many iterations and every so many seconds, whichever comes first; put off while saving is dear.

    A training state can be a gigabyte, and an iteration on a GPU take a fifth of a second: a number of iterations alone
    would either save all the time or lose an hour. When a checkpoint is due is no part of what is computed, so that the
    clock makes no training irreproducible.
    """

    def __init__(
        self,
        every_iterations: int,
        every_s: float,
        max_share: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the clock.

        Args:
            every_iterations: 0: the number of iterations does not matter.
            every_s: 0: the time does not matter.
            max_share: of the time may go into checkpoints; 1: none is ever put off.
        """
        self._every_iterations, self._every_s, self._clock = every_iterations, every_s, clock
        self._max_share = max_share
        self._last_end_s, self._last_cost_s = clock(), 0.0
        self._owed = False

    def is_due(self, iteration: int) -> bool:
        """Say whether to save after this iteration; asked once an iteration."""
        since_s = self._clock() - self._last_end_s
        by_count = self._every_iterations > 0 and iteration % self._every_iterations == 0
        by_time = 0 < self._every_s <= since_s
        self._owed = self._owed or by_count or by_time
        is_dear = (
            self._max_share < 1.0 and self._last_cost_s > NEGLIGIBLE_S and self._last_cost_s > self._max_share * since_s
        )
        return self._owed and not is_dear

    def saved(self, cost_s: float) -> None:
        """Note that a checkpoint has just been written, or tried, in so many seconds."""
        self._last_end_s, self._last_cost_s, self._owed = self._clock(), cost_s, False
