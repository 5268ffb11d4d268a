"""Read checkpoints, whoever wrote them, without ever running code from them.

rl_games loads with weights_only=False, which executes any code in the file: nothing here or elsewhere calls that.
"""

import zipfile
from pathlib import Path
from typing import Any, Dict, Union

import torch
from torch import Tensor, nn

from amp_train.errors import CheckpointError
from amp_train.untrusted import NotAFileError, open_regular, printable
from amp_train.untrusted.archive import NotAnArchiveError, read_archive

COMPILED_PREFIX = "_orig_mod."  # torch.compile puts it before parameter names
MAX_DEPTH, MAX_NODES, MAX_KEY = 32, 300_000, 500
_LEAVES = (str, bytes, bool, int, float, type(None))


def safe_load(path: Union[str, Path], map_location: Any = "cpu") -> Dict[str, Any]:
    """Return a checkpoint as plain containers, numbers and tensors, with torch.compile's prefixes removed.

    Raises:
        CheckpointError: if the file is missing, truncated, not a checkpoint, or contains objects that could run code.
    """
    checkpoint = load_plain(path, map_location)
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("model"), dict):
        raise CheckpointError(f"{path} is not a training checkpoint: it has no 'model' entry.")
    for name, value in checkpoint.items():
        may_lack = value is None and _ENTRIES.get(name) != "a whole number"
        if name in _ENTRIES and not may_lack and not _is_entry(value, _ENTRIES[name]):
            raise CheckpointError(f"Checkpoint {path} is broken: its '{name}' is not {_ENTRIES[name]}.")
    return checkpoint


def load_plain(path: Union[str, Path], map_location: Any = "cpu") -> Any:
    """Return what `torch.save` wrote, if it is plain: dicts, lists, tuples, numbers, text and dense tensors.

    Raises:
        CheckpointError: if the file is missing, truncated, not an archive of torch, or contains anything else.
    """
    path = Path(path)
    try:
        with open_regular(path) as file:
            return plain_tree(_read(file, path, map_location))
    except (FileNotFoundError, NotAFileError):
        raise CheckpointError(
            f"There is no checkpoint {path}. Give the path of a .pth file: runs/NAME/nn/NAME.pth."
        ) from None
    except (ValueError, RuntimeError, zipfile.BadZipFile, NotImplementedError, EOFError, OSError) as error:
        reason = printable(str(error).splitlines()[0] if str(error) else type(error).__name__).rstrip(".")
        says_it_all = reason.startswith(("is ", "was ", "holds "))
        raise CheckpointError(f"Checkpoint {path} {reason if says_it_all else 'cannot be read: ' + reason}.") from error


def _read(file: Any, path: Path, map_location: Any) -> Any:
    try:
        return read_archive(file, map_location)
    except NotAnArchiveError:
        file.seek(0)
        begins_like_one = file.read(2) == b"PK"
        raise ValueError("is truncated: copy it again" if begins_like_one else "is not a PyTorch checkpoint") from None


# Optional entries of a checkpoint, and their types.
_ENTRIES = {
    "epoch": "a whole number", "frame": "a whole number", "last_mean_rewards": "a number", "optimizer": "a dict",
    "amp_input_mean_std": "a dict", "amp_train": "a dict",
}  # fmt: skip


def _is_entry(value: Any, kind: str) -> bool:
    if kind == "a dict":
        return isinstance(value, dict)
    if kind == "a number":
        return type(value) in (int, float)
    return type(value) in (int, float) and 0 <= value < 2**62 and value == int(value)


def plain_tree(content: Any) -> Any:
    """Return a copy of nested containers without torch.compile's prefixes, its dicts plain and nothing shared.

    Raises:
        ValueError: something other than plain data in it, or so much nesting that it may contain itself.
    """
    return _Plain().copy(content, 0)


