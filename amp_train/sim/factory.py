"""Simulators by name; a backend's vendor package is imported only when it is chosen."""

from typing import Any, Callable, Dict

from amp_train.character import CharacterSpec
from amp_train.errors import unknown_choice
from amp_train.sim.interface import Simulator


def _mujoco(cfg: Any, spec: CharacterSpec, control_dt_s: float) -> Simulator:
    from amp_train.sim.mujoco_cpu import MujocoSimulator

    return MujocoSimulator(spec, cfg.num_envs, control_dt_s, cfg.sim.decimation, cfg.num_threads)


SIMULATORS: Dict[str, Callable[[Any, CharacterSpec, float], Simulator]] = {"mujoco": _mujoco}


def make_simulator(cfg: Any, spec: CharacterSpec) -> Simulator:
    """Build the simulator that `cfg.sim.name` asks for, with `cfg.num_envs` copies of the character.

    Raises:
        ConfigError: unknown name.
        MissingPackageError: the backend's package is not installed.
    """
    if cfg.sim.name not in SIMULATORS:
        raise unknown_choice("simulator", cfg.sim.name, SIMULATORS)
    return SIMULATORS[cfg.sim.name](cfg, spec, 1.0 / cfg.task.env.control_frequency_hz)
