"""Command-line overrides, checked before Hydra composes them, so that a typo gives one line and the right name."""

import difflib
import functools
import re
from dataclasses import is_dataclass
from typing import Any, Callable, Iterable, Iterator, List, Optional, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from amp_train.config.schema import ACTOR, Config
from amp_train.config.simulator import EverySim
from amp_train.errors import ConfigError, unknown_choice

ACTORS = "task.task.randomization_params.actor_params"
GOAL = "task.goal"


def parse_overrides(overrides: Sequence[str]) -> List[Override]:
    """Parse `key=value` arguments.

    Raises:
        ConfigError: for one that cannot be read.
    """
    return [_parse(text) for text in overrides]


def _parse(text: str) -> Override:
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"Cannot read the argument '{text}': {reason}. Write key=value.") from error


def check_overrides(overrides: Sequence[Override], group_options: Callable[[str], List[str]]) -> None:
    """Check that every override names a key of the schema or an option of a group; Hydra checks its own keys.

    Args:
        overrides: parsed arguments.
        group_options: the options of a config group, empty when there is no such group.

    Raises:
        ConfigError: naming the nearest key or the allowed options.
    """
    schema = _schema()
    _fill_goal(schema, overrides)
    for override in overrides:
        key = override.key_or_group
        if key == "hydra" or key.startswith(("hydra.", "hydra/")):
            continue
        if override.is_delete():
            raise ConfigError(f"'~{key}' would delete a key that is needed. Set another value instead.")
        options = group_options(key)
        if options:
            _check_options(key, override, options)
        elif not _is_in(schema, key):
            raise _unknown_key(schema, key)


@functools.lru_cache(maxsize=1)
def _common_schema() -> DictConfig:
    return _schema()


def has_key(key: str) -> bool:
    """Return whether the schema has a dotted key, whatever the task."""
    return _is_in(_common_schema(), key)


def _schema() -> DictConfig:
    """Return the schema with what is null by default filled in."""
    schema = OmegaConf.structured(Config)
    OmegaConf.update(schema, ACTORS, {ACTOR: {}})
    # Which backend's keys are right is known when `sim` is composed.
    schema.sim = OmegaConf.structured(EverySim)
    _fill(schema)
    return schema


def _fill_goal(schema: DictConfig, overrides: Sequence[Override]) -> None:
    """Give `task.goal` the keys of all tasks, including those of the user's `task_file`."""
    files = [o.value() for o in overrides if o.key_or_group == "task_file"]
    if files or any(o.key_or_group.startswith(GOAL + ".") for o in overrides):
        from amp_train.env.tasks import load_task_file, setting_names  # imports torch; Isaac Gym must come first

        for file in files:
            if file is not None:
                load_task_file(str(file))
        OmegaConf.update(schema, GOAL, dict.fromkeys(setting_names(), None))


def _fill(node: DictConfig) -> None:
    """Replace every null that may be a group of keys by such a group."""
    for name in list(node.keys()):
        child = node._get_node(name)
        if isinstance(child, DictConfig):
            if child._is_none():
                if not is_dataclass(child._metadata.ref_type):
                    continue
                node[name] = OmegaConf.structured(child._metadata.ref_type)
            _fill(node[name])


def _check_options(group: str, override: Override, options: List[str]) -> None:
    for value in _values(override):
        if not isinstance(value, str) or value not in options:
            error = unknown_choice(group, str(value), options)
            is_file = group == "motion" and re.search(r"[/.]", str(value))
            raise ConfigError(f"{error} For a clip of your own: motion.file={value}") if is_file else error


def _values(override: Override) -> Iterable[Any]:
    if override.is_sweep_override():
        return [_parse("x=" + text).value() for text in override.sweep_string_iterator()]
    return [override.value()]


def _is_in(schema: DictConfig, key: str) -> bool:
    node: Any = schema
    for part in key.split("."):
        if not isinstance(node, DictConfig) or part not in node.keys():
            return False
        node = node._get_node(part)
    return True


def _unknown_key(schema: DictConfig, key: str) -> ConfigError:
    near = _nearest_key(list(_all_keys(schema)), key)
    if near:
        return ConfigError(f"Unknown key '{key}'. Did you mean '{near}'?")
    parent = _deepest_known(schema, key)
    children = ", ".join(sorted(str(name) for name in parent.keys()))
    return ConfigError(f"Unknown key '{key}'. Choose one of: {children}.")


def _all_keys(node: DictConfig, prefix: str = "") -> Iterator[str]:
    for name in node.keys():
        yield prefix + str(name)
        child = node._get_node(name)
        if isinstance(child, DictConfig) and not child._is_none():
            yield from _all_keys(child, prefix + str(name) + ".")


def _nearest_key(keys: List[str], key: str) -> Optional[str]:
    """Return the key most like `key`: a typo in its last part, else the same last part elsewhere."""
    parent, _, last = key.rpartition(".")
    by_last_part = {k.rpartition(".")[2]: k for k in reversed(keys)}
    siblings = {k.rpartition(".")[2]: k for k in keys if k.rpartition(".")[0] == parent}
    for names, cutoff in ((siblings, 0.6), (by_last_part, 0.8)):
        near = difflib.get_close_matches(last, list(names), n=1, cutoff=cutoff)
        if near:
            return names[near[0]]
    return None


def _deepest_known(schema: DictConfig, key: str) -> DictConfig:
    node = schema
    for part in key.split("."):
        child = node._get_node(part) if part in node.keys() else None
        if not isinstance(child, DictConfig):
            return node
        node = child
    return node
