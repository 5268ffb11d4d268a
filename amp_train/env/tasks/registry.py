"""Tasks by name. A configuration names a task and its settings; it never names a file with code."""

import importlib.util
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Type, TypeVar, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from amp_train.env.tasks.base import Task, TaskSetup
from amp_train.errors import ConfigError, nearest, unknown_choice
from amp_train.sim.scene import Scene

if TYPE_CHECKING:
    from amp_train.config.schema import TaskConfig

MAX_SETTING = 1e6  # beyond it sizes fill the memory, and simulators fail
AnyTask = TypeVar("AnyTask", bound=Type[Task])


@dataclass
class NoSettings:
    """A task without settings."""


class TaskEntry(NamedTuple):
    """A registered task: its class, and the dataclass of `task.goal`."""

    make: Type[Task]
    settings: Type[Any]


_TASKS: Dict[str, TaskEntry] = {}
_FILES: List[Path] = []


def register_task(name: str, settings: Type[Any] = NoSettings) -> Callable[[AnyTask], AnyTask]:
    """Register a task: `@register_task("HumanoidAMPHeading", HeadingSettings)` above its class.

    Args:
        name: its name in `task.name`.
        settings: a dataclass with a default for every field; the YAML's `task.goal` sets them. It may refuse values in
            its `__post_init__` with a ConfigError.
    """

    def register(task: AnyTask) -> AnyTask:
        _TASKS[name] = TaskEntry(task, settings)
        return task

    return register


def load_task_file(path: str) -> None:
    """Run the user's Python file, which registers tasks; once per process.

    Raises:
        ConfigError: no such file, or not a Python file.
    """
    file = Path(path).expanduser().resolve()
    if file in _FILES:
        return
    if file.suffix != ".py" or not file.is_file():
        raise ConfigError(f"task_file={path}: there is no such Python file.")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    _FILES.append(file)


def setting_names(name: Optional[str] = None) -> List[str]:
    """Return the keys of `task.goal` of one task, or of all."""
    entries = _TASKS.values() if name is None else [_entry(name)]
    return [field.name for entry in entries for field in fields(entry.settings)]


def task_settings(name: str, goal: Mapping[str, Any]) -> Any:
    """Return the settings of a task, `task.goal` filled into its dataclass.

    Raises:
        ConfigError: no such task or key, or a value that the task does not take.
    """
    names = setting_names(name)
    for key in goal:
        if key not in names:
            keys = f"Task {name} has the keys: {', '.join(names) or 'none'}."
            raise ConfigError(f"Unknown key 'task.goal.{key}'. {keys}{nearest(str(key), names)}")
    try:
        typed = OmegaConf.merge(OmegaConf.structured(_entry(name).settings), cast(DictConfig, dict(goal)))
        settings = OmegaConf.to_object(typed)
    except OmegaConfBaseException as error:
        raise ConfigError(f"task.goal: {str(error).splitlines()[0].rstrip('.')}.") from error
    for key in goal:
        _check_numbers(str(key), getattr(settings, key))
    return settings


def _check_numbers(key: str, value: Any) -> None:
    for number in value if isinstance(value, list) else [value]:
        if isinstance(number, float) and not abs(number) <= MAX_SETTING:
            raise ConfigError(f"task.goal.{key} must be at most {MAX_SETTING:g}, not {number}.")


def make_task(cfg: "TaskConfig", setup: TaskSetup) -> Task:
    """Build the task of a configuration's `task` part.

    Raises:
        ConfigError: as `task_settings`.
    """
    return _entry(cfg.name).make(task_settings(cfg.name, cfg.goal), setup)


def has_goal(name: str) -> bool:
    """Return whether a task has a goal, and so a reward of its own."""
    return _entry(name).make.goal_size > 0


def scene_of(cfg: "TaskConfig") -> Scene:
    """Return the scene of a configuration's task."""
    return _entry(cfg.name).make.scene(task_settings(cfg.name, cfg.goal))


def _entry(name: str) -> TaskEntry:
    if name not in _TASKS:
        raise ConfigError(f"{unknown_choice('task', name, _TASKS)} For a task of your own: task_file=FILE.py.")
    return _TASKS[name]
