"""Checks of a configuration: the ranges and choices of the schema, names, and values that belong together.

`check_config` needs the values only; `check_training` also reads what a training is about to use.
"""

import importlib.util
import logging
import os
import re
from dataclasses import Field, fields, is_dataclass
from typing import Any, Dict, List, Sequence, cast

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from amp_train.config.compose import as_config_error
from amp_train.config.schema import ACTOR, Config, DrawConfig, MotionConfig, RandomizationParams
from amp_train.errors import CheckpointError, ConfigError, MissingPackageError, unknown_choice
from amp_train.sim.factory import backend
from amp_train.untrusted import printable

logger = logging.getLogger(__name__)

MAX_LAYERS, MAX_NAME = 16, 100
PATHS = ("motion.file", "character.mjcf", "train_dir", "experiment", "checkpoint", "resume")
MAX_WEIGHTS, MAX_SAMPLES = 2**27, 2**24  # of a network between its layers, of an iteration: some 30 GB
MAX_FRAMES = 2**26  # of observation that the discriminator keeps, 500 bytes each: likewise
LAYER = re.compile(r"a2c_network\.actor_mlp\.\d+\.weight")  # of a policy
NAMES = ("task.name", "motion.name", "train.params.config.name")  # they become part of file names
RANDOMIZATION = "task.task.randomization_params"
# Null until they are fitted to the machine.
_TO_BE_FITTED = {"num_envs": 1, "num_threads": 1, "rl_device": "cpu"}


def check_config(cfg: Config) -> None:
    """Check every value of a configuration, resolved or not.

    Raises:
        ConfigError: naming the key, what was given and what is allowed.
    """
    tree = cast(DictConfig, cfg)
    check_fields(_complete(tree))
    for key in ("train.params.network.mlp.units", "train.params.network.disc.units"):
        units = list(OmegaConf.select(tree, key))
        if len(units) > MAX_LAYERS:
            raise ConfigError(f"{key} must have at most {MAX_LAYERS} sizes, not {str(units)[:80]}.")
        if sum(n * m for n, m in zip(units, units[1:])) > MAX_WEIGHTS:
            raise ConfigError(f"{key}={str(units)[:80]} has more than {MAX_WEIGHTS / 1e6:.0f} million weights.")
    check_paths(cfg)
    agent, steps = cfg.train.params.config, cfg.task.env.num_amp_obs_steps
    horizon = agent.horizon_length
    samples = (cfg.num_envs or 1) * horizon
    if samples > MAX_SAMPLES:
        raise ConfigError(
            f"num_envs={cfg.num_envs} times train.params.config.horizon_length={horizon} exceeds the "
            f"limit of {MAX_SAMPLES / 1e6:.0f} million samples per iteration."
        )
    rows = samples + agent.amp_replay_buffer_size + agent.amp_obs_demo_buffer_size + agent.amp_batch_size
    if rows * steps > MAX_FRAMES:
        raise ConfigError(
            f"The buffers of the discriminator and an iteration have {rows:,} samples of task.env.num_amp_obs_steps="
            f"{steps} frames, more than the {MAX_FRAMES / 1e6:.0f} million frames that fit in a memory."
        )
    for key in NAMES:
        _check_name(key, OmegaConf.select(tree, key))
    _check_low_posture(cfg.motion)
    _check_randomization(cfg.task.task.randomization_params)
    _check_task(cfg)


def check_paths(cfg: Config) -> None:
    """Check that every path is possible; whether the file exists is checked where it is read.

    Raises:
        ConfigError: a name that is too long, of an unknown user, or below a folder without permission.
    """
    for key in PATHS:
        path = OmegaConf.select(cast(DictConfig, cfg), key)
        if path is not None:
            check_path(key, path)


def check_path(key: str, path: str) -> None:
    """As `check_paths`, for one."""
    shown = f"{key}={printable(path)[:MAX_NAME]}"
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        raise ConfigError(f"{shown} names a user that does not exist on this machine. Give the full path.")
    try:
        os.stat(expanded)
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{shown} cannot be used as a path: {reason}.") from error


def _complete(tree: DictConfig) -> DictConfig:
    """Return a copy with placeholders for what is fitted to the machine; every other value and reference must exist."""
    with as_config_error():
        filled = tree.copy()
        for key, placeholder in _TO_BE_FITTED.items():
            if filled[key] is None:
                filled[key] = placeholder
        OmegaConf.to_container(filled, resolve=True, throw_on_missing=True)
    return filled


