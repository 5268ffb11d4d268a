"""wandb can be missing, broken or slow: the training hears of it once and goes on."""

import logging
import signal
import subprocess
import threading
import time

import pytest

from amp_train.telemetry import WandbSink


class Run:
    def __init__(self, fail_on=(), wait_for=None):
        self.calls, self._fail_on, self._wait_for = [], fail_on, wait_for

    def log(self, scalars, step):
        self._do("log", (scalars, step))

    def finish(self):
        self._do("finish", None)

    def _do(self, name, value):
        if self._wait_for is not None:
            self._wait_for.wait(5.0)
        if name in self._fail_on:
            raise RuntimeError("wandb is down\nwith a long story")
        self.calls.append((name, value))


class Wandb:
    def __init__(self, run=None, error=None):
        self.run, self._error, self.init_args = run, error, None

    def init(self, **kwargs):
        if self._error is not None:
            raise self._error
        self.init_args = kwargs
        return self.run


def use(sink, caplog):
    with caplog.at_level(logging.WARNING):
        for step in range(3):
            sink.log({"losses/a": float(step)}, step)
        sink.close()
    return [record.getMessage() for record in caplog.records]


def test_scalars_arrive_in_order_and_the_run_is_finished(caplog):
    wandb = Wandb(Run())
    assert use(WandbSink({"project": "p"}, wandb), caplog) == []
    assert wandb.init_args == {"project": "p"}
    assert [call[0] for call in wandb.run.calls] == ["log", "log", "log", "finish"]
    assert wandb.run.calls[1] == ("log", ({"losses/a": 1.0}, 1))


@pytest.mark.parametrize("error", [RuntimeError("no network"), SystemExit("no network"), ImportError("no network")])
def test_a_run_that_cannot_start_is_one_warning(caplog, error):
    (warning,) = use(WandbSink({}, Wandb(error=error)), caplog)
    assert "no network" in warning and "training continues" in warning


@pytest.mark.parametrize("call", ["log", "finish"])
def test_a_run_that_breaks_is_one_warning_of_one_line(caplog, call):
    (warning,) = use(WandbSink({}, Wandb(Run(fail_on=[call]))), caplog)
    assert "wandb is down" in warning and "\n" not in warning


def test_a_service_that_hangs_stops_neither_the_training_nor_its_end(caplog):
    release = threading.Event()
    sink = WandbSink({}, Wandb(Run(wait_for=release)), close_timeout_s=0.05)
    started_s = time.perf_counter()
    (warning,) = use(sink, caplog)
    assert time.perf_counter() - started_s < 1.0  # it would wait for 5 s
    assert "did not finish" in warning
    release.set()


def test_a_service_that_does_not_keep_up_is_dropped(caplog, monkeypatch):
    monkeypatch.setattr("amp_train.telemetry.wandb_sink.MAX_WAITING", 2)
    release = threading.Event()
    sink = WandbSink({}, Wandb(Run(wait_for=release)), close_timeout_s=0.05)
    with caplog.at_level(logging.WARNING):
        for step in range(10):
            sink.log({}, step)
    assert [record.getMessage().split(": ")[1] for record in caplog.records] == ["it does not keep up"]
    release.set()
    sink.close()


def test_a_hanging_service_is_killed_at_the_programs_end_and_nothing_else_is(monkeypatch, caplog):
    monkeypatch.setattr("amp_train.telemetry.wandb_sink.EXIT_TIMEOUT_S", 0.05)
    at_exit, release = [], threading.Event()
    monkeypatch.setattr("atexit.register", at_exit.append)
    service = subprocess.Popen(["bash", "-c", "exec -a wandb-core sleep 20"])
    other = subprocess.Popen(["sleep", "20"])
    try:
        sink = WandbSink({}, Wandb(Run(wait_for=release)), close_timeout_s=0.05)
        use(sink, caplog)
        assert service.poll() is None  # until the end wandb may go on
        (end,) = at_exit
        end()
        assert service.wait(5.0) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        release.set()
        for process in (service, other):
            process.kill()
            process.wait()
