"""The clips in `motions/` are what `scripts/import_deepmimic.py` makes."""

import runpy
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from amp_train.motion import find_motion, load_clip

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "import_deepmimic.py"
NAMES = runpy.run_path(str(SCRIPT))["CLIPS"]


@pytest.mark.skipif(
    find_spec("pybullet_data") is None, reason="pybullet, which ships the source clips, is not installed"
)
@pytest.mark.parametrize("name", NAMES)
def test_a_bundled_clip_is_what_the_script_makes(name: str) -> None:
    script = runpy.run_path(str(SCRIPT))
    made, bundled = script["convert"](script["deepmimic_folder"](), name), load_clip(find_motion(name))
    assert (made.name, made.fps, made.loop, made.licence) == (bundled.name, bundled.fps, bundled.loop, bundled.licence)
    # Other machines round otherwise.
    assert torch.allclose(made.root_pos, bundled.root_pos, atol=1e-5)
    assert torch.allclose(made.root_rot, bundled.root_rot, atol=1e-5)
    assert torch.allclose(made.joint_rot, bundled.joint_rot, atol=1e-5)
