"""The simulator backends, one record each. A backend's vendor package is imported only when it is chosen."""

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, Dict, Optional, Tuple, Type, TypeVar, cast

from amp_train import isaacgym_first
from amp_train.errors import ConfigError, MissingPackageError, unknown_choice
from amp_train.sim.settings import IsaacGymConfig, MujocoConfig, MujocoWarpConfig, SimConfig

# torch, and modules that import it, are imported inside functions: Isaac Gym must be imported before it.
if TYPE_CHECKING:
    from amp_train.character import CharacterSpec
    from amp_train.config.schema import Config
    from amp_train.sim.interface import Simulator
    from amp_train.sim.scene import Scene

T = TypeVar("T")


@dataclass(frozen=True)
class Backend:
    """A backend; no other place lists backend names.

    Attributes:
        config: the class of its settings, `sim.KEY`.
        make: builds it, from the whole configuration, the character, the control step in s and the scene.
        packages: required packages.
        uses_gpu: it can run on a GPU, and does so by default if there is one; otherwise CPU only.
        has_window: it has its own window (headless=False).
        one_per_process: only one simulation can exist per process.
        supports_objects: scenes may have objects and terrain (`scene.py`).
    """

    config: Type[SimConfig]
    make: Callable[["Config", "CharacterSpec", float, "Scene"], "Simulator"]
    packages: Tuple[str, ...] = ("mujoco",)
    uses_gpu: bool = False
    has_window: bool = False
    one_per_process: bool = False
    supports_objects: bool = True

    def is_installed(self) -> bool:
        """Return whether its packages can be found; they may still fail to load."""
        return all(importlib.util.find_spec(package) is not None for package in self.packages)


def _resolved(value: Optional[T]) -> T:
    assert value is not None, "config.resolve sets it"
    return value


def _mujoco(cfg: "Config", spec: "CharacterSpec", control_dt_s: float, scene: "Scene") -> "Simulator":
    from amp_train.sim.mujoco_cpu import MujocoSimulator

    return MujocoSimulator(
        spec, _resolved(cfg.num_envs), control_dt_s, cfg.sim.decimation, _resolved(cfg.num_threads), scene
    )


def _isaacgym(cfg: "Config", spec: "CharacterSpec", control_dt_s: float, scene: "Scene") -> "Simulator":
    isaacgym_first.load_gymapi()
    import torch

    from amp_train.sim.isaacgym import IsaacGymSimulator
    from amp_train.sim.isaacgym_scene import IsaacGymSettings

    sim, device = cast(IsaacGymConfig, cfg.sim), torch.device(_resolved(cfg.sim_device))
    settings = IsaacGymSettings(device, cfg.pipeline != "cpu", _resolved(cfg.num_threads), cfg.headless)
    return IsaacGymSimulator(spec, _resolved(cfg.num_envs), control_dt_s, sim.decimation, sim.substeps, settings)


def _mujoco_warp(cfg: "Config", spec: "CharacterSpec", control_dt_s: float, scene: "Scene") -> "Simulator":
    import torch

    try:
        from amp_train.sim.mujoco_warp import MujocoWarpSimulator, WarpSettings
    except ImportError as error:
        raise MissingPackageError(
            "sim=mujoco_warp needs MuJoCo Warp (Python 3.10 or newer): pip install 'amp_train[gpu]'. Without it, "
            f"sim=mujoco has the same physics. ({error})"
        ) from error
    sim, device = cast(MujocoWarpConfig, cfg.sim), torch.device(_resolved(cfg.sim_device))
    settings = WarpSettings(device, sim.nconmax, sim.njmax, cfg.torch_deterministic)
    return MujocoWarpSimulator(spec, _resolved(cfg.num_envs), control_dt_s, sim.decimation, settings, scene)


BACKENDS: Dict[str, Backend] = {
    "mujoco": Backend(MujocoConfig, _mujoco),
    "isaacgym": Backend(
        IsaacGymConfig,
        _isaacgym,
        packages=("isaacgym",),
        uses_gpu=True,
        has_window=True,
        one_per_process=True,
        supports_objects=False,
    ),
    "mujoco_warp": Backend(MujocoWarpConfig, _mujoco_warp, packages=("warp", "mujoco_warp"), uses_gpu=True),
}


def backend(name: str) -> Backend:
    """Look a backend up.

    Raises:
        ConfigError: unknown name.
    """
    if name not in BACKENDS:
        raise unknown_choice("simulator", name, BACKENDS)
    return BACKENDS[name]


def make_simulator(cfg: "Config", spec: "CharacterSpec", scene: "Optional[Scene]" = None) -> "Simulator":
    """Build the simulator that `cfg.sim.name` asks for, with `cfg.num_envs` copies of the character.

    Args:
        cfg: the whole configuration.
        spec: the character.
        scene: objects and terrain in the worlds.

    Raises:
        ConfigError: unknown name, or a scene that the backend does not support.
        MissingPackageError: the backend's package is not installed.
    """
    from amp_train.sim.scene import Scene

    chosen, scene = backend(cfg.sim.name), scene or Scene()
    if scene and not chosen.supports_objects:
        able = " or ".join(f"sim={name}" for name, record in BACKENDS.items() if record.supports_objects)
        raise ConfigError(f"sim={cfg.sim.name} does not support the objects or terrain of this task. Use {able}.")
    return chosen.make(cfg, spec, 1.0 / cfg.task.env.control_frequency_hz, scene)
