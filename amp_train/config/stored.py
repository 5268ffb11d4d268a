"""The configuration in a checkpoint, which a stranger may have written.

It is data only: it reads no environment variable, calls nothing, sets none of Hydra's own keys, and does not decide
where files go; only the command line can do that.
"""

import re
from typing import Any, Dict, List, Sequence

from amp_train.errors import ConfigError
from amp_train.untrusted import printable

WHAT = "The checkpoint's configuration"
MAX_NODES, MAX_DEPTH, MAX_KEY = 10_000, 16, 100
# Keys that tie a run to its folder and machine; those of a checkpoint are not used.
WIRING = {
    "train.params": ("seed", "torch_threads", "load_checkpoint", "load_path"),
    "train.params.config": (
        "full_experiment_name", "env_name", "device", "device_name", "multi_gpu", "num_actors", "train_dir",
    ),
}  # fmt: skip
_REFERENCE = re.compile(r"\$\{\.*[A-Za-z_][A-Za-z0-9_.]*\}")
_NO_KEYS = ("hydra", "_target_", "_partial_", "_args_", "_recursive_", "_convert_")


def checked_stored(stored: Any, keys: Sequence[str]) -> Dict[str, Any]:
    """Return the given top-level keys of a stored configuration, without its wiring.

    Raises:
        ConfigError: it contains something other than plain values and references to other keys.
    """
    if not isinstance(stored, dict):
        raise ConfigError(f"{WHAT} is not a dict.")
    kept = {key: stored[key] for key in keys if key in stored}
    _check_values(kept)
    for place, names in WIRING.items():
        kept = _without(kept, place.split("."), names)
    return kept


def _check_values(content: Any) -> None:
    todo, count = [(content, 0)], 0
    while todo:
        value, depth = todo.pop()
        count += 1
        if depth > MAX_DEPTH or count > MAX_NODES:
            raise ConfigError(f"{WHAT} is nested too deeply or too large.")
        if isinstance(value, dict):
            for key in value:
                _check_key(key)
            todo += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list):
            todo += [(item, depth + 1) for item in value]
        else:
            _check_leaf(value)


def _check_leaf(value: Any) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif not isinstance(value, (bool, int, float, type(None))) or value != value:
        raise ConfigError(f"{WHAT} contains {value!r:.40} instead of a plain value.")
    elif isinstance(value, int) and abs(value) >= 2**63:
        raise ConfigError(f"{WHAT} contains a number with too many digits.")


def _check_key(key: Any) -> None:
    # No key of ours is an integer, but the schema gives the better error for one.
    if not isinstance(key, (str, int)) or key in _NO_KEYS or len(str(key)) > MAX_KEY:
        raise ConfigError(f"{WHAT} has the key {printable(repr(key)[:80])}, which is not allowed there.")


def _check_text(text: str) -> None:
    """Allow one reference to another key in a string: with two, a chain of them would double at every step.

    Control characters are refused too: an error would print them to the terminal.
    """
    references = len(_REFERENCE.findall(text))
    if printable(text) != text or references > 1 or "${" in _REFERENCE.sub("", text):
        raise ConfigError(
            f"{WHAT} contains {printable(repr(text)[:80])}: only plain values and one reference like "
            "${num_envs} are allowed."
        )


def _without(tree: Any, place: List[str], names: Sequence[str]) -> Any:
    """Return a copy of nested dicts without the keys `names` at a place, if that exists."""
    if not isinstance(tree, dict):
        return tree
    if not place:
        return {key: value for key, value in tree.items() if key not in names}
    return {key: _without(value, place[1:], names) if key == place[0] else value for key, value in tree.items()}
