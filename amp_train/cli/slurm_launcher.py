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
from types import FrameType
from typing import Iterator, Optional, Sequence

from hydra.core.override_parser.types import Override

from amp_train.errors import AmpTrainError, ConfigError, MissingPackageError
from amp_train.integration.stopping import EXIT_STOPPED

LAUNCHER_GROUP, LAUNCHERS = "hydra/launcher", ("slurm", "submitit_slurm")
PLUGIN = "hydra_plugins.hydra_submitit_launcher"
STATE_TIMEOUT_S = 30.0


class SweepJobError(AmpTrainError):
    """One job of a sweep came to nothing; raised where submitit tells it to the command that waits for the sweep."""


def check_launcher(overrides: Sequence[Override], multirun: bool) -> bool:
    """Return whether a command line asks for SLURM's launcher, and check that it can be had.

    Raises:
        MissingPackageError: the launcher is not installed.
        ConfigError: there is no sweep, or no SLURM on this machine.
    """
    chosen = [o.value() for o in overrides if o.key_or_group == LAUNCHER_GROUP]
    if not chosen or chosen[-1] not in LAUNCHERS:
        return False
    option = "{}={}".format(LAUNCHER_GROUP, chosen[-1])
    if importlib.util.find_spec(PLUGIN) is None:
        raise MissingPackageError("{} needs a package: pip install 'amp_train[slurm]'.".format(option))
    if not multirun:
        raise ConfigError("{} launches sweeps: add -m, as in amp-train -m {} seed=1,2,3.".format(option, option))
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise ConfigError(
            "{} needs SLURM's commands sbatch and srun, which are not on this machine. Run it on the cluster's login "
            "node, or leave it out to train here, one job after another.".format(option)
        )
    return True


@contextlib.contextmanager
def saved_before_requeue() -> Iterator[None]:
    """Inside a job of submitit, let its signal stop and save the training first; elsewhere do nothing.

    Raises:
        SweepJobError: the training failed, said in a way that submitit passes on.
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
            text = "Exit code {}; the output of the job, in {}, says why."
            raise SweepJobError(text.format(end.code, os.environ.get("SUBMITIT_FOLDER"))) from end
    finally:
        signal.signal(number, requeue)


def _slurm_ends_job() -> bool:
    """Return whether SLURM is ending this job: by scancel, or by preemption, after which it requeues the job itself."""
    job = os.environ.get("SLURM_JOB_ID", "")
    if os.environ.get("SLURM_ARRAY_JOB_ID"):  # the bare id of an array's last task means the whole array
        job = "{SLURM_ARRAY_JOB_ID}_{SLURM_ARRAY_TASK_ID}".format(**os.environ)
    command = ["squeue", "--noheader", "--jobs=" + job, "--format=%T %r"]
    try:
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=STATE_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return False
    state = result.stdout.strip()
    return state.startswith("COMPLETING") and state != "COMPLETING TimeLimit"
