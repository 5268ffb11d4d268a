"""The settings of each simulator backend: what can be given as `sim.KEY`. Each backend has its own class, so that a
key of another one is an error."""

from dataclasses import dataclass

from amp_train.ranges import between


@dataclass
class SimConfig:
    """Settings of every backend, and of `sim=auto`.

    Attributes:
        name: of the backend, or `auto`.
        decimation: physics steps in a control step.
    """

    name: str = "auto"
    decimation: int = between(1, 1000, 4)


@dataclass
class MujocoConfig(SimConfig):
    """`sim=mujoco`."""

    name: str = "mujoco"


@dataclass
class MujocoWarpConfig(SimConfig):
    """`sim=mujoco_warp`.

    Attributes:
        nconmax: room for contacts, on average over the worlds, which share it.
        njmax: room for constraint rows in any one world.
    """

    name: str = "mujoco_warp"
    nconmax: int = between(1, 10**6, 16)
    njmax: int = between(1, 10**6, 128)


@dataclass
class IsaacGymConfig(SimConfig):
    """`sim=isaacgym`.

    Attributes:
        substeps: physics steps in one call of `simulate`.
    """

    name: str = "isaacgym"
    substeps: int = between(1, 1000, 2)
