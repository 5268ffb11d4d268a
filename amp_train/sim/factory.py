"""Simulators by name; a backend's vendor package is imported only when it is chosen."""

from typing import Any, Callable, Dict

import torch

from amp_train import isaacgym_first
from amp_train.character import CharacterSpec
from amp_train.errors import MissingPackageError, unknown_choice
from amp_train.sim.interface import Simulator


def _mujoco(cfg: Any, spec: CharacterSpec, control_dt_s: float) -> Simulator:
    from amp_train.sim.mujoco_cpu import MujocoSimulator

    return MujocoSimulator(spec, cfg.num_envs, control_dt_s, cfg.sim.decimation, cfg.num_threads)


def _isaacgym(cfg: Any, spec: CharacterSpec, control_dt_s: float) -> Simulator:
    isaacgym_first.load_gymapi()
    from amp_train.sim.isaacgym import IsaacGymSimulator
    from amp_train.sim.isaacgym_scene import IsaacGymSettings

    settings = IsaacGymSettings(torch.device(cfg.sim_device), cfg.pipeline != "cpu", cfg.num_threads, cfg.headless)
    return IsaacGymSimulator(spec, cfg.num_envs, control_dt_s, cfg.sim.decimation, cfg.sim.substeps, settings)


def _mujoco_warp(cfg: Any, spec: CharacterSpec, control_dt_s: float) -> Simulator:
    try:
        from amp_train.sim.mujoco_warp import MujocoWarpSimulator, WarpSettings
    except ImportError as error:
        raise MissingPackageError(
            "sim=mujoco_warp needs MuJoCo Warp (Python 3.10 or newer): pip install 'amp_train[gpu]'. Without it, "
            "sim=mujoco has the same physics. ({})".format(error)
        ) from error
    settings = WarpSettings(torch.device(cfg.sim_device), cfg.sim.nconmax, cfg.sim.njmax, cfg.torch_deterministic)
    return MujocoWarpSimulator(spec, cfg.num_envs, control_dt_s, cfg.sim.decimation, settings)


SIMULATORS: Dict[str, Callable[[Any, CharacterSpec, float], Simulator]] = {
    "mujoco": _mujoco,
    "isaacgym": _isaacgym,
    "mujoco_warp": _mujoco_warp,
}


def make_simulator(cfg: Any, spec: CharacterSpec) -> Simulator:
    """Build the simulator that `cfg.sim.name` asks for, with `cfg.num_envs` copies of the character.

    Raises:
        ConfigError: unknown name.
        MissingPackageError: the backend's package is not installed.
    """
    if cfg.sim.name not in SIMULATORS:
        raise unknown_choice("simulator", cfg.sim.name, SIMULATORS)
    return SIMULATORS[cfg.sim.name](cfg, spec, 1.0 / cfg.task.env.control_frequency_hz)
