"""Configuration that a stranger may have written: what a checkpoint carries, and folders of config groups.

It is data. It reads no environment, calls nothing, sets nothing of Hydra's, and says nothing of where files go; all of
that is for the command line, which the user types."""

import os
import re
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence

from hydra.core.override_parser.types import Override

from amp_train.errors import ConfigError
from amp_train.untrusted import parse_plain_yaml, printable, read_regular

MAX_NODES, MAX_DEPTH, MAX_KEY = 10_000, 16, 100
MAX_FILE_BYTES, MAX_FILES, MAX_FOLDER_DEPTH = 2**20, 10_000, 4
# How a run is wired to its place and its machine; a checkpoint's own wiring is not used.
WIRING = {
    "train.params": ("seed", "torch_threads", "load_checkpoint", "load_path"),
    "train.params.config": (
        "full_experiment_name", "env_name", "device", "device_name", "multi_gpu", "num_actors", "train_dir",
    ),
}  # fmt: skip
_REFERENCE = re.compile(r"\$\{\.*[A-Za-z_][A-Za-z0-9_.]*\}")
_PACKAGE = re.compile(rb"^\s*#\s*@package\s+(\S+)", re.MULTILINE)
_NO_KEYS = ("hydra", "_target_", "_partial_", "_args_", "_recursive_", "_convert_")


def checked_stored(stored: Any, keys: Sequence[str]) -> Dict[str, Any]:
    """Return the given top-level keys of a stored configuration, without its wiring.

    Raises:
        ConfigError: something else than plain values and references to other keys in it.
    """
    if not isinstance(stored, dict):
        raise ConfigError("The checkpoint's configuration is not one.")
    kept = {key: stored[key] for key in keys if key in stored}
    _check_values(kept, "The checkpoint's configuration")
    for place, names in WIRING.items():
        kept = _without(kept, place.split("."), names)
    return kept


def check_config_folders(folders: Sequence[str]) -> None:
    """Check every file of folders with config groups, before Hydra reads any.

    Raises:
        ConfigError: naming the file and what is wrong with it.
    """
    for folder in folders:
        for path in _yaml_files(Path(folder)):
            _check_file(path, path.relative_to(folder))


def search_folders(overrides: Sequence[Override]) -> List[str]:
    """Return the folders that `hydra.searchpath=` on the command line adds."""
    values = [o.value() for o in overrides if o.key_or_group == "hydra.searchpath"]
    paths = [str(path) for value in values if isinstance(value, list) for path in value]
    paths = [path[len("file://") :] if path.startswith("file://") else path for path in paths]
    return [path for path in paths if "://" not in path]


def _yaml_files(folder: Path) -> Iterator[Path]:
    count = 0
    for root, folders, files in os.walk(str(folder), followlinks=True):
        count += len(files) + len(folders)
        depth = len(Path(root).relative_to(folder).parts)
        if count > MAX_FILES or depth > MAX_FOLDER_DEPTH:
            raise ConfigError("'{}' holds too much to be a folder of config groups.".format(folder))
        yield from (Path(root) / name for name in files if name.lower().endswith(".yaml"))


def _check_file(path: Path, place: Path) -> None:
    what = "Config file '{}'".format(printable(str(path)))
    try:
        data = read_regular(path, MAX_FILE_BYTES)
        if len(data) > MAX_FILE_BYTES:
            raise ValueError("too large")
        content = parse_plain_yaml(data)
    except OSError as error:
        raise ConfigError("{} cannot be read: {}.".format(what, error.strerror or error)) from None
    except ValueError as error:
        raise ConfigError("{} is {}.".format(what, printable(str(error)))) from None
    packages = [package.decode("latin1") for package in _PACKAGE.findall(data)]
    for part in list(place.parts) + [part for package in packages for part in package.split(".")]:
        if part.lower() == "hydra":
            raise ConfigError("{} sets Hydra's own settings: give them on the command line.".format(what))
    if isinstance(content, dict) and "hydra" in repr(content.get("defaults", "")).lower():
        raise ConfigError("{} chooses Hydra's own settings: give them on the command line.".format(what))
    _check_values(content, what)


def _check_values(content: Any, what: str) -> None:
    todo, count = [(content, 0)], 0
    while todo:
        value, depth = todo.pop()
        count += 1
        if depth > MAX_DEPTH or count > MAX_NODES:
            raise ConfigError("{} is nested too deeply or holds too much.".format(what))
        if isinstance(value, dict):
            for key in value:
                _check_key(key, what)
            todo += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list):
            todo += [(item, depth + 1) for item in value]
        elif isinstance(value, str):
            _check_text(value, what)
        elif not isinstance(value, (bool, int, float, type(None))) or value != value:
            raise ConfigError("{} holds {!r:.40} where a plain value belongs.".format(what, value))
        elif isinstance(value, int) and abs(value) >= 2**63:
            raise ConfigError("{} holds a number of too many digits.".format(what))


def _check_key(key: Any, what: str) -> None:
    # A whole number as a key is none of ours, but what to say about it is known where the schema is.
    if not isinstance(key, (str, int)) or key in _NO_KEYS or len(str(key)) > MAX_KEY:
        raise ConfigError("{} has the key {}, which is not allowed there.".format(what, printable(repr(key)[:80])))


def _check_text(text: str, what: str) -> None:
    """Allow one reference to another key in a text: with two, a chain of them would double at every step.

    Control characters are refused too: an error would carry them to the terminal."""
    references = len(_REFERENCE.findall(text))
    if printable(text) != text or references > 1 or "${" in _REFERENCE.sub("", text):
        raise ConfigError(
            "{} holds {}: only plain values are allowed there, and one reference like ${{num_envs}}.".format(
                what, printable(repr(text)[:80])
            )
        )


def _without(tree: Dict[str, Any], place: List[str], names: Sequence[str]) -> Dict[str, Any]:
    """Return a copy of nested dicts without the keys `names` at a place, if there is such a place."""
    if not isinstance(tree, dict):
        return tree
    if not place:
        return {key: value for key, value in tree.items() if key not in names}
    return {key: _without(value, place[1:], names) if key == place[0] else value for key, value in tree.items()}
