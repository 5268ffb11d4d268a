"""Physics simulators behind one interface."""

from typing import TYPE_CHECKING, Any

from amp_train.sim.factory import make_simulator

if TYPE_CHECKING:
    from amp_train.sim.interface import Simulator

__all__ = ["Simulator", "make_simulator"]


def __getattr__(name: str) -> Any:
    # Not at the top: it imports torch, and the schema, which is read before Isaac Gym, needs the records of backends.
    if name == "Simulator":
        from amp_train.sim.interface import Simulator

        return Simulator
    raise AttributeError(name)
