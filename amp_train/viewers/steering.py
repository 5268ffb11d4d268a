"""Goals by hand: from a script, or a little at a time from keys. A task says what can be set: `task.controls`."""

import csv
from pathlib import Path
from typing import Any, Dict, List, Tuple, Union

from amp_train.env import AmpEnv
from amp_train.errors import ConfigError
from amp_train.runner.episodes import EpisodeCallback, EpisodeStep

TIME = "time_s"
STEPS = 24  # keys go from one end of a control's range to the other in so many presses
BIG_STEP = {"heading_deg": 15.0, "x_m": 0.5, "y_m": 0.5}


class ScriptedGoals(EpisodeCallback):
    """Sets goals at the times that a CSV file says; the same file gives the same video."""

    def __init__(self, path: Union[str, Path]) -> None:
        """Read a file whose first row names columns: `time_s`, and controls of the task. An empty cell leaves a goal.

        Raises:
            ConfigError: no such file, no column `time_s`, no row, or a cell that is no number.
        """
        self._path, self._rows = str(path), _read(Path(path))

    def on_start(self, env: AmpEnv) -> None:
        """Set the goals of time 0.

        Raises:
            ConfigError: a column that the task has no control for.
        """
        controls = env.task.controls
        for name in {name for _, goals in self._rows for name in goals} - set(controls):
            known = ", ".join(sorted(controls)) or "none"
            raise ConfigError(f"{self._path}: the task has no control {name}; it has: {known}.")
        self._next = 0
        self._set_due(env, 0.0)

    def on_step(self, step: EpisodeStep) -> None:
        """Set the goals that are due."""
        self._set_due(step.env, step.time_s)

    def _set_due(self, env: AmpEnv, time_s: float) -> None:
        while self._next < len(self._rows) and self._rows[self._next][0] <= time_s + 1e-6:
            env.task.set_goal(**self._rows[self._next][1])
            self._next += 1


def _read(path: Path) -> List[Tuple[float, Dict[str, float]]]:
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file, skipinitialspace=True))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Script {path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if not rows or TIME not in rows[0]:
        raise ConfigError(f"Script {path} needs a first row of names with {TIME}, and a row for each change of a goal.")
    return sorted((_row(path, number, row) for number, row in enumerate(rows, start=2)), key=lambda entry: entry[0])


def _row(path: Path, number: int, row: Dict[str, Any]) -> Tuple[float, Dict[str, float]]:
    try:
        values = {name: float(cell) for name, cell in row.items() if name and cell not in (None, "")}
        return values.pop(TIME), values
    except (TypeError, ValueError, KeyError) as error:
        raise ConfigError(f"Script {path}, line {number}: every cell must be a number, and {TIME} be there.") from error


class KeyGoals:
    """Goals that keys change by steps: each control has a value from when it is first changed."""

    def __init__(self, controls: Dict[str, Tuple[float, float]]) -> None:
        """Begin in the middle of each range (low, high), which is where an unlimited one has its 0."""
        self.controls = dict(controls)
        self.values = {name: 0.5 * (low + high) for name, (low, high) in controls.items()}

    def step_of(self, name: str) -> float:
        """Return by how much a key changes a control."""
        low, high = self.controls[name]
        return BIG_STEP.get(name, (high - low) / STEPS)

    def change(self, name: str, steps: int) -> Dict[str, float]:
        """Change a control by some steps, within its range; a heading goes round. Returns all values."""
        low, high = self.controls[name]
        value = self.values[name] + steps * self.step_of(name)
        if name.endswith("_deg"):
            value = (value + 180.0) % 360.0 - 180.0
        self.values[name] = min(max(value, low), high)
        return dict(self.values)

    def arrow(self, key: str) -> Dict[str, float]:
        """Return the goals after an arrow key: left and right change the first control, up and down the second."""
        names = list(self.controls)
        if not names:
            return {}
        # Left is counter-clockwise for a heading, and up is more of anything.
        turns = names[0].endswith("_deg")
        if key in ("left", "right"):
            return self.change(names[0], (1 if key == "left" else -1) * (1 if turns else -1))
        return self.change(names[-1], 1 if key == "up" else -1)
