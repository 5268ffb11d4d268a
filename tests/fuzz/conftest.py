"""An empty folder to be in, and how much to try: `make fuzz` sets FUZZ_FACTOR."""

import os
from pathlib import Path
from typing import Callable

import hypothesis
import pytest

FACTOR = int(os.environ.get("FUZZ_FACTOR", "1"))


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a folder where whatever appears was written by the loader; inputs lie beside it."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


@pytest.fixture
def tries() -> Callable[[int], hypothesis.settings]:
    """Return settings for so many inputs, always the same ones unless FUZZ_FACTOR asks for more."""

    def settings(count: int) -> hypothesis.settings:
        return hypothesis.settings(
            max_examples=count * FACTOR, deadline=None, derandomize=FACTOR == 1, database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )  # fmt: skip

    return settings
