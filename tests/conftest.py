"""Fixtures shared by every test."""

import importlib.util
import os
import subprocess
from pathlib import Path
from typing import Callable, Iterator, List

import pytest
import torch

from amp_train.character import CharacterSpec, Kinematics, load_character

KEY_BODIES = ("right_hand", "left_hand", "right_foot", "left_foot")
SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
    """Skip what steps sim=mujoco where MuJoCo is too old for it, as on Python 3.8."""
    if importlib.util.find_spec("mujoco.batch") is None:
        for item in items:
            trains_with_it = item.path.parent.name in ("e2e", "slurm") and item.path.name != "test_isaacgym_commands.py"
            if trains_with_it or item.get_closest_marker("mujoco"):
                item.add_marker(pytest.mark.skip(reason="sim=mujoco needs MuJoCo 3.17"))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the machine look idle, so that no test sees the warning of a busy one by chance."""
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))


@pytest.fixture(scope="session")
def humanoid() -> CharacterSpec:
    return load_character("humanoid.xml", KEY_BODIES, ("right_foot", "left_foot"))


@pytest.fixture(scope="session")
def kinematics(humanoid: CharacterSpec) -> Kinematics:
    return Kinematics(humanoid)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference clips and numbers beside the checkout; tests that need it skip without it."""
    if not SHARED.is_dir():
        pytest.skip("reference folder '../shared' is not beside this checkout")
    return SHARED


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Make a disk of so many bytes, or one with other mount options; tests that need it skip without the right to."""
    mounted = []

    def make(num_bytes: int, options: str = "rw") -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={num_bytes},{options}", "tmpfs", str(folder)]
        if subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode:
            pytest.skip("a small disk can only be mounted by root")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=False)
