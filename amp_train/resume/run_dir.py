"""The run directory: its name, finding it again in a batch job, its lock, and checking that it can be written."""

import contextlib
import errno
import fcntl
import logging
import os
import socket
import sys
import tempfile
import time
from pathlib import Path, PurePath
from typing import Any, Mapping, NamedTuple, Optional, TextIO

from amp_train.config.schema import Config
from amp_train.errors import CheckpointError, ConfigError
from amp_train.untrusted import check_no_way_out, printable

logger = logging.getLogger(__name__)

AUTO, NEVER = "auto", "never"
INTERACTIVE_JOBS = ("interactive", "bash", "sh", "zsh")  # what salloc and `srun --pty bash` call a job
CHECKPOINT_SUFFIXES = (".pth", ".state", ".json")
LOCK_NAME = ".lock"
OTHERS_FOLDER = "wandb"  # wandb links from there to its logs; it begins a new folder there, and nothing else is opened
TAKEN = (errno.EWOULDBLOCK, errno.EACCES)
PROBE_BYTES = 1 << 20  # a full disk still takes an empty file


class ResumeTarget(NamedTuple):
    """Where to look for a training to continue."""

    run_dir: Path
    checkpoint_name: Optional[str] = None  # this one; None: the newest intact one
    must_exist: bool = False  # else a new training starts if there is nothing


