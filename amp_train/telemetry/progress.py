"""The progress bar: progress, rate, remaining time, and whether the training learns."""

import os
import sys
from pathlib import Path
from typing import Any, Optional, TextIO

from tqdm import tqdm

from amp_train.streams import LenientStream
from amp_train.telemetry.sinks import Row, RowSink

BAR_FORMAT = "iteration {n_fmt}/{total_fmt} |{bar:16}| {elapsed}<{remaining}{postfix}"
TERMINAL_INTERVAL_S, LOG_INTERVAL_S = 0.5, 60.0
SICK_ROWS_BEFORE_ADVICE = 20
NO_TASK_REWARD = 1.0  # what a task without a goal gives


class ProgressBar(RowSink):
    """A tqdm bar; one line a minute without a terminal. Its ETA follows the recent rate."""

    def __init__(self, stream: Optional[TextIO] = None) -> None:
        self._stream: Any = LenientStream(stream or sys.stderr)
        self._bar: Any = None
        self._episode_length: Optional[float] = None
        self._evaluation = ""
        self._sick_rows = 0

    def start(self, iteration: int, max_iterations: int) -> None:
        self._bar = tqdm(
            total=max_iterations,
            initial=iteration,
            bar_format=BAR_FORMAT,
            smoothing=0.1,
            mininterval=TERMINAL_INTERVAL_S if self._stream.isatty() else LOG_INTERVAL_S,
            file=self._stream,
            dynamic_ncols=True,
        )

    def write(self, row: Row) -> None:
        self._warn(row)
        self._bar.set_postfix_str(self._summary(row), refresh=False)
        self._bar.update(1)

    def _warn(self, row: Row) -> None:
        """Print advice above the bar, once, when the discriminator has been unhealthy for a while."""
        self._sick_rows = self._sick_rows + 1 if row.get("disc_advice") else 0
        if self._sick_rows == SICK_ROWS_BEFORE_ADVICE:
            self._bar.write(row["disc_advice"], file=self._stream)

    def _summary(self, row: Row) -> str:
        if row["episode_length"] is not None:
            self._episode_length = row["episode_length"]
        parts = [f"{row['samples_per_s'] or 0.0:.0f} samples/s"]
        if self._episode_length is not None:
            parts.append(f"episode {self._episode_length:.0f} steps")
        style, agent_acc, demo_acc = (
            row.get(name) for name in ("style_reward_mean", "disc_agent_acc", "disc_demo_acc")
        )
        if style is not None:
            parts.append(f"style {style:.3f}")
        if row.get("task_reward_mean") not in (None, NO_TASK_REWARD):
            parts.append(f"task {row['task_reward_mean']:.3f}")
        if agent_acc is not None and demo_acc is not None:
            parts.append(f"disc acc {0.5 * (agent_acc + demo_acc):.2f}")
        if row.get("disc_health") is not None:
            parts.append(f"disc {row['disc_health']}")
        if row.get("num_diverged"):
            parts.append(f"{row['num_diverged']} diverged")
        if row.get("dtw_pose_error_m") is not None:
            self._evaluation = f"pose error {row['dtw_pose_error_m']:.3f} m"
            if row.get("eval_frames_covered") is not None:
                self._evaluation += f" on {row['eval_frames_covered']:.0%} of the clip"
        if self._evaluation:
            parts.append(self._evaluation)
        return ", ".join(parts)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def training_view(run_dir: Path) -> RowSink:
    """Return the display of a training: a few live lines in a capable terminal, else the bar."""
    stream = LenientStream(sys.stderr)
    if not stream.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return ProgressBar()
    try:
        from rich.console import Console

        from amp_train.telemetry.terminal import TerminalView
    except ImportError:
        return ProgressBar()
    return TerminalView(run_dir, Console(file=stream))  # type: ignore[arg-type]
