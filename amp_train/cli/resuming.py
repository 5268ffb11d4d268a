"""Continuing a training from the command line: finding it, saying what is continued and what differs."""

from contextlib import ExitStack
from typing import List, Optional, cast

from amp_train.cli.arguments import sweep_job_number, task_overrides
from amp_train.config import Config
from amp_train.env import AmpEnv
from amp_train.errors import ConfigError
from amp_train.resume.configuration import Difference, resumed_config
from amp_train.resume.resumption import (
    Resumption,
    changed_files,
    changed_versions,
    find_resumption,
    input_files,
)
from amp_train.resume.run_dir import AUTO, RunLock, resume_mode, resume_target
from amp_train.runner.training import versions


def look_for_resumption(cfg: Config, held: ExitStack) -> Optional[Resumption]:
    """Find what `cfg.resume` means, locking its run directory for as long as `held` lasts; None begins a new training.

    Raises:
        UserError: nothing usable is there, or another process is at work on it.
    """
    target = resume_target(cfg, sweep_job_number())
    if target is None:
        return None
    if target.run_dir.is_dir():
        with ExitStack() as lock:
            lock.enter_context(RunLock(target.run_dir))
            resumption = find_resumption(target)
            if resumption is not None:
                held.enter_context(lock.pop_all())
                return resumption
    print("resume=auto: nothing to resume in {}, a new training begins.".format(target.run_dir), flush=True)
    return None


def with_its_configuration(cfg: Config, resumption: Resumption) -> Config:
    """Return the configuration to go on with, unresolved, and print what is resumed and what the command line changed.

    Raises:
        ConfigError: a change that would make it another training.
    """
    name = resumption.checkpoint.name
    config, differences = resumed_config(resumption.config, cfg, task_overrides(), name)
    config.checkpoint = None  # where the training began, long ago
    if resume_mode(cfg) != AUTO:
        config.train_dir, config.experiment = str(resumption.run_dir.parent), resumption.run_dir.name
    else:
        config.experiment = resumption.run_dir.relative_to(cfg.train_dir).as_posix()
    for damaged in resumption.skipped:
        print("Skipped checkpoint {}: {}.".format(damaged.name, damaged.reason))
    print(
        "Resuming {} after iteration {}, {:,} samples, from {}.".format(
            resumption.run_dir, resumption.iteration, resumption.frame, name
        )
    )
    if resumption.later:
        print("  Later checkpoints are removed: {}.".format(", ".join(resumption.later)))
    _list("Changed by the command line", differences)
    return config


def check_done(cfg: Config, resumption: Resumption) -> bool:
    """Return whether a resumed training has come to its end already.

    Raises:
        ConfigError: it has, and was asked for by name.
    """
    is_done = resumption.iteration >= cast(int, cfg.max_iterations)
    if is_done and resume_mode(cfg) != AUTO:
        raise ConfigError(
            "{} has done {} iterations of {}: give max_iterations= a larger number to go on.".format(
                resumption.run_dir, resumption.iteration, cfg.max_iterations
            )
        )
    return is_done


def list_other_changes(cfg: Config, env: AmpEnv, resumption: Resumption) -> None:
    """Print which packages and files have changed since the checkpoint.

    Raises:
        ConfigError: a file that the training learns from has.
    """
    _list("Other versions than before", changed_versions(resumption.versions, versions()))
    now = input_files(cfg, env.spec)
    _list("Changed files", changed_files(resumption.input_files, now, list(cfg.resume_allow)))


def _list(heading: str, differences: List[Difference]) -> None:
    if differences:
        print("  {}:".format(heading))
    for difference in differences:
        print("    {}".format(difference))
