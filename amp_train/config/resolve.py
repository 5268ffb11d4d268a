"""Values derived from others, all in one place: environments, threads, devices, iterations, rl_games' tree."""

import logging
import math
import os
from pathlib import Path
from typing import Any, Dict, Optional, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from amp_train.config.limits import check_limits
from amp_train.config.schema import Config
from amp_train.config.simulator import sim_config
from amp_train.distributed.launch import Launch, launched
from amp_train.errors import ConfigError, unknown_choice
from amp_train.sim import choice as sim_choice
from amp_train.sim.factory import backend
from amp_train.sim.settings import SimConfig

logger = logging.getLogger(__name__)

SAMPLES_PER_CORE = 4096  # of a rollout
MIN_AUTO_ENVS, MAX_AUTO_ENVS = 256, 4096
PIPELINES = ("cpu", "gpu")
CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def resolve(cfg: Config) -> Config:
    """Return the configuration with every "fit it to the machine" replaced by a value, and the values checked.

    Raises:
        ConfigError: a value out of range, or a device that is not there.
        CheckpointError: no such checkpoint, or a damaged one.
    """
    from amp_train.checkpoint.find import find_checkpoint  # brings torch, which Isaac Gym must be imported before

    cfg = cast(Config, cast(DictConfig, cfg).copy())
    check_limits(cfg)
    _check_positive(cfg)
    cfg.checkpoint = find_checkpoint(cfg.checkpoint) if cfg.checkpoint else None
    launch = _checked_launch(cfg)
    cores = cores_of_this_process(launch)
    cfg.num_threads = cores if cfg.num_threads is None else cfg.num_threads
    cfg.sim_device = _choose_simulator(cfg, is_first=launch is None or launch.rank == 0)
    cfg.rl_device = cfg.sim_device if cfg.rl_device is None else cfg.rl_device
    cfg.sim_device, cfg.rl_device = (_device_of_this_rank(name, launch) for name in (cfg.sim_device, cfg.rl_device))
    agent = cfg.train.params.config
    if cfg.num_envs is None:
        cfg.num_envs = auto_num_envs(cores, agent.horizon_length, agent.minibatch_size)
    agent.max_epochs = _iterations(cfg, launch.world_size if launch else 1)
    agent.max_frames = -1
    cfg.max_iterations = agent.max_epochs
    cfg.train.params.load_checkpoint = cfg.checkpoint is not None
    _check_unsupported(cfg)
    check_device("sim_device", cfg.sim_device)
    check_device("rl_device", cfg.rl_device)
    return cfg


