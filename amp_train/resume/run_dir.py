"""The run's name and directory: one training, one directory, nothing overwritten, found again by a batch job."""

import os
import sys
import time
from pathlib import Path, PurePath
from typing import Mapping, NamedTuple, Optional

from amp_train.config.schema import Config
from amp_train.errors import CheckpointError, ConfigError

AUTO, NEVER = "auto", "never"
INTERACTIVE_JOBS = ("interactive", "bash", "sh", "zsh")  # what salloc and `srun --pty bash` call a job
CHECKPOINT_SUFFIXES = (".pth", ".state", ".json")


class ResumeTarget(NamedTuple):
    """Where to look for a training to continue."""

    run_dir: Path
    checkpoint_name: Optional[str] = None  # this one; None: the newest that is whole
    must_exist: bool = False  # else a new training begins where there is nothing


def make_run_dir(cfg: Config, job_number: Optional[int] = None) -> Path:
    """Create <train_dir>/<experiment>/ and note its name in `cfg.experiment`.

    Args:
        cfg: without an `experiment`, the name is task_motion_date, numbered if that is taken.
        job_number: of a sweep; the jobs of one must not share a directory.

    Raises:
        ConfigError: a name that leads elsewhere, a directory that cannot be written or holds another training.
    """
    try:
        if cfg.experiment:
            path = named_run_dir(cfg, job_number)
            if any((path / "nn").glob("*.pth")) and resume_mode(cfg) != AUTO:
                raise ConfigError(
                    "Run directory '{0}' already holds a training. Choose another experiment=, or continue it with "
                    "resume={0}.".format(path)
                )
            path.mkdir(parents=True, exist_ok=True)
        else:
            date = time.strftime("%Y-%m-%d_%H-%M-%S")
            name = "{}_{}_{}{}".format(cfg.task.name, cfg.motion.name, date, _suffix(job_number))
            path = _fresh(Path(cfg.train_dir) / name)
    except OSError as error:
        raise ConfigError(
            "Cannot create a run directory in train_dir='{}': {}.".format(cfg.train_dir, error.strerror or error)
        ) from error
    cfg.experiment = path.relative_to(cfg.train_dir).as_posix()
    return path


def named_run_dir(cfg: Config, job_number: Optional[int] = None) -> Path:
    """Return the directory that `cfg.experiment` stands for, existing or not.

    Raises:
        ConfigError: a name that leads elsewhere.
    """
    name = PurePath(str(cfg.experiment) + _suffix(job_number))
    if name.is_absolute() or ".." in name.parts:
        raise ConfigError("experiment='{}' must be a plain name; train_dir= says where it goes.".format(cfg.experiment))
    return Path(cfg.train_dir) / name


def resume_mode(cfg: Config, environ: Mapping[str, str] = os.environ) -> str:
    """Return `auto`, `never` or the path given; without one, `auto` in a batch job, which may be run again."""
    if cfg.resume:
        return cfg.resume
    return AUTO if batch_job(environ) else NEVER


def batch_job(environ: Mapping[str, str] = os.environ) -> Optional[str]:
    """Return a name for the SLURM batch job this runs in, the same after a requeue; None outside one.

    An interactive allocation is none: what is typed twice there means two trainings.
    """
    job, task = environ.get("SLURM_JOB_ID"), environ.get("SLURM_ARRAY_TASK_ID")
    is_interactive = environ.get("SLURM_JOB_NAME") in INTERACTIVE_JOBS or (sys.stdin is not None and sys.stdin.isatty())
    if not job or is_interactive:
        return None
    return "job{}".format(job) if task is None else "job{}_{}".format(environ.get("SLURM_ARRAY_JOB_ID", job), task)


def resume_target(
    cfg: Config, job_number: Optional[int] = None, environ: Mapping[str, str] = os.environ
) -> Optional[ResumeTarget]:
    """Return where to look for a training to continue, None to look nowhere.

    In a batch job without `experiment`, one is derived from the job and noted in `cfg`.

    Raises:
        UserError: `resume=auto` without a name, or a path that is none of a run.
    """
    mode = resume_mode(cfg, environ)
    if mode == NEVER:
        return None
    if mode != AUTO:
        return _target_at(Path(mode), cfg)
    if not cfg.experiment:
        job = batch_job(environ)
        if job is None:
            raise ConfigError("resume=auto needs a name to find the training again: give experiment=NAME.")
        cfg.experiment = "{}_{}_{}".format(cfg.task.name, cfg.motion.name, job)
    return ResumeTarget(named_run_dir(cfg, job_number))


def _target_at(path: Path, cfg: Config) -> ResumeTarget:
    if path.is_dir():
        run_dir, name = (path.parent if path.name == "nn" else path), None
    elif path.is_file() and path.name.endswith(CHECKPOINT_SUFFIXES) and path.resolve().parent.name == "nn":
        folder = path.parent if path.parent.name == "nn" else path.resolve().parent
        run_dir, name = folder.parent, _stem(path.name)
    else:
        raise CheckpointError(
            "resume={} is neither a run directory nor a checkpoint of one. Give runs/NAME, runs/NAME/nn/FILE.pth, auto "
            "or never.".format(path)
        )
    if cfg.experiment and cfg.experiment != run_dir.resolve().name:
        raise ConfigError(
            "resume={} goes on in its own run directory: leave experiment= out, or start a new training from its "
            "policy with checkpoint=.".format(path)
        )
    return ResumeTarget(run_dir, name, must_exist=True)


def _stem(file_name: str) -> str:
    """Return a checkpoint's name from that of one of its files; names may hold dots."""
    return file_name.rpartition(".")[0].partition(".rank")[0]


def _suffix(job_number: Optional[int]) -> str:
    return "" if job_number is None else "_{}".format(job_number)


def _fresh(wanted: Path) -> Path:
    number = 1
    while True:
        path = wanted if number == 1 else wanted.with_name("{}_{}".format(wanted.name, number))
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            number += 1
