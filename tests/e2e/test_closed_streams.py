"""The four commands when the terminal is gone: they end as they would, and nothing is printed into their files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_faults import SMALL

from amp_train.checkpoint.store import newest_valid
from amp_train.motion import load_clip

REPOSITORY = Path(__file__).resolve().parents[2]
ALL_CLOSED, READER_GONE = "<&- >&- 2>&-", "2>&- | head -1"
REDIRECTIONS = [
    ALL_CLOSED,
    READER_GONE,
    *(pytest.param(text, marks=pytest.mark.slow) for text in ("2>&1 | head -1", "2>&-", ">/dev/full 2>&1")),
]


def shell(folder, command, redirection=""):
    """Run a command in bash; return its exit code, whatever reads what it prints."""
    line = f"{sys.executable} -m amp_train.cli.{command} {redirection}; exit ${{PIPESTATUS[0]}}"
    environ = dict(os.environ, PYTHONPATH=str(REPOSITORY))
    done = subprocess.run(["bash", "-c", line], cwd=str(folder), env=environ, capture_output=True, text=True)
    assert "Traceback" not in done.stdout + done.stderr and "Exception ignored" not in done.stdout + done.stderr
    return done.returncode


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with runs/run."""
    folder = tmp_path_factory.mktemp("trained")
    assert shell(folder, "train " + " ".join(f"'{text}'" for text in SMALL)) == 0
    return folder


@pytest.mark.parametrize("redirection", REDIRECTIONS)
def test_a_training(tmp_path, redirection):
    argv = [*SMALL, "video=True", "eval_interval=2", "task.env.episode_length=12"]
    assert shell(tmp_path, "train " + " ".join(f"'{text}'" for text in argv), redirection) == 0
    run_dir = tmp_path / "runs" / "run"
    checkpoint, damaged = newest_valid(run_dir / "nn")
    assert checkpoint.iteration == 4 and damaged == []
    rows = (run_dir / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["iteration"] for row in rows] == [1, 2, 3, 4]
    assert len((run_dir / "metrics.csv").read_text().splitlines()) == 5
    for path in run_dir.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert b"Training HumanoidAMP on" not in content and b"samples/s, episode" not in content, path


@pytest.mark.parametrize("redirection", REDIRECTIONS)
@pytest.mark.parametrize(
    "command, made",
    [
        ("eval checkpoint={run} episodes=2 seeds=0 episode_s=1 out=made.json", "made.json"),
        ("play checkpoint={run} episodes=2 task.env.episode_length=12 video=made.gif", "made.gif"),
        ("motion mirror walk out=made.npz", "made.npz"),
    ],
)
def test_another_command(trained, tmp_path, command, made, redirection):
    assert shell(tmp_path, command.format(run=trained / "runs" / "run"), redirection) == 0
    path = tmp_path / made
    if path.suffix == ".json":
        assert "fall_rate" in json.loads(path.read_text())
    elif path.suffix == ".gif":
        assert path.read_bytes()[:4] == b"GIF8" and path.read_bytes()[-1:] == b";"
    else:
        assert load_clip(path).num_frames > 10
    assert [path.name for path in tmp_path.iterdir()] == [made]
