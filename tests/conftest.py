"""Fixtures shared by every test."""

from pathlib import Path

import pytest
import torch

from amp_train.character import CharacterSpec, Kinematics, load_character

KEY_BODIES = ("right_hand", "left_hand", "right_foot", "left_foot")
SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


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
