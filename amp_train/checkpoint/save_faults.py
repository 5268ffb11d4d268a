"""Disks that refuse a checkpoint: the training goes on and tries again, but not for ever."""

import logging
from typing import Any, Callable, Optional

from amp_train.errors import SaveError

logger = logging.getLogger(__name__)

MAX_IN_A_ROW = 5


def failure_of(save: Callable[[], Any]) -> Optional[str]:
    """Save something; return None, or in a few words why the disk refused it."""
    try:
        save()
    except OSError as error:
        return "{}{}".format(error.strerror or error, ": '{}'".format(error.filename) if error.filename else "")
    return None


class SaveFaults:
    """Counts the saves in a row that failed.

    Args:
        what: is saved, for the messages.
        max_in_a_row: so many failures end the training; None: none do, and only the first in a row is told.
    """

    def __init__(self, what: str, max_in_a_row: Optional[int] = MAX_IN_A_ROW) -> None:
        self._what, self._max_in_a_row = what, max_in_a_row
        self._in_a_row = 0
        self._reason = ""

    def note(self, failure: Optional[str]) -> None:
        """Take the outcome of a save, as `failure_of` returns it.

        Raises:
            SaveError: it was one failure too many.
        """
        if failure is None:
            self._in_a_row = 0
            return
        self._in_a_row += 1
        self._reason = failure
        if self._in_a_row == self._max_in_a_row:
            self.check_end()
        if self._max_in_a_row is None and self._in_a_row > 1:
            return
        logger.warning(
            "The %s could not be saved (%s). The former one is whole; the training goes on and tries again.",
            self._what,
            failure,
        )

    def check_end(self) -> None:
        """Check that nothing is lost if the training ends now.

        Raises:
            SaveError: the last save failed.
        """
        if self._in_a_row:
            raise SaveError(
                "The {} could not be saved {} time(s) in a row, and what was trained since the last good one is lost: "
                "{}. Make room, or make it writable, and continue from the last checkpoint.".format(
                    self._what, self._in_a_row, self._reason
                )
            )
