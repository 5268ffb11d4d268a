"""The live view of a training, on a terminal that is a string."""

import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from amp_train.checkpoint.store import CheckpointStore
from amp_train.telemetry import ProgressBar, training_view
from amp_train.telemetry.terminal import TerminalView, clock, sparkline

console = pytest.importorskip("rich.console")


def row(iteration: int, **values: Any) -> Any:
    return {"iteration": iteration, "episode_length": 10.0 * iteration, "samples_per_s": 2000.0, **values}


def shown(tmp_path: Path, rows: Any, total: int = 8) -> str:
    stream = io.StringIO()
    view = TerminalView(tmp_path, console.Console(file=stream, force_terminal=True, width=120, color_system=None))
    view.start(0, total)
    for each in rows:
        view.write(each)
    view.close()
    return stream.getvalue()


def test_a_sparkline_rises_with_the_values_and_is_as_wide_as_asked() -> None:
    assert sparkline(range(8), 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([5.0, 1.0], 8) == "█▁"
    assert sparkline([3.0] * 5) == "▁▁▁▁▁"
    assert len(sparkline(range(1000), 40)) == 40 and sparkline(range(1000), 40)[-1] == "█"


def test_a_clock_is_written_as_people_do() -> None:
    assert [clock(s) for s in (2.6, 61, 3723)] == ["3 s", "1:01", "1:02:03"]


def test_the_view_shows_measures_health_time_left_and_the_newest_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "nn").mkdir()
    for iteration, name, time_s in ((9, "old", 2000), (10, "newest", 1000)):  # the clock was set back
        CheckpointStore(tmp_path / "nn", 2).save_policy(name, {}, iteration)
        os.utime(tmp_path / "nn" / (name + ".pth"), (time_s, time_s))
    rows = [row(k, dtw_pose_error_m=0.5 / k if k % 2 == 0 else None) for k in range(1, 5)]
    rows.append(row(5, style_reward_mean=0.25, disc_health="saturated", disc_advice="Lower it."))
    text = shown(tmp_path, rows).split("\n")
    last = "\n".join(text[-12:])
    assert "5/8" in last and "left" in last
    assert "pose error (m)" in last and "0.125" in last and "█▁" in last
    assert "▁▃▅▇█" in last
    assert "saturated" in last and "Lower it." in last
    assert "newest.pth" in last and "old.pth" not in last
    assert "task reward" not in last


def test_the_view_is_drawn_in_place_and_not_once_an_iteration(tmp_path: Path) -> None:
    text = shown(tmp_path, [row(k) for k in range(1, 200)], total=200)
    assert text.count("samples/s") < 12


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_pipes_logs_and_dumb_terminals_get_the_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(training_view(tmp_path), ProgressBar)
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert isinstance(training_view(tmp_path), TerminalView)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(training_view(tmp_path), ProgressBar)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert isinstance(training_view(tmp_path), ProgressBar)


class Gone(Terminal):
    def write(self, text: str) -> int:
        raise OSError("the terminal was closed")


def test_a_terminal_that_goes_away_does_not_end_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stderr", Gone())
    view = training_view(tmp_path)
    assert isinstance(view, TerminalView)
    view.start(0, 3)
    view.write(row(3))
    view.close()
