"""Damaged files of every format: either a valid clip comes out, or the project's own error; nothing else."""

import io
import json
import pickle
import random
from pathlib import Path
from typing import Dict

import numpy as np
import pytest
from make_clip import poselib_content, random_clip

from amp_train.character import CharacterSpec
from amp_train.errors import MotionError
from amp_train.motion import MotionClip, load_clip, load_dataset, save_clip

hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is not installed: pip install hypothesis")
from hypothesis import strategies as st  # noqa: E402

FORMATS = ("npz", "npy", "pkl", "txt", "yaml")


def valid_files(spec: CharacterSpec, folder: Path) -> Dict[str, bytes]:
    """One small valid file of each format."""
    save_clip(random_clip(spec, 3), folder / "seed.npz")
    poselib = io.BytesIO()
    np.save(poselib, np.array(poselib_content(spec, 2), dtype=object), allow_pickle=True)
    frames = np.full((2, 6 + spec.num_dofs), 0.1)
    return {
        "npz": (folder / "seed.npz").read_bytes(),
        "npy": poselib.getvalue(),
        "pkl": pickle.dumps({"fps": 30, "loop_mode": 1, "frames": frames}),
        "txt": json.dumps({"Loop": "wrap", "Frames": [_deepmimic_frame()] * 2}).encode(),
        "yaml": b"motions:\n  - {file: seed.npz, weight: 2.0}\n",
    }


def _deepmimic_frame() -> list:
    identity = [1.0, 0.0, 0.0, 0.0]
    leg_and_arm = identity + [0.2] + identity + identity + [0.2]
    return [0.03, 0.0, 0.9, 0.0] + 3 * identity + 2 * leg_and_arm


def damaged(data: bytes, seed: int) -> bytes:
    """Change, insert, delete, repeat or cut some bytes."""
    rng = random.Random(seed)
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at, kind = rng.randrange(len(out) + 1), rng.randrange(6)
        if kind == 0:
            out[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            out[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
        elif kind == 2:
            del out[at : at + rng.choice((1, 4, 64))]
        elif kind == 3:
            out[at:at] = out[max(0, at - rng.choice((4, 32, 256))) : at]
        elif kind == 4:
            out[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"1e99"))
        else:
            del out[at + rng.choice((0, 100, 10_000)) :]
    return bytes(out)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_undamaged_files_load(humanoid: CharacterSpec, tmp_path: Path, kind: str) -> None:
    (tmp_path / "clip").write_bytes(valid_files(humanoid, tmp_path)[kind])
    loaded = load_dataset(tmp_path / "clip").clips[0] if kind == "yaml" else load_clip(tmp_path / "clip", humanoid)
    assert isinstance(loaded, MotionClip)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_file_is_a_clip_or_our_own_error(
    humanoid: CharacterSpec, tmp_path_factory: pytest.TempPathFactory, kind: str
) -> None:
    folder = tmp_path_factory.mktemp(kind)
    data = valid_files(humanoid, folder)[kind]

    @hypothesis.settings(max_examples=25, deadline=None, derandomize=True, database=None)
    @hypothesis.given(st.integers(0, 2**32))
    def run(seed: int) -> None:
        (folder / "clip").write_bytes(damaged(data, seed))
        try:
            if kind == "yaml":
                load_dataset(folder / "clip", humanoid)
            else:
                load_clip(folder / "clip", humanoid)
        except MotionError as error:
            assert "\n" not in str(error)

    run()