def available_cores(quota_file: Path = CGROUP_QUOTA) -> int:
    """Return how many cores this process may use: its affinity, and its container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = quota_file.read_text().split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no cgroup version 2, or a quota of "max"
        return cores


def cores_of_this_process(launch: Optional[Launch] = None, quota_file: Path = CGROUP_QUOTA) -> int:
    """Return how many cores this process may use for itself, beside others of the same training on its machine."""
    cores = available_cores(quota_file)
    if launch is None:
        return cores
    if launch.own_cores is not None:
        return min(cores, launch.own_cores)
    return max(1, cores // launch.local_world_size)


def auto_num_envs(cores: int, horizon_length: int, minibatch_size: int) -> int:
    """Return a power of two that gives rollouts near 4096 samples a core, or as many more as make whole minibatches.

    >>> auto_num_envs(2, 8, 1024), auto_num_envs(2, 16, 1024), auto_num_envs(2, 16, 32768), auto_num_envs(64, 8, 1024)
    (1024, 512, 2048, 4096)
    """
    wanted = min(max(SAMPLES_PER_CORE * cores // horizon_length, MIN_AUTO_ENVS), MAX_AUTO_ENVS)
    power = 2 ** int(math.log2(wanted))
    unit = minibatch_size // math.gcd(minibatch_size, horizon_length)
    return math.ceil(power / unit) * unit


def check_device(key: str, name: str) -> None:
    """Check that a torch device exists.

    Raises:
        ConfigError: naming the devices that do.
    """
    import torch

    there = ["cpu"] + ["cuda:{}".format(i) for i in range(torch.cuda.device_count())]
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise ConfigError("{}='{}' is no device. This machine has: {}.".format(key, name, ", ".join(there))) from error
    if device.type != "cpu" and "{}:{}".format(device.type, device.index or 0) not in there:
        raise ConfigError("{}='{}' is not here. This machine has: {}.".format(key, name, ", ".join(there)))


def rl_games_params(cfg: Config) -> Dict[str, Any]:
    """Return `params` as rl_games reads it: interpolations resolved, keys without a value left out.

    Raises:
        ConfigError: a mandatory key without a value.
    """
    try:
        params = OmegaConf.to_container(cast(DictConfig, cfg.train.params), resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError("train.params: {}.".format(str(error).splitlines()[0].rstrip("."))) from error
    return cast(Dict[str, Any], _without_nulls(params))


def stored_form(cfg: Config) -> Dict[str, Any]:
    """Return the configuration as plain containers; interpolations stay, so that later overrides act on them."""
    return cast(Dict[str, Any], OmegaConf.to_container(cast(DictConfig, cfg), resolve=False))


def _without_nulls(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    return {key: _without_nulls(value) for key, value in tree.items() if value is not None}


def _iterations(cfg: Config, world_size: int) -> int:
    """Return the iterations to train: max_iterations, else the first limit of max_epochs and max_frames that is set.

    Frames are those of all processes.
    """
    agent = cfg.train.params.config
    if cfg.max_iterations is not None:
        return cfg.max_iterations
    limits = [agent.max_epochs] if agent.max_epochs > 0 else []
    if agent.max_frames > 0:
        frames_an_iteration = world_size * cast(int, cfg.num_envs) * agent.horizon_length
        limits.append(math.ceil(agent.max_frames / frames_an_iteration))
    if not limits:
        raise ConfigError("Nothing ends this training: give max_iterations=, or train.params.config.max_frames=.")
    return min(limits)


def _check_positive(cfg: Config) -> None:
    env, agent = cfg.task.env, cfg.train.params.config
    values: Dict[str, Optional[float]] = {
        "num_envs": cfg.num_envs,
        "max_iterations": cfg.max_iterations,
        "num_threads": cfg.num_threads,
        "sim.decimation": cfg.sim.decimation,
        "task.env.episode_length": env.episode_length,
        "task.env.control_frequency_hz": env.control_frequency_hz,
        "task.env.num_amp_obs_steps": env.num_amp_obs_steps,
        "train.params.config.horizon_length": agent.horizon_length,
        "train.params.config.minibatch_size": agent.minibatch_size,
        "train.params.config.mini_epochs": agent.mini_epochs,
    }
    for key, value in values.items():
        if value is not None and value < 1:
            raise ConfigError("{} must be at least 1, not {}.".format(key, value))
    if not 0 <= cfg.seed < 2**32:
        raise ConfigError("seed must be between 0 and 4294967295, not {}.".format(cfg.seed))
    if cfg.eval_interval < 0:
        raise ConfigError("eval_interval must be at least 0 (never), not {}.".format(cfg.eval_interval))
    for key, every in (("save_frequency", agent.save_frequency), ("save_interval_s", agent.save_interval_s)):
        if not every >= 0:
            raise ConfigError("train.params.config.{} must be at least 0 (off), not {}.".format(key, every))
    if not 0.0 < agent.save_max_share <= 1.0:
        raise ConfigError(
            "train.params.config.save_max_share is a share, more than 0 to 1, not {}.".format(agent.save_max_share)
        )
    if cfg.max_time_s is not None and not cfg.max_time_s > 0:
        raise ConfigError("max_time_s must be more than 0 s, or null for no limit, not {}.".format(cfg.max_time_s))
    if not 0.0 <= cfg.max_diverged_share <= 1.0:
        raise ConfigError("max_diverged_share is a share, 0 to 1, not {}.".format(cfg.max_diverged_share))
    if not 0.0 <= env.hybrid_init_prob <= 1.0:
        raise ConfigError("task.env.hybrid_init_prob is a probability, not {}.".format(env.hybrid_init_prob))


def _checked_launch(cfg: Config) -> Optional[Launch]:
    """Return how a launcher started this process for a training in several, None for a training in one."""
    if not cfg.multi_gpu_timeout_s > 0:
        raise ConfigError("multi_gpu_timeout_s must be more than 0 s, not {}.".format(cfg.multi_gpu_timeout_s))
    launch = launched()
    if cfg.multi_gpu and launch is None:
        raise ConfigError(
            "multi_gpu=True trains in several processes that torchrun or srun starts: "
            "torchrun --nproc_per_node=N -m amp_train.cli.train multi_gpu=True."
        )
    if not cfg.multi_gpu and launch is not None and launch.launcher == "torchrun" and launch.world_size > 1:
        raise ConfigError(
            "torchrun started {} processes, which would train beside each other: add multi_gpu=True.".format(
                launch.world_size
            )
        )
    return launch if cfg.multi_gpu else None


def _device_of_this_rank(name: str, launch: Optional[Launch]) -> str:
    """Give each process of a machine a GPU of its own, unless it sees one only."""
    import torch

    is_cuda = str(name).split(":")[0] == "cuda"
    return "cuda:{}".format(launch.local_rank) if launch and is_cuda and torch.cuda.device_count() > 1 else name


def _choose_simulator(cfg: Config, is_first: bool) -> str:
    """Replace sim=auto by the simulator that it is here, saying so; return the device that it runs on."""
    if cfg.sim.name == "auto":
        choice = sim_choice.choose_simulator(sim_choice.this_machine(), cfg.sim_device)
        logger.log(logging.WARNING if is_first else logging.DEBUG, "sim=auto: %s, because %s.", choice.name, choice.why)
        cfg.sim.name = choice.name
    cfg.sim = cast(SimConfig, sim_config(cast(DictConfig, cfg.sim)))
    return sim_choice.default_sim_device(cfg.sim.name) if cfg.sim_device is None else cfg.sim_device


def _check_unsupported(cfg: Config) -> None:
    if not cfg.headless and not backend(cfg.sim.name).has_window:
        raise ConfigError(
            "There is no live window for sim={}, only videos (video=True, amp-play). Leave headless=True.".format(
                cfg.sim.name
            )
        )
    if cfg.pipeline not in PIPELINES:
        raise unknown_choice("pipeline", cfg.pipeline, PIPELINES)
    if not backend(cfg.sim.name).uses_gpu and cfg.sim_device != "cpu":
        raise ConfigError("sim={} runs on the CPU: set sim_device=cpu, not {}.".format(cfg.sim.name, cfg.sim_device))
