"""The live view of a training in a terminal: a few fixed lines with sparklines. Logs and pipes get the bar."""

import time
from collections import deque
from pathlib import Path
from typing import Any, Deque, Dict, NamedTuple, Optional, Tuple

from amp_train.checkpoint.store import policies
from amp_train.telemetry.progress import NO_TASK_REWARD
from amp_train.telemetry.sinks import Row, RowSink

SPARK = "▁▂▃▄▅▆▇█"
WIDTH, REFRESH_PER_S = 40, 4
NO_TASK = ("task_reward_mean", {NO_TASK_REWARD})
RATE_ROWS = 50  # the remaining time is estimated from this many iterations


class _Line(NamedTuple):
    """A displayed measure: its name, its column, its format."""

    title: str
    column: str
    form: str


_LINES: Tuple[_Line, ...] = (
    _Line("pose error (m)", "dtw_pose_error_m", "{:.3f}"),
    _Line("frames covered", "eval_frames_covered", "{:.0%}"),
    _Line("episode (steps)", "episode_length", "{:.0f}"),
    _Line("style reward", "style_reward_mean", "{:.3f}"),
    _Line("task reward", "task_reward_mean", "{:.3f}"),
    _Line("samples/s", "samples_per_s", "{:.0f}"),
)


class TerminalView(RowSink):
    """Draws the training's state in place, a few times a second at most."""

    def __init__(self, run_dir: Path, console: Any = None) -> None:
        """Prepare.

        Args:
            run_dir: whose checkpoints are named.
            console: rich's; None makes one on stderr.
        """
        from rich.console import Console
        from rich.live import Live

        self._run_dir, self._console = Path(run_dir), console or Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=False)
        self._history: Dict[str, Deque[float]] = {line.column: deque(maxlen=2000) for line in _LINES}
        self._times: Deque[Tuple[int, float]] = deque(maxlen=RATE_ROWS)
        self._row: Row = {}
        self._drawn_s = 0.0

    def start(self, iteration: int, max_iterations: int) -> None:
        self._iteration, self._max_iterations = iteration, max_iterations
        self._times.append((iteration, time.perf_counter()))
        self._live.start()

    def write(self, row: Row) -> None:
        self._row, self._iteration = row, int(row["iteration"])
        self._times.append((self._iteration, time.perf_counter()))
        for column, values in self._history.items():
            if row.get(column) is not None:
                values.append(float(row[column]))
        now_s = time.perf_counter()
        if now_s - self._drawn_s > 1.0 / REFRESH_PER_S or self._iteration >= self._max_iterations:
            self._drawn_s = now_s
            self._live.update(self._table(), refresh=True)

    def close(self) -> None:
        if self._row:
            self._live.update(self._table(), refresh=True)
        self._live.stop()

    def _table(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        table.add_row(Text("iteration"), Text(f"{self._iteration}/{self._max_iterations}"), Text(self._progress()))
        for line in _LINES:
            values = self._history[line.column]
            if values and (line.column, {*values}) != NO_TASK:
                table.add_row(Text(line.title), Text(line.form.format(values[-1])), Text(sparkline(values)))
        health, advice = self._row.get("disc_health"), self._row.get("disc_advice") or ""
        if health is not None:
            colour = "green" if health == "healthy" else "red"
            table.add_row(Text("discriminator"), Text(health, style=colour), Text(advice, overflow="fold"))
        if self._row.get("num_diverged"):
            table.add_row(Text("diverged"), Text(str(self._row["num_diverged"]), style="red"), Text(""))
        table.add_row(Text("checkpoint"), Text(""), Text(self._checkpoint()))
        return table

    def _progress(self) -> str:
        """Draw a bar with the remaining time at the recent rate."""
        share = self._iteration / max(self._max_iterations, 1)
        bar = "━" * round(WIDTH * share) + "─" * (WIDTH - round(WIDTH * share))
        left_s = self._left_s()
        return bar if left_s is None else f"{bar}  {clock(left_s)} left"

    def _left_s(self) -> Optional[float]:
        (first, began_s), (last, now_s) = self._times[0], self._times[-1]
        if last <= first:
            return None
        return (self._max_iterations - last) * (now_s - began_s) / (last - first)

    def _checkpoint(self) -> str:
        found = policies(self._run_dir / "nn")
        if not found:
            return "none yet"
        try:
            age_s = max(0.0, time.time() - found[-1].stat().st_mtime)
        except OSError:  # it has just been replaced
            return found[-1].name
        return f"{found[-1].name}, {clock(age_s)} ago"


def sparkline(values: Any, width: int = WIDTH) -> str:
    """Draw values as a line of blocks, each the mean of a section, scaled from lowest to highest."""
    values = list(values)
    count = min(width, len(values))
    edges = [round(k * len(values) / count) for k in range(count + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in zip(edges, edges[1:])]
    low, high = min(means), max(means)
    if high <= low:
        return SPARK[0] * count
    return "".join(SPARK[min(int((value - low) / (high - low) * len(SPARK)), len(SPARK) - 1)] for value in means)


def clock(seconds: float) -> str:
    """Write a time as 1:02:03, 2:03 or 3 s."""
    whole = int(round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
