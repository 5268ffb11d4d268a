"""Values derived from others, all in one place: environments, threads, devices, iterations."""

import logging
import math
import os
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Set, cast

from omegaconf import DictConfig, OmegaConf

from amp_train.config.overrides import parse_overrides
from amp_train.config.schema import Config, RandomizationConfig
from amp_train.config.simulator import sim_config
from amp_train.config.validate import MAX_NAME, check_config, check_simulator
from amp_train.distributed.launch import Launch, launched
from amp_train.errors import ConfigError
from amp_train.sim.settings import SimConfig
from amp_train.untrusted import printable

logger = logging.getLogger(__name__)

SAMPLES_PER_CORE = 4096  # of a rollout
SAMPLES_PER_WARM_START_STEP = 100  # at least; a training of a few iterations begins at once
BUSY_SHARE = 0.4  # of the cores, before the training starts
MIN_AUTO_ENVS, MAX_AUTO_ENVS = 256, 4096
AGENT = "train.params.config"
CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")

# torch, and modules that import it, are imported inside functions: Isaac Gym must be imported before it.


def resolve(cfg: Config, overrides: Optional[Sequence[str]] = None) -> Config:
    """Return the configuration with values for all keys that are fitted to the machine, and the values checked.

    Args:
        cfg: composed.
        overrides: the command line. Sizes of minibatches that are not on it fit themselves to the rollout, a warm start
            to the length of the training, and a clip's file names the motion. None: nothing is fitted.

    Raises:
        ConfigError: a value out of range, or a device that does not exist.
        CheckpointError: no such checkpoint, or a damaged one.
    """
    from amp_train.checkpoint.find import find_checkpoint

    cfg = cast(Config, cast(DictConfig, cfg).copy())
    name_motion_after_file(cfg, overrides or ())
    check_config(cfg)
    cfg.checkpoint = find_checkpoint(cfg.checkpoint) if cfg.checkpoint else None
    launch = _checked_launch(cfg)
    level = logging.WARNING if launch is None or launch.rank == 0 else logging.DEBUG  # one process says it for all
    cores = cores_of_this_process(launch)
    if cfg.num_threads is None:
        cfg.num_threads = cores
        if not cfg.test:
            warn_if_busy(cores)
    cfg.sim_device = _choose_simulator(cfg, level)
    cfg.rl_device = cfg.sim_device if cfg.rl_device is None else cfg.rl_device
    cfg.sim_device, cfg.rl_device = (_device_of_this_rank(name, launch) for name in (cfg.sim_device, cfg.rl_device))
    agent = cfg.train.params.config
    if cfg.num_envs is None:
        cfg.num_envs = auto_num_envs(cores, agent.horizon_length, agent.minibatch_size)
    if not cfg.test and overrides is not None:
        _fit_minibatches(cfg, overrides, level)
    agent.max_epochs = _iterations(cfg, launch.world_size if launch else 1)
    agent.max_frames = -1
    cfg.max_iterations = agent.max_epochs
    if overrides is not None and f"{AGENT}.warm_start_steps" not in _keys(overrides):
        samples = agent.max_epochs * cfg.num_envs * agent.horizon_length
        agent.warm_start_steps = min(agent.warm_start_steps, samples // SAMPLES_PER_WARM_START_STEP)
    cfg.train.params.load_checkpoint = cfg.checkpoint is not None
    check_simulator(cfg)
    return cfg


def name_motion_after_file(cfg: Config, overrides: Sequence[str]) -> None:
    """Name the motion after its file if the command line gives a file but no name."""
    keys = _keys(overrides)
    if "motion.file" in keys and "motion.name" not in keys:
        name = printable(Path(cfg.motion.file).stem).strip()[:MAX_NAME]
        cfg.motion.name = name or cfg.motion.name


def _keys(overrides: Sequence[str]) -> Set[str]:
    return {override.key_or_group for override in parse_overrides(overrides)}


def _fit_minibatches(cfg: Config, overrides: Sequence[str], level: int) -> None:
    """Fit minibatch sizes that are not on the command line to the size of the rollout."""
    keys = _keys(overrides)
    agent = cfg.train.params.config
    batch, changed = cast(int, cfg.num_envs) * agent.horizon_length, []
    if batch % agent.minibatch_size and f"{AGENT}.minibatch_size" not in keys:
        agent.minibatch_size = nearest_divisor(batch, agent.minibatch_size)
        changed.append(f"minibatch_size={agent.minibatch_size}")
    if agent.amp_minibatch_size > agent.minibatch_size and f"{AGENT}.amp_minibatch_size" not in keys:
        agent.amp_minibatch_size = agent.minibatch_size
        changed.append(f"amp_minibatch_size={agent.amp_minibatch_size}")
    if changed:
        logger.log(level, "Minibatches fitted to rollouts of %d samples: %s.", batch, ", ".join(changed))


def nearest_divisor(number: int, wanted: int) -> int:
    """Return the divisor of a number that is nearest to another one.

    >>> nearest_divisor(512, 1024), nearest_divisor(800, 1024), nearest_divisor(1048, 1000)
    (512, 800, 1048)
    """
    small = [d for d in range(1, math.isqrt(number) + 1) if number % d == 0]
    return min(small + [number // d for d in small], key=lambda d: (abs(d - wanted), d))


def set_up_playing(config: RandomizationConfig, is_asked_for: bool) -> None:
    """Switch randomisation off for playing and measuring; if it is requested, use it as it is after all schedules."""
    from amp_train.env.randomization import parameters_of

    config.randomize = config.randomize and is_asked_for
    params = config.randomization_params
    draws = [draw for draw in (params.observations, params.actions) if draw is not None]
    for draw in draws + [draw for _, draw in parameters_of(params)]:
        draw.schedule = None


def available_cores(quota_file: Path = CGROUP_QUOTA) -> int:
    """Return how many cores this process may use: its affinity, and its container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = quota_file.read_text().split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no cgroup version 2, or a quota of "max"
        return cores


def cores_of_this_process(launch: Optional[Launch] = None, quota_file: Path = CGROUP_QUOTA) -> int:
    """Return this process's share of the cores, given the other processes of the training on its machine."""
    cores = available_cores(quota_file)
    if launch is None:
        return cores
    if launch.own_cores is not None:
        return min(cores, launch.own_cores)
    return max(1, cores // launch.local_world_size)


def warn_if_busy(cores: int) -> None:
    """Say so if other programs run on the cores: torch's threads wait for each other, and one held up holds up all."""
    if cores == 1 or cores != os.cpu_count() or not hasattr(os, "getloadavg"):
        return  # the load is the whole machine's
    busy = os.getloadavg()[0]
    if busy > BUSY_SHARE * cores:
        logger.warning(
            f"Other programs keep {busy:.1f} of this machine's {cores} cores busy. Training on all of them may be many "
            f"times slower than with num_threads={max(1, int(cores - busy))}."
        )


def auto_num_envs(cores: int, horizon_length: int, minibatch_size: int) -> int:
    """Return a power of two that gives rollouts near 4096 samples a core, or more where whole minibatches need it.

    >>> auto_num_envs(2, 8, 1024), auto_num_envs(2, 16, 1024), auto_num_envs(2, 16, 32768), auto_num_envs(64, 8, 1024)
    (1024, 512, 2048, 4096)
    """
    wanted = min(max(SAMPLES_PER_CORE * cores // horizon_length, MIN_AUTO_ENVS), MAX_AUTO_ENVS)
    power = 2 ** int(math.log2(wanted))
    unit = minibatch_size // math.gcd(minibatch_size, horizon_length)
    return math.ceil(power / unit) * unit


def stored_form(cfg: Config) -> Dict[str, Any]:
    """Return the configuration as plain containers; interpolations stay, so that later overrides act on them."""
    return cast(Dict[str, Any], OmegaConf.to_container(cast(DictConfig, cfg), resolve=False))


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
        raise ConfigError("No training length is set: set max_iterations= or train.params.config.max_frames=.")
    return min(limits)


def _checked_launch(cfg: Config) -> Optional[Launch]:
    """Return how a launcher started this process of a multi-process training, None for a single process."""
    launch = launched()
    if cfg.multi_gpu and launch is None:
        raise ConfigError(
            "multi_gpu=True needs several processes, started by torchrun or srun: "
            "torchrun --nproc_per_node=N -m amp_train.cli.train multi_gpu=True."
        )
    if not cfg.multi_gpu and launch is not None and launch.launcher == "torchrun" and launch.world_size > 1:
        raise ConfigError(
            f"torchrun started {launch.world_size} processes, which would train independently: add multi_gpu=True."
        )
    return launch if cfg.multi_gpu else None


def _device_of_this_rank(name: str, launch: Optional[Launch]) -> str:
    """Give each process of a machine its own GPU, unless it sees only one."""
    import torch

    is_cuda = str(name).split(":")[0] == "cuda"
    return f"cuda:{launch.local_rank}" if launch and is_cuda and torch.cuda.device_count() > 1 else name


def _choose_simulator(cfg: Config, level: int) -> str:
    """Replace sim=auto by a simulator and log which; return the device that it runs on."""
    from amp_train.sim import choice as sim_choice

    if cfg.sim.name == "auto":
        choice = sim_choice.choose_simulator(sim_choice.this_machine(), cfg.sim_device)
        logger.log(level, "sim=auto: %s, because %s.", choice.name, choice.why)
        cfg.sim.name = choice.name
    cfg.sim = cast(SimConfig, sim_config(cast(DictConfig, cfg.sim)))
    return sim_choice.default_sim_device(cfg.sim.name) if cfg.sim_device is None else cfg.sim_device
