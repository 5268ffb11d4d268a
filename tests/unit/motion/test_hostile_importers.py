"""Clips from elsewhere with what no exporter writes: one line that says so."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from make_clip import poselib_content, standing_clip

from amp_train.character import CharacterSpec
from amp_train.errors import MotionError
from amp_train.motion import dataset, load_clip, load_dataset, save_clip


def _pickled(folder: Path, content: Any) -> Path:
    (folder / "clip.pkl").write_bytes(pickle.dumps(content))
    return folder / "clip.pkl"


@pytest.mark.parametrize(
    "change, says",
    [
        ({"is_local": np.array([True, False])}, "is_local must be true or false"),
        ({"fps": 10**400}, "fps is"),
        ({"rotation": {"arr": np.zeros((2**20, 17), dtype=np.uint8)}}, "at most 16777216 numbers"),
    ],
)
def test_poselib_members_of_the_wrong_kind(humanoid: CharacterSpec, tmp_path: Path, change: Any, says: str) -> None:
    with pytest.raises(MotionError, match=says):
        load_clip(_pickled(tmp_path, dict(poselib_content(humanoid), **change)), humanoid)


def test_a_mimickit_number_of_hundreds_of_digits(humanoid: CharacterSpec, tmp_path: Path) -> None:
    frames = [[0.0] * (5 + humanoid.num_dofs) + [10**400]] * 2
    with pytest.raises(MotionError, match="frames must be rows of"):
        load_clip(_pickled(tmp_path, {"fps": 30, "loop_mode": 0, "frames": frames}), humanoid)


def test_an_fbx_file_is_named_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "clip.fbx").write_bytes(b"Kaydara FBX Binary  \x00\x1a\x00" + bytes(64))
    with pytest.raises(MotionError, match="is an FBX file, .* Export it as BVH or GLB"):
        load_clip(tmp_path / "clip.fbx")


def test_a_clip_named_many_times_cannot_fill_the_memory(
    humanoid: CharacterSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = standing_clip(humanoid)
    save_clip(clip, tmp_path / "a.npz")
    (tmp_path / "set.yaml").write_text("motions:\n" + "  - {file: a.npz}\n" * 5)
    monkeypatch.setattr(dataset, "MAX_NUMBERS_IN_ALL", 5 * clip.joint_rot.numel())
    assert len(load_dataset(tmp_path / "set.yaml", humanoid).clips) == 5
    monkeypatch.setattr(dataset, "MAX_NUMBERS_IN_ALL", 3 * clip.joint_rot.numel())
    with pytest.raises(MotionError, match="larger than .* at entry 4"):
        load_dataset(tmp_path / "set.yaml", humanoid)
