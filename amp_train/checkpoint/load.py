"""Read checkpoints, whoever wrote them, without ever running what they hold.

rl_games loads with weights_only=False, which executes any code in the file: nothing here or elsewhere calls that.
"""

import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any, Dict, List, Tuple, Union

import torch
from torch import Tensor, nn

from amp_train.errors import CheckpointError

COMPILED_PREFIX = "_orig_mod."  # torch.compile puts it before parameter names


class _ScalarType:
    """Stand in for numpy.dtype: remembers its code ('f8') and byte order, and is nothing else."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code = code
        self.order = "<"

    def __setstate__(self, state: Tuple[Any, ...]) -> None:
        self.order = ">" if state[1] == ">" else "<"


_STRUCT_CODES = {
    "f8": "d", "f4": "f", "f2": "e", "i8": "q", "i4": "i", "i2": "h", "i1": "b",
    "u8": "Q", "u4": "I", "u2": "H", "u1": "B", "b1": "?",
}  # fmt: skip


def _plain_number(scalar_type: _ScalarType, data: bytes) -> Union[float, int, bool]:
    """Stand in for numpy's scalar constructor: return a plain Python number."""
    if scalar_type.code not in _STRUCT_CODES:
        raise pickle.UnpicklingError(f"Unsupported numpy scalar of type {scalar_type.code}")
    return struct.unpack(scalar_type.order + _STRUCT_CODES[scalar_type.code], data)[0]


def _named(stand_in: Any, module: str, name: str) -> Any:
    """Give a function or class the name under which a pickle asks for it."""
    stand_in.__module__, stand_in.__name__, stand_in.__qualname__ = module, name, name
    return stand_in


def _stand_ins() -> List[Any]:
    """Build what may be unpickled beyond tensors: numpy scalars, as numpy 1 and numpy 2 spell them.

    rl_games and IsaacGymEnvs write `last_mean_rewards` as one. With stand-ins no numpy object is ever made, and it does
    not matter which numpy wrote the file or reads it.
    """

    def scalar_numpy1(scalar_type: _ScalarType, data: bytes) -> Union[float, int, bool]:
        return _plain_number(scalar_type, data)

    def scalar_numpy2(scalar_type: _ScalarType, data: bytes) -> Union[float, int, bool]:
        return _plain_number(scalar_type, data)

    return [
        _named(scalar_numpy1, "numpy.core.multiarray", "scalar"),
        _named(scalar_numpy2, "numpy._core.multiarray", "scalar"),
        _named(type("dtype", (_ScalarType,), {}), "numpy", "dtype"),
    ]


_STAND_INS = _stand_ins()


def safe_load(path: Union[str, Path], map_location: Any = "cpu") -> Dict[str, Any]:
    """Return a checkpoint as plain containers, numbers and tensors, with torch.compile's prefixes removed.

    Raises:
        CheckpointError: if the file is missing, cut short, no checkpoint, or holds objects that would execute code.
    """
    path = Path(path)
    _check_is_archive(path)
    try:
        checkpoint = _load_weights_only(path, map_location)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"Checkpoint {path} is refused: it holds objects that could run code when loaded ({_cause(error)})."
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError, struct.error) as error:
        raise CheckpointError(f"Checkpoint {path} cannot be read: {_cause(error)}.") from error
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("model"), dict):
        raise CheckpointError(f"{path} is not a training checkpoint: it has no 'model' entry.")
    return strip_compiled_prefix(checkpoint)


def _check_is_archive(path: Path) -> None:
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint {path}. Give the path of a .pth file: runs/NAME/nn/NAME.pth.")
    if zipfile.is_zipfile(path):
        return
    with path.open("rb") as file:
        begins_like_one = file.read(2) == b"PK"
    what = "is cut short: copy it again" if begins_like_one else "is not a PyTorch checkpoint"
    raise CheckpointError(f"{path} {what}.")


def _load_weights_only(path: Path, map_location: Any) -> Any:
    if hasattr(torch.serialization, "safe_globals"):
        with torch.serialization.safe_globals(_STAND_INS):
            return torch.load(path, map_location=map_location, weights_only=True)
    torch.serialization.add_safe_globals(_STAND_INS)  # torch 2.4
    return torch.load(path, map_location=map_location, weights_only=True)


def _cause(error: BaseException) -> str:
    """Return the part of a torch error that says what is wrong, in one short line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "GLOBAL" in line or "Unsupported" in line]
    return (telling or lines or [type(error).__name__])[0][:160].rstrip(".")


def strip_compiled_prefix(tree: Any) -> Any:
    """Return the same nested dictionaries with `_orig_mod.` removed from every string key."""
    if not isinstance(tree, dict):
        return tree
    return {
        key.replace(COMPILED_PREFIX, "") if isinstance(key, str) else key: strip_compiled_prefix(value)
        for key, value in tree.items()
    }


def load_model_state(model: nn.Module, state: Dict[str, Tensor], what: str = "The checkpoint") -> None:
    """Load a state dict of exactly this model's names and shapes.

    Raises:
        CheckpointError: in one line, the first thing that does not fit.
    """
    expected = model.state_dict()
    for name in sorted(set(expected) | set(state)):
        if name not in state:
            raise CheckpointError(f"{what} does not fit this network: it lacks {name}.")
        if name not in expected:
            raise CheckpointError(f"{what} does not fit this network: it has {name}, which the network has not.")
        if expected[name].shape != state[name].shape:
            raise CheckpointError(
                f"{what} does not fit this network: {name} has shape {tuple(state[name].shape)},"
                f" the network needs {tuple(expected[name].shape)}: other units, or another character?"
            )
    model.load_state_dict(state)
