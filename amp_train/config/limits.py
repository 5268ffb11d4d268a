"""The range of every setting that takes memory or time, so that a slip, or a stranger, cannot ask for a petabyte."""

import logging
from typing import Any, Dict, List, Optional, cast

from omegaconf import DictConfig, OmegaConf

from amp_train.config.compose import as_config_error
from amp_train.config.randomization import check_randomization
from amp_train.config.schema import Config, MotionConfig
from amp_train.errors import ConfigError
from amp_train.untrusted import printable

logger = logging.getLogger(__name__)

# Key -> largest value; the least is 1.
MAXIMA: Dict[str, int] = {
    "num_envs": 2**20,
    "max_iterations": 10**9,
    "num_threads": 4096,
    "sim.decimation": 1000,
    "sim.substeps": 1000,
    "task.env.episode_length": 10**7,
    "task.env.control_frequency_hz": 10**4,
    "task.env.num_amp_obs_steps": 256,
    "train.params.config.horizon_length": 2**16,
    "train.params.config.minibatch_size": 2**24,
    "train.params.config.mini_epochs": 1000,
    "train.params.config.games_to_track": 10**6,
    "train.params.config.keep_checkpoints": 1000,
    "train.params.config.amp_obs_demo_buffer_size": 10**8,
    "train.params.config.amp_replay_buffer_size": 10**8,
    "train.params.config.amp_batch_size": 2**24,
    "train.params.config.amp_minibatch_size": 2**24,
}
MAX_LOW = 1e5  # m, s
MAX_UNITS, MAX_LAYERS, MAX_NAME = 2**14, 16, 100
# They become part of file names.
NAMES = ("task.name", "motion.name", "train.params.config.name")
# Null until they are fitted to the machine.
_TO_BE_FITTED = {"num_envs": 1, "num_threads": 1, "rl_device": "cpu"}


def check_limits(cfg: Config) -> None:
    """Check the ranges of numbers and the form of names.

    Raises:
        ConfigError: naming the key, what was given and what is allowed.
    """
    tree = cast(DictConfig, cfg)
    _check_complete(tree)
    for key, most in MAXIMA.items():
        value: Optional[int] = OmegaConf.select(tree, key)
        if value is not None and value < 1:
            raise ConfigError("{} must be at least 1, not {}.".format(key, value))
        if value is not None and value > most:
            raise ConfigError("{} must be at most {}, not {}.".format(key, most, value))
    for key in ("train.params.network.mlp.units", "train.params.network.disc.units"):
        _check_units(key, list(OmegaConf.select(tree, key) or []))
    for key in NAMES:
        _check_name(key, OmegaConf.select(tree, key))
    _check_low(cfg.motion)
    check_randomization(cfg.task.task.randomization_params)
    check_goal(cfg)


def check_goal(cfg: Config) -> None:
    """Check the task's name and its own settings; a file of the user's own that registers tasks is read before.

    Raises:
        ConfigError: an unknown task or key, or a value that the task does not take.
    """
    from amp_train.env.tasks import load_task_file, task_settings  # brings torch, which Isaac Gym must come before

    if cfg.task_file is not None:
        load_task_file(cfg.task_file)
    task_settings(cfg.task.name, cfg.task.goal)
    if cfg.task.goal and cfg.train.params.config.task_reward_w == 0.0:
        logger.warning(
            "task=%s has goals, but its reward counts for nothing: take train=HumanoidAMPGoal, or set "
            "train.params.config.task_reward_w and disc_reward_w.",
            cfg.task.name,
        )


def _check_low(motion: MotionConfig) -> None:
    """Check the two halves of the rule on staying low."""
    given = {"rise_height": motion.rise_height, "max_low_s": motion.max_low_s}
    for key, value in given.items():
        if value is None and any(other is not None for other in given.values()):
            raise ConfigError("motion.rise_height and motion.max_low_s go together, but {} is null.".format(key))
        if value is not None and not 0.0 < value <= MAX_LOW:
            raise ConfigError("motion.{} must be above 0 and at most {:g}, not {}.".format(key, MAX_LOW, value))


def _check_complete(tree: DictConfig) -> None:
    """Check that every value is there and of its type, and that every reference leads somewhere."""
    with as_config_error():
        filled = tree.copy()
        for key, placeholder in _TO_BE_FITTED.items():
            if filled[key] is None:
                filled[key] = placeholder
        OmegaConf.to_container(filled, resolve=True, throw_on_missing=True)


def _check_units(key: str, units: List[Any]) -> None:
    if len(units) > MAX_LAYERS or not all(1 <= n <= MAX_UNITS for n in units):
        shown = str(units)[:80]
        raise ConfigError("{} must be at most {} sizes from 1 to {}, not {}.".format(key, MAX_LAYERS, MAX_UNITS, shown))


def _check_name(key: str, name: Any) -> None:
    plain = isinstance(name, str) and name.strip() == name and printable(name) == name
    if not plain or not 1 <= len(name) <= MAX_NAME or name in (".", "..") or set("/\\") & set(name):
        raise ConfigError(
            "{}={} must be a plain name of at most {} characters, without slashes.".format(
                key, printable(repr(name)[:80]), MAX_NAME
            )
        )