class _Plain:
    """Copies containers, counting nodes: a pickle can contain one list many times, or inside itself."""

    def __init__(self) -> None:
        self._nodes = 0

    def copy(self, value: Any, depth: int) -> Any:
        self._nodes += 1
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            raise ValueError("is refused: it is nested too deeply or too large")
        if isinstance(value, dict):
            return {self._key(key): self.copy(item, depth + 1) for key, item in value.items()}
        if type(value) in (list, tuple):
            return type(value)([self.copy(item, depth + 1) for item in value])
        if type(value) in _LEAVES or type(value) is Tensor:
            return value
        raise ValueError("is refused: it contains something other than plain data and tensors")

    @staticmethod
    def _key(key: Any) -> Any:
        if not isinstance(key, str):
            return key
        if len(key) > MAX_KEY:  # dicts may share one, and each copies it
            raise ValueError(f"is refused: it has a key of more than {MAX_KEY} characters")
        return key.replace(COMPILED_PREFIX, "")


def load_model_state(model: nn.Module, state: Dict[str, Any], what: str = "The checkpoint") -> None:
    """Load a state dict of exactly this model's names and shapes, and of finite numbers.

    Raises:
        CheckpointError: in one line, the first mismatch.
    """
    expected = model.state_dict()
    for name in sorted(set(expected) | set(state), key=str):
        if name not in state:
            raise CheckpointError(f"{what} does not fit this network: it lacks {name}.")
        if name not in expected:
            shown = printable(str(name))[:80]
            raise CheckpointError(f"{what} does not fit this network: it has {shown}, which the network does not have.")
        _check_tensor(name, state[name], expected[name], what)
    model.load_state_dict(state)


# What sees the policy's observation, whose last columns are the task's goal; and a column's value without effect.
_SEE_GOAL = {
    "running_mean_std.running_mean": 0.0,
    "running_mean_std.running_var": 1.0,
    "a2c_network.actor_mlp.0.weight": 0.0,
    "a2c_network.critic_mlp.0.weight": 0.0,
}
_OBS_COUNT, MAX_OBS_COUNT = "running_mean_std.count", 2e6


def task_named_in(described: Any) -> Any:
    """Return the task in a checkpoint's `amp_train` entry, which a stranger may have written; None if it names none."""
    for key in ("config", "task", "name"):
        described = described.get(key) if isinstance(described, dict) else None
    return described


def for_other_task(state: Dict[str, Any], model: nn.Module) -> Dict[str, Any]:
    """Return the state dict of one task's policy as a start for another task, whose goal may have another size.

    Columns that both have are kept, a new one begins without effect, and the observation's statistics count as few
    samples, so that they soon follow the new goal. Another character is not made to fit: its discriminator differs too.
    """
    expected, fitted = model.state_dict(), dict(state)
    for name, without_effect in _SEE_GOAL.items():
        given, wanted = state.get(name), expected.get(name)
        if not isinstance(given, Tensor) or wanted is None or given.dim() != wanted.dim():
            continue  # `load_model_state` will refuse it
        if given.shape[:-1] == wanted.shape[:-1]:
            kept = min(given.shape[-1], wanted.shape[-1])
            fitted[name] = torch.full_like(wanted, without_effect)
            fitted[name][..., :kept] = given[..., :kept]
    if isinstance(state.get(_OBS_COUNT), Tensor):
        fitted[_OBS_COUNT] = state[_OBS_COUNT].clamp(max=MAX_OBS_COUNT)
    return fitted


def _check_tensor(name: str, given: Any, expected: Tensor, what: str) -> None:
    if not isinstance(given, Tensor):
        raise CheckpointError(f"{what} does not fit this network: {name} is not a tensor.")
    if expected.shape != given.shape:
        raise CheckpointError(
            f"{what} does not fit this network: {name} has shape {tuple(given.shape)},"
            f" the network needs {tuple(expected.shape)}: check the network's units and the character."
        )
    if expected.is_floating_point() != given.is_floating_point():
        raise CheckpointError(f"{what} does not fit this network: {name} has type {given.dtype}, not {expected.dtype}.")
    if given.is_floating_point() and not bool(torch.isfinite(given).all()):
        raise CheckpointError(f"{what} is broken: {name} contains NaN or infinity.")
