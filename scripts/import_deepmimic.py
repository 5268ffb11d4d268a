"""Make the clips of `motions/` from the DeepMimic clips that PyPI's `pybullet` package carries.

    pip install pybullet        # needed by this script only
    python scripts/import_deepmimic.py

Writes one `.npz` per clip; source and licence: `motions/PROVENANCE.md`."""

import argparse
import sys
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from amp_train.errors import UserError
from amp_train.motion import MotionClip, bundled_humanoid, close_loop, load_clip, place_on_ground, save_clip
from amp_train.paths import MOTIONS_DIR

CLIPS = (
    "walk run jump backflip cartwheel spinkick spin roll crawl dance_a dance_b kick punch getup_faceup getup_facedown"
).split()
SOURCE = "DeepMimic (github.com/xbpeng/DeepMimic), data/motions/humanoid3d_{}.txt, as shipped in PyPI's pybullet {}"
LICENCE = "MIT, Copyright (c) 2018 Xue Bin Peng (DeepMimic); redistributed by pybullet (zlib)"


def deepmimic_folder() -> Path:
    """Return where the installed pybullet keeps the clips, without importing it."""
    package = find_spec("pybullet_data")
    if package is None or package.origin is None:
        raise UserError("The package pybullet is not installed: pip install pybullet")
    return Path(package.origin).parent / "data" / "motions"


def convert(folder: Path, name: str) -> MotionClip:
    """Import one clip: z up, its cycle closed, on the ground, with its source written into it."""
    clip = close_loop(load_clip(folder / f"humanoid3d_{name}.txt", fit_ground=False))
    source = SOURCE.format(name, version("pybullet"))
    return replace(place_on_ground(clip, bundled_humanoid()), name=name, source=source, licence=LICENCE)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=MOTIONS_DIR, help="folder to write to (default: motions/)")
    out = parser.parse_args().out
    try:
        folder = deepmimic_folder()
        for name in CLIPS:
            clip = convert(folder, name)
            save_clip(clip, out / (name + ".npz"))
            sys.stdout.write(f"{name:15s} {clip.num_frames:4d} frames at {clip.fps:g}/s, {clip.loop}\n")
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
