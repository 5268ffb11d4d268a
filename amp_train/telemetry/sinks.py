"""Where measurements go: the interfaces that the observer feeds."""

from typing import Any, Dict

# A number, a word, or None where there was nothing to measure.
Row = Dict[str, Any]


class RowSink:
    """Takes one row of plain numbers and words an iteration; None where there was nothing to measure."""

    def start(self, iteration: int, max_iterations: int) -> None:
        """Begin after `iteration` iterations, 0 for a new training."""

    def write(self, row: Row) -> None:
        """Take the row of one iteration."""

    def sync(self) -> None:
        """Have what was taken on disk."""

    def close(self) -> None:
        """Release files and displays."""


class ScalarSink:
    """Takes the scalars that also go to tensorboard."""

    def log(self, scalars: Dict[str, float], step: int) -> None:
        """Take the scalars of one step, in samples."""

    def close(self) -> None:
        """Send what is left."""
