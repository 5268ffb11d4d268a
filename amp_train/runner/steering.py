"""Goals set by hand: by a script, a keyboard or a page, while a policy acts."""

import csv
import io
import math
from pathlib import Path
from typing import Dict, List, NamedTuple, Protocol, Tuple, Union

from amp_train.env import AmpEnv
from amp_train.errors import ConfigError
from amp_train.runner.episodes import EpisodeCallback, EpisodeStep
from amp_train.untrusted import read_regular

MAX_BYTES = 2**20
TIME = "time_s"
STEPS = 24  # key presses from one end of a control's range to the other
BIG_STEP = {"heading_deg": 15.0, "x_m": 0.5, "y_m": 0.5}


class GoalSource(Protocol):
    """A source of goals; anything with this method is one."""

    def goals(self, time_s: float) -> Dict[str, float]:
        """Return the changes at a time, by the names of the task's `controls`; unchanged goals are left out."""


class Steering(EpisodeCallback):
    """Sets the goals of all environments from a source. The policy sees a new goal after one more control step."""

    def __init__(self, source: GoalSource) -> None:
        self._source = source

    def on_start(self, env: AmpEnv) -> None:
        """Set the initial goals.

        Raises:
            ConfigError: a script has a column that the task has no control for.
        """
        if isinstance(self._source, GoalScript):
            self._source.begin(env.task.controls)
        self.apply(env, 0.0)

    def on_step(self, step: EpisodeStep) -> None:
        """Set the goals that change now."""
        self.apply(step.env, step.time_s)

    def apply(self, env: AmpEnv, time_s: float) -> None:
        """Set what the source says for a time."""
        values = self._source.goals(time_s)
        if values:
            env.task.set_goal(**values)


class ScriptRow(NamedTuple):
    """A time and the goals from then on."""

    time_s: float
    values: Dict[str, float]


class GoalScript:
    """Goals from a CSV file: a column `time_s`, and one for each of the task's controls that it sets, such as
    `heading_deg`. An empty cell does not change a goal."""

    def __init__(self, path: Union[str, Path]) -> None:
        """Read the file.

        Raises:
            ConfigError: it cannot be read, or does not have this form.
        """
        self._path, self._rows, self._next = str(path), read_script(path), 0

    def begin(self, controls: Dict[str, Tuple[float, float]]) -> None:
        """Go back to the first row, for a task with these controls.

        Raises:
            ConfigError: a column that a task with these controls does not have.
        """
        for name in {name for row in self._rows for name in row.values} - set(controls):
            known = ", ".join(sorted(controls)) or "none"
            raise ConfigError(f"{self._path}: the task has no control {name}; it has: {known}.")
        self._next = 0

    def goals(self, time_s: float) -> Dict[str, float]:
        """Return the goals of the rows that have become due since the last call."""
        values: Dict[str, float] = {}
        while self._next < len(self._rows) and self._rows[self._next].time_s <= time_s + 1e-6:
            values.update(self._rows[self._next].values)
            self._next += 1
        return values


def read_script(path: Union[str, Path]) -> List[ScriptRow]:
    """Read the rows of a script, in order of time.

    Raises:
        ConfigError: the file cannot be read, or does not have `GoalScript`'s form.
    """
    path = Path(path)
    try:
        data = read_regular(path, MAX_BYTES)
        table = list(csv.DictReader(io.StringIO(data.decode("utf-8")), strict=True)) if len(data) <= MAX_BYTES else []
    except OSError as error:
        raise ConfigError(f"Script '{path}' cannot be read: {error.strerror or error}.") from None
    except (UnicodeDecodeError, csv.Error):
        raise ConfigError(f"Script '{path}' is not a CSV file.") from None
    if not table or TIME not in table[0] or len(table[0]) < 2:
        raise ConfigError(f"Script '{path}' must begin with a line like time_s,heading_deg,speed_m_s, and have a row.")
    rows = [_row(cells, number, path) for number, cells in enumerate(table, 2)]
    if any(later.time_s < row.time_s for row, later in zip(rows, rows[1:])):
        raise ConfigError(f"Script '{path}': the times must not decrease.")
    return rows


def _row(cells: Dict[str, str], number: int, path: Path) -> ScriptRow:
    try:
        values = {name: float(cell) for name, cell in cells.items() if cell}  # cells without a column are a list
        if not all(math.isfinite(value) for value in values.values()):
            raise ValueError
        return ScriptRow(values.pop(TIME), values)
    except (ValueError, TypeError, KeyError):
        raise ConfigError(f"Script '{path}', line {number}: expected a time and numbers.") from None


class KeyGoals:
    """Goals that keys, sliders and clicks change: each control has a value from when it is first changed."""

    def __init__(self, controls: Dict[str, Tuple[float, float]]) -> None:
        """Begin in the middle of each range (low, high), which is where an unlimited one has its 0."""
        self.controls = dict(controls)
        self.values = {name: 0.5 * (low + high) for name, (low, high) in controls.items()}
        self._changed: Dict[str, float] = {}

    def set(self, values: Dict[str, float]) -> None:
        """Have goals changed at the next step, within their ranges."""
        limits = self.controls
        values = {name: min(max(value, limits[name][0]), limits[name][1]) for name, value in values.items()}
        self.values.update(values)
        self._changed.update(values)

    def goals(self, time_s: float) -> Dict[str, float]:
        """Return what has been changed since the last call."""
        changed, self._changed = self._changed, {}
        return changed

    def step_of(self, name: str) -> float:
        """Return by how much a key changes a control."""
        low, high = self.controls[name]
        return BIG_STEP.get(name, (high - low) / STEPS)

    def change(self, name: str, steps: int) -> Dict[str, float]:
        """Change a control by some steps, within its range; a heading wraps around. Returns all values."""
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