def check_fields(node: DictConfig, prefix: str = "") -> None:
    """Check a node of the schema, and all below it, against the metadata of their fields.

    Values come before groups: `num_envs` is named in an error, not a key further down that refers to it.

    Raises:
        ConfigError: a number out of its range, or a word that is not among the choices.
    """
    settings = fields(cast(Any, OmegaConf.get_type(node)))
    for setting in sorted(settings, key=lambda f: isinstance(node[f.name], DictConfig)):
        _check_value(f"{prefix}{setting.name}", node[setting.name], setting)


def _check_value(key: str, value: Any, setting: "Field[Any]") -> None:
    if isinstance(value, DictConfig) and is_dataclass(OmegaConf.get_type(value)):
        check_fields(value, f"{key}.")
    elif isinstance(value, DictConfig):
        for name in value:
            _check_value(f"{key}.{name!s}", value[name], setting)
    elif isinstance(value, ListConfig):
        for item in value:
            _check_value(key, item, setting)
    elif value is not None:
        _check_number_or_word(key, value, setting)


def _check_number_or_word(key: str, value: Any, setting: "Field[Any]") -> None:
    allowed, choices = setting.metadata.get("range"), setting.metadata.get("choices")
    if allowed is not None and value not in allowed:
        raise ConfigError(f"{key} must be {allowed}, not {value}.")
    if choices is not None and value not in choices:
        raise unknown_choice(key, printable(value)[:MAX_NAME], choices)


def _check_name(key: str, name: str) -> None:
    plain = name.strip() == name and printable(name) == name
    if not plain or not 1 <= len(name) <= MAX_NAME or name in (".", "..") or set("/\\") & set(name):
        given = printable(repr(name)[:80])
        raise ConfigError(f"{key}={given} must be a plain name of at most {MAX_NAME} characters, without slashes.")


def _check_task(cfg: Config) -> None:
    """Check the task's name and settings; the user's `task_file`, which may register tasks, is read first."""
    # Not at the top: it imports torch, which Isaac Gym must come before.
    from amp_train.env.tasks import has_goal, load_task_file, task_settings

    if cfg.task_file is not None:
        load_task_file(cfg.task_file)
    task_settings(cfg.task.name, cfg.task.goal)
    if cfg.train.params.config.task_reward_w == 0.0 and has_goal(cfg.task.name):
        logger.warning(
            "task=%s has goals, but its reward has weight 0: use train=HumanoidAMPGoal, or set "
            "train.params.config.task_reward_w and disc_reward_w.",
            cfg.task.name,
        )


def _check_low_posture(motion: MotionConfig) -> None:
    """Check that the two keys of the low-posture timeout are set together."""
    given = {"rise_height": motion.rise_height, "max_low_s": motion.max_low_s}
    missing = [key for key, value in given.items() if value is None]
    if len(missing) == 1:
        raise ConfigError(f"motion.rise_height and motion.max_low_s must be set together, but {missing[0]} is null.")


def _check_randomization(params: RandomizationParams) -> None:
    """Check the random draws, whether used or not."""
    # Not at the top: it imports torch, which Isaac Gym must come before.
    from amp_train.env.randomization import parameters_of

    for actor in params.actor_params:
        if actor != ACTOR:
            raise unknown_choice(f"actor in {RANDOMIZATION}.actor_params", str(actor), [ACTOR])
    for name, noise in (("observations", params.observations), ("actions", params.actions)):
        if noise is not None:
            _check_draw(f"{RANDOMIZATION}.{name}", noise)
            if noise.range_correlated is not None:
                _check_bounds(f"{RANDOMIZATION}.{name}.range_correlated", noise.range_correlated, noise.distribution)
    for key, parameter in parameters_of(params):
        _check_draw(f"{RANDOMIZATION}.{key}", parameter)
        if parameter.setup_only and parameter.schedule is not None:
            raise ConfigError(
                f"{RANDOMIZATION}.{key} is drawn once, at step 0 (setup_only), when its schedule is still at 0. "
                "Remove setup_only or schedule."
            )


def _check_draw(key: str, draw: DrawConfig) -> None:
    _check_bounds(f"{key}.range", draw.range, draw.distribution)
    if draw.schedule is not None and draw.schedule_steps is None:
        raise ConfigError(f"{key}.schedule={draw.schedule} needs schedule_steps, a number of control steps.")


