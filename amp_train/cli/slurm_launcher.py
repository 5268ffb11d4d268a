"""Sweeps through Hydra's SLURM launcher (`amp-train -m hydra/launcher=slurm ...`): each job of a sweep is a batch job.

The launcher is the package hydra-submitit-launcher. Before a job's time is up, submitit gets a signal and puts the job
back into the queue; here the training is saved first, and the requeued job continues it (resume=auto).
"""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from types import FrameType
from typing import Iterator, Optional, Sequence

from hydra.core.override_parser.types import Override

from amp_train.errors import ConfigError, MissingPackageError, TrainingError
from amp_train.runner.stopping import EXIT_STOPPED

LAUNCHER_GROUP, LAUNCHERS = "hydra/launcher", ("slurm", "submitit_slurm")
PLUGIN = "hydra_plugins.hydra_submitit_launcher"
STATE_TIMEOUT_S = 30.0

REFUSED = "sbatch: error: "


class SweepJobError(TrainingError):
    """One job of a sweep failed; raised in the command that waits for the sweep."""


def check_launcher(overrides: Sequence[Override], multirun: bool) -> bool:
    """Return whether a command line asks for SLURM's launcher, and check that it is available.

    Raises:
        MissingPackageError: the launcher is not installed.
        ConfigError: there is no sweep, or no SLURM on this machine.
    """
    chosen = [o.value() for o in overrides if o.key_or_group == LAUNCHER_GROUP]
    if not chosen or chosen[-1] not in LAUNCHERS:
        return False
    option = f"{LAUNCHER_GROUP}={chosen[-1]}"
    if importlib.util.find_spec(PLUGIN) is None:
        raise MissingPackageError(f"{option} needs another package: pip install 'amp_train[slurm]'.")
    if not multirun:
        raise ConfigError(f"{option} launches sweeps: add -m, as in amp-train -m {option} seed=1,2,3.")
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise ConfigError(
            f"{option} needs SLURM's commands sbatch and srun, which are not installed here. Run it on the cluster's "
            "login node, or leave it out to train here, one job after another."
        )
    return True


@contextlib.contextmanager
def sweep_errors() -> Iterator[None]:
    """Turn what submitit raises in the command that waits for a sweep into one line.

    Raises:
        ConfigError: SLURM refused the jobs.
        SweepJobError: a job was cancelled, or ended without a message.
    """
    try:
        yield
    except Exception as error:
        submitit = sys.modules.get("submitit.core.utils")
        if submitit is None or not isinstance(error, (submitit.FailedJobError, submitit.UncompletedJobError)):
            raise
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        if lines[0].startswith(REFUSED):
            refusal = lines[0][len(REFUSED) :].rstrip(".")
            raise ConfigError(f"SLURM refused the sweep: {refusal}.") from error
        raise SweepJobError(f"A job of the sweep did not finish: {' '.join(lines[-2:])}") from error


@contextlib.contextmanager
def saved_before_requeue() -> Iterator[None]:
    """Inside a job of submitit, let its signal stop and save the training first; elsewhere do nothing.

    Raises:
        SweepJobError: the training failed; submitit passes this exception on.
    """
    if "SUBMITIT_EXECUTOR" not in os.environ:
        yield
        return
    number = getattr(signal, "SIG" + os.environ.get("SUBMITIT_PREEMPT_SIGNAL", "USR2"))
    requeue = signal.getsignal(number)

    def save_first(number: int, frame: Optional[FrameType]) -> None:
        if callable(signal.getsignal(signal.SIGUSR1)):  # a training runs, and ends with EXIT_STOPPED at this
            os.kill(os.getpid(), signal.SIGUSR1)
        elif callable(requeue):
            requeue(number, frame)

    signal.signal(number, save_first)
    try:
        yield
    except SystemExit as end:
        if end.code == EXIT_STOPPED:
            if callable(requeue) and not _slurm_ends_job():
                requeue(number, None)
            raise
        if end.code:
            folder = os.environ.get("SUBMITIT_FOLDER", "").replace("%j", _job_id())
            raise SweepJobError(f"Exit code {end.code}; the job's output in {folder} says why.") from end
    finally:
        signal.signal(number, requeue)


def _slurm_ends_job() -> bool:
    """Return whether SLURM is ending this job: by scancel, or by preemption, after which it requeues the job itself."""
    command = ["squeue", "--noheader", "--jobs=" + _job_id(), "--format=%T %r"]
    try:
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=STATE_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return False
    state = result.stdout.strip()
    return state.startswith("COMPLETING") and state != "COMPLETING TimeLimit"


def _job_id() -> str:
    if os.environ.get("SLURM_ARRAY_JOB_ID"):  # the bare id of an array's last task means the whole array
        return f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    return os.environ.get("SLURM_JOB_ID", "")
