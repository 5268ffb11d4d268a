"""Physics simulators behind one interface."""

from amp_train.sim.factory import make_simulator
from amp_train.sim.interface import Simulator

__all__ = ["Simulator", "make_simulator"]
