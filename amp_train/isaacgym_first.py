"""Importing NVIDIA's Isaac Gym before torch, which it requires: the commands do it first.

No module of this project that needs torch may be imported here.
"""

import importlib.util
import sys
from types import ModuleType
from typing import List, Sequence

from amp_train.errors import MissingPackageError

PACKAGE = "isaacgym"
WHERE_TO_GET_IT = (
    "It is not on a package index: download Isaac Gym Preview 4 from developer.nvidia.com/isaac-gym and "
    "`pip install -e isaacgym/python` in an environment with Python 3.8"
)

_failures: List[str] = []


def is_installed() -> bool:
    """Return whether Isaac Gym can be found; it may still fail to load."""
    return PACKAGE in sys.modules or importlib.util.find_spec(PACKAGE) is not None


def import_isaacgym_first(arguments: Sequence[str]) -> None:
    """Import Isaac Gym before torch, if it is installed and the command may need it.

    Args:
        arguments: the command line; another simulator in it skips the import. A checkpoint may need Isaac Gym,
            so without `sim=` it is imported. Errors are reported when the simulator is built.
    """
    named = [text.split("=", 1)[1] for text in arguments if text.startswith("sim=")]
    if named and not {"isaacgym", "auto"} & set(named[-1].split(",")):
        return
    if is_installed() and "torch" not in sys.modules:
        try:
            import isaacgym.gymapi  # noqa: F401
        except (ImportError, OSError, RuntimeError) as error:
            _failures.append(" ".join(str(error).split()))


def load_gymapi() -> ModuleType:
    """Return `isaacgym.gymapi`.

    Raises:
        MissingPackageError: it is not installed, does not load here, or torch was imported before it.
    """
    if not is_installed():
        python = "" if sys.version_info < (3, 9) else f" This is Python {sys.version_info[0]}.{sys.version_info[1]}."
        raise MissingPackageError(f"sim=isaacgym needs NVIDIA's Isaac Gym. {WHERE_TO_GET_IT}.{python}")
    if _failures:
        raise MissingPackageError(f"Isaac Gym is installed but does not load: {_failures[-1].rstrip('.')}.")
    if PACKAGE + ".gymapi" not in sys.modules and "torch" in sys.modules:
        raise MissingPackageError(
            "Isaac Gym must be imported before torch: put `import isaacgym` above every other import. amp-train, "
            "amp-play and amp-eval do so themselves."
        )
    try:
        from isaacgym import gymapi
    except (ImportError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise MissingPackageError(f"Isaac Gym is installed but does not load: {reason}.") from error
    return gymapi
