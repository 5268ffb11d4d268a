"""Goals set by hand: by a script, a keyboard or a page, while a policy acts."""

import csv
import io
import math
from pathlib import Path
from typing import Dict, List, NamedTuple, Protocol, Union

from amp_train.env import AmpEnv
from amp_train.errors import ConfigError
from amp_train.runner.episodes import EpisodeCallback, EpisodeStep
from amp_train.untrusted import read_regular

MAX_BYTES = 2**20
TIME = "time_s"


class GoalSource(Protocol):
    """Says which goals are to be set; anything with this method is one."""

    def goals(self, time_s: float) -> Dict[str, float]:
        """Return what is to be changed at a time, by the names of the task's `controls`; nothing where it stays."""


class Steering(EpisodeCallback):
    """Sets the goals of all environments as a source says. The policy sees a new goal after one more control step."""

    def __init__(self, source: GoalSource) -> None:
        self._source = source

    def on_start(self, env: AmpEnv) -> None:
        """Set what holds from the beginning."""
        self._set(env, 0.0)

    def on_step(self, step: EpisodeStep) -> None:
        """Set what changes now."""
        self._set(step.env, step.time_s)

    def _set(self, env: AmpEnv, time_s: float) -> None:
        values = self._source.goals(time_s)
        if values:
            env.task.set_goal(**values)


class ScriptRow(NamedTuple):
    """From when on which goals hold."""

    time_s: float
    values: Dict[str, float]


class GoalScript:
    """Goals from a CSV file: a column `time_s`, and one for each of the task's controls that it sets, such as
    `heading_deg`. An empty cell leaves a goal as it is."""

    def __init__(self, path: Union[str, Path]) -> None:
        """Read the file.

        Raises:
            ConfigError: it cannot be read, or is not of this form.
        """
        self._rows = read_script(path)
        self._next = 0

    def goals(self, time_s: float) -> Dict[str, float]:
        """Return what the rows say whose time has come since the last call."""
        values: Dict[str, float] = {}
        while self._next < len(self._rows) and self._rows[self._next].time_s <= time_s + 1e-6:
            values.update(self._rows[self._next].values)
            self._next += 1
        return values


def read_script(path: Union[str, Path]) -> List[ScriptRow]:
    """Read the rows of a script, in order of time.

    Raises:
        ConfigError: the file cannot be read, or is not of the form that `GoalScript` takes.
    """
    path = Path(path)
    try:
        data = read_regular(path, MAX_BYTES)
        table = list(csv.DictReader(io.StringIO(data.decode("utf-8")), strict=True)) if len(data) <= MAX_BYTES else []
    except OSError as error:
        raise ConfigError(f"Script '{path}' cannot be read: {error.strerror or error}.") from None
    except (UnicodeDecodeError, csv.Error):
        raise ConfigError(f"Script '{path}' is no CSV file.") from None
    if not table or TIME not in table[0] or len(table[0]) < 2:
        raise ConfigError(f"Script '{path}' must begin with a line like time_s,heading_deg,speed_m_s, and have a row.")
    rows = [_row(cells, number, path) for number, cells in enumerate(table, 2)]
    if any(later.time_s < row.time_s for row, later in zip(rows, rows[1:])):
        raise ConfigError(f"Script '{path}': the times must not fall.")
    return rows


def _row(cells: Dict[str, str], number: int, path: Path) -> ScriptRow:
    try:
        values = {name: float(cell) for name, cell in cells.items() if cell}  # cells without a column are a list
        if not all(math.isfinite(value) for value in values.values()):
            raise ValueError
        return ScriptRow(values.pop(TIME), values)
    except (ValueError, TypeError, KeyError):
        raise ConfigError(f"Script '{path}', line {number}: expected numbers, and a time.") from None
