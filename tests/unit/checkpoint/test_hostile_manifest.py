"""A manifest from elsewhere: one line of what is wrong with it, whatever it says."""

import json

import pytest

from amp_train.checkpoint.store import read_manifest
from amp_train.errors import CheckpointError

VALID = {"format": 1, "number": 3, "iteration": 50, "ranks": 1, "files": {"last.pth": {"num_bytes": 1, "sha256": "0"}}}


def manifest(folder, **changes):
    (folder / "last.json").write_text(json.dumps({**VALID, **changes}))
    return read_manifest(folder / "last.json")


def test_a_valid_one_is_read(tmp_path):
    assert manifest(tmp_path).iteration == 50


@pytest.mark.parametrize(
    "changes",
    [
        {"ranks": 10**12},  # the list of their files alone would take a terabyte
        {"ranks": -1},
        {"iteration": float("inf")},
        {"iteration": float("nan")},
        {"files": {"../last.pth": {"num_bytes": 1, "sha256": "0"}}},
        {"files": [1]},
        {"event_files": {"events": "many"}},
    ],
)
def test_what_cannot_be_is_refused(tmp_path, changes):
    with pytest.raises(CheckpointError, match="its manifest last.json"):
        manifest(tmp_path, **changes)
