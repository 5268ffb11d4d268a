"""A disk that refuses a checkpoint is told of, tried again, and not put up with for ever."""

import errno
import os

import pytest

from amp_train.checkpoint.atomic import MAX_IN_A_ROW, SaveFaults, failure_of
from amp_train.errors import SaveError

FULL = "No space left on device"


def test_only_what_the_disk_says_is_a_failure_of_the_disk(tmp_path):
    assert failure_of(lambda: None) is None
    assert failure_of(lambda: (tmp_path / "no" / "file").write_text("")).startswith("No such file or directory: '")

    def full():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert failure_of(full) == FULL
    with pytest.raises(ZeroDivisionError):
        failure_of(lambda: 1 // 0)


def test_failures_in_a_row_are_told_one_by_one_until_they_are_too_many(caplog):
    faults = SaveFaults("checkpoint")
    for _ in range(MAX_IN_A_ROW - 1):
        faults.note(FULL)
    assert len(caplog.records) == MAX_IN_A_ROW - 1 and FULL in caplog.text
    with pytest.raises(SaveError, match=FULL) as caught:
        faults.note(FULL)
    assert "\n" not in str(caught.value)


def test_a_save_that_succeeds_forgives_those_before():
    faults = SaveFaults("checkpoint")
    for _ in range(3 * MAX_IN_A_ROW):
        faults.note(FULL)
        faults.note(None)
    faults.check_end()


def test_a_training_must_not_end_on_a_save_that_failed():
    faults = SaveFaults("checkpoint")
    faults.check_end()
    faults.note(FULL)
    with pytest.raises(SaveError, match="lost"):
        faults.check_end()


def test_what_is_tried_in_every_iteration_is_told_once_in_a_row(caplog):
    faults = SaveFaults("best policy", max_in_a_row=None)
    for _ in range(100):
        faults.note(FULL)
    assert len(caplog.records) == 1
    faults.note(None)
    faults.note(FULL)
    assert len(caplog.records) == 2
