"""Hydra's SLURM launcher: what is said when it is not supported, and a job that saves before it is requeued."""

import importlib.util
import os
import signal
import sys

import pytest

from amp_train.cli import slurm_launcher
from amp_train.cli.slurm_launcher import SweepJobError, check_launcher, saved_before_requeue, sweep_errors
from amp_train.config import check_sweep
from amp_train.config.overrides import parse_overrides
from amp_train.errors import ConfigError, MissingPackageError
from amp_train.runner.stopping import EXIT_STOPPED, StopRequest

SLURM = ["hydra/launcher=slurm", "seed=1,2"]


@pytest.fixture
def installed(monkeypatch):
    """Pretend that the launcher's package and SLURM's commands are there, or not."""

    def pretend(package=True, commands=True):
        monkeypatch.setattr(slurm_launcher.importlib.util, "find_spec", lambda name: object() if package else None)
        monkeypatch.setattr(slurm_launcher.shutil, "which", lambda name: "/bin/" + name if commands else None)

    return pretend


def test_the_launcher_is_recognised(installed):
    installed()
    assert check_launcher(parse_overrides(SLURM), multirun=True)
    assert not check_launcher(parse_overrides(["seed=1,2"]), multirun=True)
    assert not check_launcher(parse_overrides(["hydra/launcher=basic", "seed=1,2"]), multirun=True)


@pytest.mark.parametrize(
    "there, multirun, error, said",
    [
        ({"package": False}, True, MissingPackageError, r"pip install 'amp_train\[slurm\]'"),
        ({}, False, ConfigError, "amp-train -m hydra/launcher=slurm"),
        ({"commands": False}, True, ConfigError, "sbatch"),
    ],
)
def test_a_launcher_that_cannot_be_had_is_one_line(installed, there, multirun, error, said):
    installed(**there)
    with pytest.raises(error, match=said):
        check_launcher(parse_overrides(SLURM), multirun)


needs_launcher = pytest.mark.skipif(
    importlib.util.find_spec(slurm_launcher.PLUGIN) is None, reason="hydra-submitit-launcher is not installed"
)


@needs_launcher
def test_the_launchers_settings_are_checked_like_all_others():
    check_sweep([*SLURM, "hydra.launcher.timeout_min=10", "hydra.launcher.partition=gpu"])
    with pytest.raises(ConfigError, match="timeout_minutes"):
        check_sweep([*SLURM, "hydra.launcher.timeout_minutes=10"])


@needs_launcher
@pytest.mark.parametrize(
    "text, kind, said",
    [
        ("sbatch: error: invalid partition specified: nope\nsbatch: error: failed", ConfigError, "specified: nope"),
        ("Job 12_1 was CANCELLED\nTraceback\nlog is empty", SweepJobError, "log is empty"),
    ],
)
def test_what_submitit_raises_is_one_line(text, kind, said):
    from submitit.core.utils import FailedJobError

    with pytest.raises(kind, match=said) as caught, sweep_errors():
        raise FailedJobError(text)
    assert "\n" not in str(caught.value)


def test_other_errors_keep_their_traceback():
    with pytest.raises(ZeroDivisionError), sweep_errors():
        raise ZeroDivisionError


@pytest.fixture
def in_submitit(monkeypatch):
    """A job of submitit: its handler listens to USR2; gives the list of what it heard."""
    heard = []
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    monkeypatch.setattr(slurm_launcher, "_slurm_ends_job", lambda: False)
    former = signal.signal(signal.SIGUSR2, lambda number, frame: heard.append(number))
    yield heard
    signal.signal(signal.SIGUSR2, former)


def test_a_training_is_saved_before_submitit_requeues_it(in_submitit):
    with pytest.raises(SystemExit), saved_before_requeue(), StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGUSR2)
        assert stop() == "SIGUSR1"
        assert in_submitit == []
        sys.exit(EXIT_STOPPED)
    assert in_submitit == [signal.SIGUSR2]


def test_before_there_is_anything_to_save_submitit_requeues_at_once(in_submitit):
    with saved_before_requeue():
        os.kill(os.getpid(), signal.SIGUSR2)
        assert in_submitit == [signal.SIGUSR2]


def test_what_scancel_ended_is_not_requeued(in_submitit, monkeypatch):
    monkeypatch.setattr(slurm_launcher, "_slurm_ends_job", lambda: True)
    with pytest.raises(SystemExit), saved_before_requeue():
        sys.exit(EXIT_STOPPED)
    assert in_submitit == []


def test_a_failed_job_is_told_to_the_sweep_and_not_requeued(in_submitit):
    with pytest.raises(SweepJobError, match="Exit code 2"), saved_before_requeue():
        sys.exit(2)
    assert in_submitit == []


def test_a_failed_job_says_where_its_output_is(in_submitit, monkeypatch):
    monkeypatch.setenv("SUBMITIT_FOLDER", "runs/sweeps/now/.submitit/%j")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    with pytest.raises(SweepJobError, match="in runs/sweeps/now/.submitit/12_3 says why"), saved_before_requeue():
        sys.exit(3)


def test_the_handler_of_submitit_is_given_back(in_submitit):
    former = signal.getsignal(signal.SIGUSR2)
    with saved_before_requeue():
        assert signal.getsignal(signal.SIGUSR2) is not former
    assert signal.getsignal(signal.SIGUSR2) is former


def test_outside_submitit_nothing_changes(monkeypatch):
    monkeypatch.delenv("SUBMITIT_EXECUTOR", raising=False)
    former = signal.getsignal(signal.SIGUSR2)
    with pytest.raises(SystemExit) as caught, saved_before_requeue():
        assert signal.getsignal(signal.SIGUSR2) is former
        sys.exit(EXIT_STOPPED)
    assert caught.value.code == EXIT_STOPPED


@pytest.mark.parametrize(
    "printed, ends",
    [("RUNNING None", False), ("COMPLETING None", True), ("COMPLETING TimeLimit", False), ("", False)],
)
def test_slurm_is_asked_whether_it_ends_the_job(monkeypatch, tmp_path, printed, ends):
    squeue = tmp_path / "squeue"
    squeue.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/asked\necho "{printed}"\n')
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert slurm_launcher._slurm_ends_job() is ends
    assert "--jobs=12_3" in (tmp_path / "asked").read_text()


def test_without_slurm_nobody_ends_the_job(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert slurm_launcher._slurm_ends_job() is False
