"""The run's name and directory: one training, one directory, nothing overwritten."""

import time
from pathlib import Path, PurePath
from typing import Optional

from amp_train.config.schema import Config
from amp_train.errors import ConfigError


def make_run_dir(cfg: Config, job_number: Optional[int] = None) -> Path:
    """Create <train_dir>/<experiment>/ and note its name in `cfg.experiment`.

    Args:
        cfg: without an `experiment`, the name is task_motion_date, numbered if that is taken.
        job_number: of a sweep; the jobs of one must not share a directory.

    Raises:
        ConfigError: a name that leads elsewhere, a directory that cannot be written or holds another training.
    """
    suffix = "" if job_number is None else "_{}".format(job_number)
    try:
        if cfg.experiment:
            path = _named(cfg, suffix)
            path.mkdir(parents=True, exist_ok=True)
        else:
            date = time.strftime("%Y-%m-%d_%H-%M-%S")
            path = _fresh(Path(cfg.train_dir) / "{}_{}_{}{}".format(cfg.task.name, cfg.motion.name, date, suffix))
    except OSError as error:
        raise ConfigError(
            "Cannot create a run directory in train_dir='{}': {}.".format(cfg.train_dir, error.strerror or error)
        ) from error
    cfg.experiment = path.relative_to(cfg.train_dir).as_posix()
    return path


def _named(cfg: Config, suffix: str) -> Path:
    name = PurePath(str(cfg.experiment) + suffix)
    if name.is_absolute() or ".." in name.parts:
        raise ConfigError("experiment='{}' must be a plain name; train_dir= says where it goes.".format(cfg.experiment))
    path = Path(cfg.train_dir) / name
    continued = cfg.checkpoint is not None and path.resolve() in Path(cfg.checkpoint).resolve().parents
    if any((path / "nn").glob("*.pth")) and not continued:
        raise ConfigError(
            "Run directory '{0}' already holds a training. Choose another experiment=, or continue it with "
            "checkpoint={0}/nn/<file>.pth.".format(path)
        )
    return path


def _fresh(wanted: Path) -> Path:
    number = 1
    while True:
        path = wanted if number == 1 else wanted.with_name("{}_{}".format(wanted.name, number))
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            number += 1
