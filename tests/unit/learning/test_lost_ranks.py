"""A rank that ends, hangs or never comes brings the others down in a bounded time, and they say which one it was."""

import time
from pathlib import Path

from launch_ranks import start_ranks, wait_for

WORKER = str(Path(__file__).with_name("rank_fault_worker.py"))
START_S = 120.0  # that processes may take to start on a busy machine, beside what is measured


def test_an_error_on_one_rank_is_told_to_the_others(tmp_path):
    processes = start_ranks([WORKER, "raise", "60"], 3, tmp_path)
    ended = wait_for(processes, START_S)
    assert [e.returncode for e in ended] == [3, 1, 3]
    assert "threads at the end" in ended[1].output and "rank-watch" not in ended[1].output
    for survivor in (0, 2):
        expected = f"Rank {survivor} cannot continue: rank 1 ("
        assert ended[survivor].output.startswith(expected), ended[survivor].output
        assert f"process {processes[1].pid}): ValueError: a loss of nan." in ended[survivor].output


def end_of(survivor, hanging):
    """Wait for a rank to give up the one that hangs; return what it printed."""
    try:
        return survivor.communicate(timeout=START_S)[0]
    finally:
        survivor.kill()
        hanging.kill()
        hanging.communicate()


def test_a_killed_rank_is_named(tmp_path):
    processes = start_ranks([WORKER, "kill", "60"], 2, tmp_path)
    ended = wait_for(processes, START_S)
    assert [e.returncode for e in ended] == [3, -9]
    assert f"process {processes[1].pid}) does not respond" in ended[0].output


def test_a_rank_that_hangs_is_given_up_after_the_timeout(tmp_path):
    processes = start_ranks([WORKER, "hang", "4"], 2, tmp_path)
    survivor, hanging = processes
    output = end_of(survivor, hanging)
    assert survivor.returncode == 3
    assert f"process {hanging.pid}) does not respond" in output


def test_a_rank_that_never_comes_is_named(tmp_path):
    (alone, *others) = start_ranks([WORKER, "none", "3", "3"], 2, tmp_path)
    for other in others:
        other.kill()  # long before it has loaded torch
        other.communicate()
    started_s = time.monotonic()
    (ended,) = wait_for([alone], START_S)
    assert time.monotonic() - started_s < START_S
    assert ended.returncode == 3
    assert ended.output == "Of 2 processes, rank 1 did not connect within 3 s."


def test_the_others_wait_while_the_first_rank_measures_or_saves(tmp_path):
    ended = wait_for(start_ranks([WORKER, "first_works_alone", "4"], 2, tmp_path), START_S)
    assert [e.returncode for e in ended] == [0, 0], ended


def test_a_rank_that_waits_patiently_is_not_left_waiting(tmp_path):
    """While the first rank works alone, the others wait for up to half an hour; a silent rank ends them sooner."""
    survivor, hanging = start_ranks([WORKER, "hang_where_others_are_patient", "3"], 2, tmp_path)
    output = end_of(survivor, hanging)
    assert survivor.returncode == 3
    assert f"process {hanging.pid}) does not respond (silent for 11 s). Rank 0 stops too." in output