def _check_bounds(key: str, bounds: Sequence[float], distribution: str) -> None:
    if len(bounds) != 2:
        raise ConfigError(f"{key} must be two finite numbers, not {str(list(bounds))[:80]}.")
    low, high = bounds
    if distribution == "gaussian" and high < 0:
        raise ConfigError(f"{key} is [mean, standard deviation]: the second must be at least 0, not {high}.")
    if distribution != "gaussian" and low > high:
        raise ConfigError(f"{key} must be [least, largest], not [{low}, {high}].")
    if distribution == "loguniform" and low <= 0:
        raise ConfigError(f"{key} must be above 0 for loguniform, not {low}.")


def check_simulator(cfg: Config) -> None:
    """Check that the chosen simulator supports the configuration, and that its devices exist.

    Raises:
        ConfigError: a window that the simulator does not have, or a device that does not exist.
    """
    if not cfg.headless and not backend(cfg.sim.name).has_window:
        raise ConfigError(
            f"sim={cfg.sim.name} has no live window, only videos (video=True, amp-play). Leave headless=True."
        )
    if not backend(cfg.sim.name).uses_gpu and cfg.sim_device != "cpu":
        raise ConfigError(f"sim={cfg.sim.name} runs on the CPU: set sim_device=cpu, not {cfg.sim_device}.")
    _check_device("sim_device", str(cfg.sim_device))
    _check_device("rl_device", str(cfg.rl_device))


def _check_device(key: str, name: str) -> None:
    import torch

    there = ["cpu"] + [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise ConfigError(f"{key}='{name}' is not a torch device. This machine has: {', '.join(there)}.") from error
    if device.type != "cpu" and f"{device.type}:{device.index or 0}" not in there:
        raise ConfigError(f"{key}='{name}' does not exist on this machine. It has: {', '.join(there)}.")


def check_training(cfg: Config) -> None:
    """Check a resolved configuration for a training, before anything is created.

    Raises:
        UserError: in one line, the first problem.
    """
    from amp_train.learning import check_params

    params = rl_games_params(cfg)
    if params["config"]["torch_compile"]:
        raise ConfigError(
            "train.params.config.torch_compile must be False: a double backward (gradient penalty) cannot be compiled."
        )
    check_params(params)
    if cfg.checkpoint is not None:
        _check_can_continue(cfg, cfg.checkpoint, list(params["network"]["mlp"]["units"]))
    if cfg.wandb_activate and importlib.util.find_spec("wandb") is None:
        raise MissingPackageError("wandb_activate=True needs wandb: pip install wandb.")


def _check_can_continue(cfg: Config, path: str, units: List[int]) -> None:
    from amp_train.checkpoint.load import safe_load, task_named_in

    checkpoint = safe_load(path)
    missing: List[str] = sorted({"epoch", "frame"} - set(checkpoint))
    if missing:
        raise CheckpointError(f"Training cannot continue from checkpoint {path}: it lacks {', '.join(missing)}.")
    layers = {name: value for name, value in checkpoint["model"].items() if LAYER.match(str(name))}
    its_units = [len(value) if getattr(value, "ndim", 0) else 0 for value in layers.values()]
    if its_units != units:
        raise CheckpointError(
            f"Checkpoint {path} has layers of {its_units} units, this run {units}: set "
            f"train.params.network.mlp.units={its_units} and disc.units, or for a checkpoint of IsaacGymEnvs "
            "train=HumanoidAMPPPO."
        )
    done, max_epochs = checkpoint["epoch"], cfg.train.params.config.max_epochs
    counts_on = task_named_in(checkpoint.get("amp_train")) in (None, cfg.task.name)  # another task begins at 0
    if counts_on and isinstance(done, int) and done >= max_epochs:
        raise ConfigError(
            f"Checkpoint {path} has done {done} of {max_epochs} iterations: set a larger max_iterations= to continue."
        )


def rl_games_params(cfg: Config) -> Dict[str, Any]:
    """Return `params` as rl_games reads it: interpolations resolved, keys without a value left out.

    Raises:
        ConfigError: a mandatory key without a value.
    """
    try:
        params = OmegaConf.to_container(cast(DictConfig, cfg.train.params), resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"train.params: {str(error).splitlines()[0].rstrip('.')}.") from error
    return cast(Dict[str, Any], _without_nulls(params))


def _without_nulls(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    return {key: _without_nulls(value) for key, value in tree.items() if value is not None}
