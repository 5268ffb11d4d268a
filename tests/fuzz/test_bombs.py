"""Files that ask for gigabytes or hours are refused, within a bounded memory (RLIMIT_AS) and time."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict

import bombs
import pytest

from amp_train.checkpoint.load import safe_load
from amp_train.errors import CheckpointError, MotionError
from amp_train.motion import load_clip

MAX_CPU_SECONDS = 5.0  # with other work on the same core


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Dict[str, Any]:
    """What each bomb did, in a process of its own."""
    here, folder = tmp_path_factory.mktemp("here"), tmp_path_factory.mktemp("inputs")
    command = [sys.executable, str(Path(bombs.__file__)), str(here), str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=300)
    assert list(here.iterdir()) == []
    return dict(json.loads(done.stdout))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="address space is measured through /proc")
@pytest.mark.parametrize("name", sorted(bombs.BOMBS))
def test_a_bomb_is_refused_in_bounded_memory_and_time(results: Dict[str, Any], name: str) -> None:
    outcome, seconds = results[name]
    assert outcome.startswith("refused: ") and "\n" not in outcome
    assert "memory" not in outcome.lower()
    assert seconds < MAX_CPU_SECONDS


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(str(tmp_path / "pipe"))
    with pytest.raises(MotionError, match="not a file"):
        load_clip(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        safe_load(tmp_path / "pipe")


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/random"])
def test_a_device_is_not_read(device: str) -> None:
    if not Path(device).exists():
        pytest.skip(f"there is no {device} here")
    with pytest.raises(MotionError, match="not a file"):
        load_clip(device)
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        safe_load(device)