def make_run_dir(cfg: Config, job_number: Optional[int] = None) -> Path:
    """Create <train_dir>/<experiment>/ and note its name in `cfg.experiment`.

    Args:
        cfg: without an `experiment`, the name is task_motion_date, numbered if that is taken.
        job_number: of a sweep; the jobs of one must not share a directory.

    Raises:
        ConfigError: a name that leads elsewhere, a directory that cannot be written or contains another training.
    """
    try:
        if cfg.experiment:
            path = named_run_dir(cfg, job_number)
            if any((path / "nn").glob("*.pth")) and resume_mode(cfg) != AUTO:
                raise ConfigError(
                    f"Run directory '{path}' already contains a training. Choose another experiment=, or continue it "
                    f"with resume={path}."
                )
            path.mkdir(parents=True, exist_ok=True)
        else:
            date = time.strftime("%Y-%m-%d_%H-%M-%S")
            name = f"{cfg.task.name}_{cfg.motion.name}_{date}{_suffix(job_number)}"
            path = _fresh(Path(cfg.train_dir) / name)
    except OSError as error:
        raise ConfigError(
            f"Cannot create a run directory in train_dir='{cfg.train_dir}': {error.strerror or error}."
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
        raise ConfigError(f"experiment='{cfg.experiment}' must be a plain name; set the folder with train_dir=.")
    return Path(cfg.train_dir) / name


def resume_mode(cfg: Config, environ: Mapping[str, str] = os.environ) -> str:
    """Return `auto`, `never` or the path given; without one, `auto` in a batch job, which may be requeued."""
    if cfg.resume:
        return cfg.resume
    return AUTO if batch_job(environ) else NEVER


def batch_job(environ: Mapping[str, str] = os.environ) -> Optional[str]:
    """Return a name for the SLURM batch job this runs in, the same after a requeue; None outside one.

    An interactive allocation does not count: a command typed twice there means two trainings.
    """
    job, task = environ.get("SLURM_JOB_ID"), environ.get("SLURM_ARRAY_TASK_ID")
    is_interactive = environ.get("SLURM_JOB_NAME") in INTERACTIVE_JOBS or (sys.stdin is not None and sys.stdin.isatty())
    if not job or is_interactive:
        return None
    return f"job{job}" if task is None else f"job{environ.get('SLURM_ARRAY_JOB_ID', job)}_{task}"


def resume_target(
    cfg: Config, job_number: Optional[int] = None, environ: Mapping[str, str] = os.environ
) -> Optional[ResumeTarget]:
    """Return where to look for a training to continue, None to look nowhere.

    In a batch job without `experiment`, one is derived from the job and noted in `cfg`.

    Raises:
        UserError: `resume=auto` without a name, or a path that is not part of a run.
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
        cfg.experiment = f"{cfg.task.name}_{cfg.motion.name}_{job}"
    return ResumeTarget(named_run_dir(cfg, job_number))


def _target_at(path: Path, cfg: Config) -> ResumeTarget:
    if path.is_dir():
        run_dir, name = (path.parent if path.name == "nn" else path), None
    elif path.is_file() and path.name.endswith(CHECKPOINT_SUFFIXES) and path.resolve().parent.name == "nn":
        folder = path.parent if path.parent.name == "nn" else path.resolve().parent
        run_dir, name = folder.parent, _stem(path.name)
    else:
        raise CheckpointError(
            f"resume={path} is neither a run directory nor a checkpoint of one. Give runs/NAME, runs/NAME/nn/FILE.pth, "
            "auto or never."
        )
    if cfg.experiment and cfg.experiment != run_dir.resolve().name:
        raise ConfigError(
            f"resume={path} continues in its own run directory: leave experiment= out, or start a new training from "
            "its policy with checkpoint=."
        )
    return ResumeTarget(run_dir, name, must_exist=True)


def _stem(file_name: str) -> str:
    """Return a checkpoint's name from that of one of its files; names may contain dots."""
    return file_name.rpartition(".")[0].partition(".rank")[0]


def _suffix(job_number: Optional[int]) -> str:
    return "" if job_number is None else f"_{job_number}"


def _fresh(wanted: Path) -> Path:
    number = 1
    while True:
        path = wanted if number == 1 else wanted.with_name(f"{wanted.name}_{number}")
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            number += 1


class RunLock:
    """Holds a run directory for this process, as a context manager.

    The kernel drops the lock when the process ends, in whatever way; the file that stays means nothing by itself. Over
    NFS the lock works between machines.
    """

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / LOCK_NAME
        self._file: Optional[TextIO] = None

    def __enter__(self) -> "RunLock":
        """Take the lock.

        Raises:
            ConfigError: it contains links out of it, another process has it, or the directory cannot be written.
        """
        run_dir = self._path.parent
        try:
            check_no_way_out(run_dir, apart=(OTHERS_FOLDER,))
            self._file = self._path.open("a+", errors="replace")
        except OSError as error:
            raise ConfigError(f"Run directory '{run_dir}' cannot be written: {error.strerror or error}.") from error
        self._lock(self._file)
        _sign(self._file)
        return self

    def _lock(self, file: TextIO) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in TAKEN:
                holder = _holder(file)
                self.__exit__()
                raise ConfigError(
                    f"Run directory '{self._path.parent}' is in use by {holder}. Wait for it, or choose another "
                    "experiment=."
                ) from error
            logger.warning(
                "The file system of '%s' has no locks (%s): do not start a second training in this directory.",
                self._path.parent,
                error.strerror,
            )

    def __exit__(self, *_: Any) -> None:
        """Let go of the directory."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _sign(file: TextIO) -> None:
    """Write the owner into the lock file; on a full disk it stays unnamed."""
    try:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
    except OSError as error:
        logger.warning("The lock of the run directory does not name its owner: %s.", error.strerror)


def _holder(file: TextIO) -> str:
    file.seek(0)
    return printable(file.read(200).strip()) or "another process"


def check_writable(folder: Path) -> None:
    """Write and remove a small file where `folder` is or will be.

    Raises:
        ConfigError: it cannot be written.
    """
    existing = next(path for path in [folder.absolute(), *folder.absolute().parents] if path.exists())
    try:
        _write_probe(existing)
    except OSError as error:
        raise ConfigError(
            f"'{existing}' cannot be written: {error.strerror or error}. Free space or set another train_dir=."
        ) from error


def _write_probe(folder: Path) -> None:
    descriptor, path = tempfile.mkstemp(prefix=".probe_", dir=str(folder))
    try:
        with open(descriptor, "wb", buffering=0) as file:
            written = file.write(bytes(PROBE_BYTES))
            file.write(bytes(PROBE_BYTES - written))  # says why the first was short
            os.fsync(descriptor)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)
