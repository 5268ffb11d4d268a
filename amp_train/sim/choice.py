"""The choice of `sim=auto` on this machine, and the default device of each simulator."""

from typing import NamedTuple, Optional

from amp_train import isaacgym_first
from amp_train.errors import MissingPackageError
from amp_train.sim.factory import BACKENDS


class Machine(NamedTuple):
    """The properties that decide.

    Attributes:
        has_gpu: torch sees a CUDA GPU.
        isaacgym_loads: NVIDIA's package is installed and was imported in time.
        has_warp: MuJoCo Warp is installed.
    """

    has_gpu: bool
    isaacgym_loads: bool
    has_warp: bool


class Choice(NamedTuple):
    """A simulator's name, and why it was chosen."""

    name: str
    why: str


def choose_simulator(machine: Machine, sim_device: Optional[str]) -> Choice:
    """Choose: Isaac Gym on a GPU, else MuJoCo Warp on a GPU, else MuJoCo on the CPU."""
    if sim_device == "cpu":
        return Choice("mujoco", "sim_device=cpu was given")
    if not machine.has_gpu:
        return Choice("mujoco", "torch sees no CUDA GPU")
    if machine.isaacgym_loads:
        return Choice("isaacgym", "Isaac Gym is installed and there is a GPU")
    if machine.has_warp:
        return Choice("mujoco_warp", "there is a GPU, MuJoCo Warp is installed and Isaac Gym is not")
    return Choice("mujoco", "neither Isaac Gym nor MuJoCo Warp is installed: pip install 'amp_train[gpu]'")


def this_machine() -> Machine:
    """Return the properties of this machine."""
    import torch

    try:
        isaacgym_first.load_gymapi()
        isaacgym_loads = True
    except MissingPackageError:
        isaacgym_loads = False
    return Machine(torch.cuda.is_available(), isaacgym_loads, BACKENDS["mujoco_warp"].is_installed())


def default_sim_device(name: str) -> str:
    """Return the default device of simulator `name`: the first GPU, if it can use one and there is one."""
    import torch

    uses_gpu = name == "auto" or BACKENDS[name].uses_gpu
    return "cuda:0" if uses_gpu and torch.cuda.is_available() else "cpu"
