"""Signals and time limits become a reason to stop, and nothing else changes."""

import copy
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from amp_train.runner.stopping import BATCH_END_VARIABLE, StopRequest

NO_JOB = {}
CHILD = """
import os, signal, sys, time
sys.path.insert(0, {repository!r})
from amp_train.runner.stopping import StopRequest
with StopRequest(None, {{}}) as stop:
    print("ready", flush=True)
    for _ in range(500):
        time.sleep(0.01)
        if stop() and {leaves!r}:
            print("saved", stop(), flush=True)
            break
"""
REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def not_ignored():
    """Undo what a shell in the background or nohup did to the tests themselves."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _signals_as_in_a_terminal():
    former = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGINT)}
    not_ignored()
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


def child(leaves, before=lambda: None):
    """Start a program that listens; `leaves` says whether it heeds the wish to stop, `before` runs in it first."""
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", CHILD.format(repository=REPOSITORY, leaves=leaves)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGHUP", "SIGINT"])
def test_a_signal_is_a_reason_to_stop_and_not_the_end(name, capfd):
    with StopRequest(environ=NO_JOB) as stop:
        assert stop() is None
        os.kill(os.getpid(), getattr(signal, name))
        assert stop() == name
    assert name in capfd.readouterr().err


def test_former_handlers_are_given_back():
    names = ("SIGTERM", "SIGUSR1", "SIGHUP", "SIGINT")
    before = [signal.getsignal(getattr(signal, name)) for name in names]
    with StopRequest(environ=NO_JOB):
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert [signal.getsignal(getattr(signal, name)) for name in names] == before


def test_the_first_signal_is_the_reason_and_a_ctrl_c_after_sigterm_does_not_end_at_once():
    with StopRequest(environ=NO_JOB) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert stop() == "SIGTERM"
        os.kill(os.getpid(), signal.SIGINT)  # a first one
        assert stop() == "SIGINT"


def test_a_second_ctrl_c_kills_at_once():
    process = child(leaves=False)
    process.send_signal(signal.SIGINT)
    assert "again" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(3.0) == -signal.SIGINT  # it would run for 5 s
    assert "Traceback" not in process.stderr.read()


def test_the_work_in_progress_is_finished_after_a_signal():
    process = child(leaves=True)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=5.0)
    assert (out, process.returncode) == ("saved SIGTERM\n", 0)


def test_what_nohup_switched_off_stays_off():
    process = child(leaves=True, before=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    assert process.poll() is None
    process.send_signal(signal.SIGUSR1)
    assert process.communicate(timeout=5.0)[0] == "saved SIGUSR1\n"


def test_a_signal_that_a_batch_system_blocked_is_heard():
    block = {signal.SIGUSR1, signal.SIGTERM}
    process = child(leaves=True, before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, block))
    process.send_signal(signal.SIGUSR1)
    assert process.communicate(timeout=5.0)[0] == "saved SIGUSR1\n"


def test_time_limits_are_reasons_to_stop_with_their_own_words(monkeypatch):
    now_s = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    monkeypatch.setattr(time, "time", lambda: 5000.0 + now_s[0])
    own, batch = StopRequest(60, NO_JOB), StopRequest(None, {BATCH_END_VARIABLE: "7000"})
    short = StopRequest(None, {BATCH_END_VARIABLE: "6100"})
    assert own() is batch() is short() is None
    now_s[0] = 1059.0
    assert own() is None
    now_s[0] = 1060.0
    assert own() == "max_time_s=60" and own.only_this_job
    now_s[0] = 1089.0
    assert short() is None  # a tenth of 100 s is kept free
    now_s[0] = 1090.0
    assert short() == "the batch job's time limit"
    now_s[0] = 1939.0
    assert batch() is None  # a minute is kept free
    now_s[0] = 1940.0
    assert batch() == "the batch job's time limit" and not batch.only_this_job


@pytest.mark.parametrize("environ", [{}, {BATCH_END_VARIABLE: ""}, {BATCH_END_VARIABLE: "N/A"}])
def test_without_a_readable_end_of_the_batch_job_there_is_no_limit(environ):
    assert StopRequest(None, environ)() is None


def test_a_job_whose_end_has_passed_stops_after_one_iteration():
    assert StopRequest(None, {BATCH_END_VARIABLE: str(time.time() - 5)})() is not None


def test_outside_the_main_thread_only_time_counts():
    reasons = []

    def listen():
        with StopRequest(0.0, NO_JOB) as stop:
            reasons.append(stop())

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert reasons == ["max_time_s=0"]


def test_a_copied_configuration_still_hears():
    stop = StopRequest(environ=NO_JOB)
    assert copy.deepcopy({"stop_reason": stop})["stop_reason"] is stop
