"""Goals in addition to moving like the clips: one file per task, chosen by `task.name`.

Your own task need not be in this package: `task_file=my_task.py` on the command line reads a file that registers it,
as `register_task` shows.
"""

from importlib import import_module
from pkgutil import iter_modules

from amp_train.env.tasks.base import Marker, Task, TaskSetup
from amp_train.env.tasks.registry import (
    has_goal,
    load_task_file,
    make_task,
    register_task,
    scene_of,
    setting_names,
    task_settings,
)

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = [
    "Marker",
    "Task",
    "TaskSetup",
    "has_goal",
    "load_task_file",
    "make_task",
    "register_task",
    "scene_of",
    "setting_names",
    "task_settings",
]
