"""Tensorboard's file is complete at any moment, outlives a full disk, and can be cut back to a checkpoint."""

import time
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboardX import SummaryWriter

from amp_train.telemetry.files import (
    AppendFile,
    EventFile,
    cut_event_files,
    event_file_instead_of,
    sizes_of_event_files,
)


def scalars(folder, tag="a"):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}, purge_orphaned_data=False)
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)] if tag in events.Tags()["scalars"] else []


def test_a_scalar_can_be_read_at_once_without_closing_the_file(tmp_path):
    events = EventFile(tmp_path)
    for step, value in enumerate((1.5, torch.tensor(2.5), torch.tensor([3.5]).numpy())):
        events.add_scalar("a", value, 10 * step)
    assert scalars(tmp_path) == [(0, 1.5), (10, 2.5), (20, 3.5)]


def test_a_step_in_seconds_is_rounded_down_as_tensorboardx_does(tmp_path):
    EventFile(tmp_path).add_scalar("a", 1.0, 7.9)
    assert scalars(tmp_path) == [(7, 1.0)]


def test_it_takes_the_place_of_an_unused_summary_writer_and_of_nothing_else(tmp_path):
    events = event_file_instead_of(SummaryWriter(str(tmp_path)))
    events.add_scalar("a", 1.0, 1)
    assert len(list(tmp_path.iterdir())) == 1 and scalars(tmp_path) == [(1, 1.0)]
    other = object()
    assert event_file_instead_of(other) is other


def test_sessions_within_a_second_do_not_share_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1234567890.5)
    for step in (1, 2, 3):
        EventFile(tmp_path).add_scalar("a", float(step), step)
    assert scalars(tmp_path) == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_a_session_after_the_clock_was_set_back_has_the_last_file(tmp_path, monkeypatch):
    for step, now_s in ((1, 2e9), (2, 1e9), (3, 1.5e9)):
        monkeypatch.setattr(time, "time", lambda now_s=now_s: now_s)
        EventFile(tmp_path).add_scalar("a", float(step), step)
    assert scalars(tmp_path) == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_what_came_after_a_checkpoint_is_cut_off_and_later_sessions_files_go(tmp_path):
    first = EventFile(tmp_path)
    first.add_scalar("a", 1.0, 1)
    sizes = sizes_of_event_files(tmp_path)
    first.add_scalar("a", 2.0, 2)
    EventFile(tmp_path).add_scalar("a", 3.0, 3)
    (tmp_path / "notes.txt").write_text("mine")
    cut_event_files(tmp_path, sizes)
    assert scalars(tmp_path) == [(1, 1.0)]
    assert (tmp_path / "notes.txt").exists()
    EventFile(tmp_path).add_scalar("a", 2.5, 2)
    assert scalars(tmp_path) == [(1, 1.0), (2, 2.5)]


def test_a_file_that_is_shorter_than_it_was_is_left_alone(tmp_path):
    events = EventFile(tmp_path)
    events.add_scalar("a", 1.0, 1)
    sizes = {name: size + 100 for name, size in sizes_of_event_files(tmp_path).items()}
    cut_event_files(tmp_path, sizes)
    assert scalars(tmp_path) == [(1, 1.0)]


def test_a_folder_without_files_has_nothing_to_cut(tmp_path):
    cut_event_files(tmp_path / "summaries", {})
    assert sizes_of_event_files(tmp_path / "summaries") == {}


def test_events_that_a_full_disk_refuses_are_missing_and_the_others_readable(tmp_path, monkeypatch):
    events, append = EventFile(tmp_path), AppendFile.append
    monkeypatch.setattr(AppendFile, "append", lambda self, piece: self._lose(OSError("full")))
    events.add_scalar("a", 1.0, 1)
    monkeypatch.setattr(AppendFile, "append", append)
    events.add_scalar("a", 2.0, 2)
    assert scalars(tmp_path) == [(2, 2.0)]


@pytest.mark.parametrize("value", ["text", torch.zeros(2)])
def test_what_is_no_scalar_is_an_error_of_the_caller(tmp_path, value):
    with pytest.raises((AssertionError, ValueError, NotImplementedError, TypeError, ImportError)):
        EventFile(Path(tmp_path)).add_scalar("a", value, 1)
