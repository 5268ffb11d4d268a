"""Putting the stand-in for Isaac Gym (tests/doubles) where `import isaacgym` finds it, as if torch came after it."""

import contextlib
import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Iterator

DOUBLES = Path(__file__).resolve().parent / "doubles"
OURS = "amp_train.sim.isaacgym"


@contextlib.contextmanager
def installed() -> Iterator[ModuleType]:
    """Give the stand-in's gymapi, and forget everything that imported it afterwards."""
    torch = sys.modules.pop("torch")
    sys.path.insert(0, str(DOUBLES))
    try:
        gymapi = importlib.import_module("isaacgym.gymapi")
    finally:
        sys.modules["torch"] = torch
    importlib.import_module("isaacgym.gymtorch")
    try:
        yield gymapi
    finally:
        sys.path.remove(str(DOUBLES))
        for name in [name for name in sys.modules if name.split(".")[0] == "isaacgym" or name.startswith(OURS)]:
            parent, _, child = name.rpartition(".")
            if parent in sys.modules and hasattr(sys.modules[parent], child):
                delattr(sys.modules[parent], child)  # `from parent import child` looks here first
            del sys.modules[name]
