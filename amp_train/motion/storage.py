"""Find and load clips of any supported format, recognised by content, without executing any of it."""

from dataclasses import replace
from pathlib import Path
from typing import List, Optional, Union

from amp_train.character import CharacterSpec
from amp_train.errors import MotionError
from amp_train.motion.clip import MotionClip
from amp_train.motion.fit import bundled_humanoid, close_loop, match_joints
from amp_train.motion.ground import place_on_ground
from amp_train.motion.importers import Imported, MotionFile, find_importer
from amp_train.motion.operations import ends_meet
from amp_train.motion.retarget import AS_FOUND, RetargetOptions
from amp_train.paths import MOTIONS_DIR
from amp_train.untrusted import printable
from amp_train.untrusted.npz import read_file

CLIP_SUFFIX = ".npz"
DATASET_SUFFIXES = (".yaml", ".yml")


def load_clip(
    path: Union[str, Path],
    spec: Optional[CharacterSpec] = None,
    fit_ground: bool = True,
    options: RetargetOptions = AS_FOUND,
) -> MotionClip:
    """Load one clip of any format; mocap of another skeleton is retargeted to the character.

    Args:
        path: the project's `.npz`, or any format of `importers.IMPORTERS`: BVH, AMASS and SMPL `.npz`, GLB, GMR `.pkl`,
            robot CSV, DeepMimic text, poselib `.npy`, MimicKit `.pkl`.
        spec: the character it is for; without one, the bundled humanoid.
        fit_ground: whether to place an imported clip on the ground, as a whole and where its frames hover
            (`ground.place_on_ground`). The project's own clips are not moved.
        options: what to assume about a file that the file does not state.

    Returns:
        The clip, its joints in the character's order.

    Raises:
        MotionError: missing, truncated, of no known format, or for another character.
    """
    return import_clip(path, spec, fit_ground, options).clip


def import_clip(
    path: Union[str, Path],
    spec: Optional[CharacterSpec] = None,
    fit_ground: bool = True,
    options: RetargetOptions = AS_FOUND,
) -> Imported:
    """Like `load_clip`, with notes on how it was done; arguments and errors are the same."""
    path, spec = Path(path).expanduser(), spec or bundled_humanoid()
    file = MotionFile(read_file(path), printable(path.stem))
    importer = find_importer(file)
    if importer.is_own:
        file.what = f"Clip '{printable(str(path))}'"
    imported = importer.parse(file, spec, options)
    clip = match_joints(imported.clip, spec)
    if fit_ground and not importer.is_own:
        clip = place_on_ground(clip, spec)
    notes = [importer.name] + imported.notes
    if imported.retargeted is not None and ends_meet(clip):  # mocap formats cannot state it
        clip = close_loop(replace(clip, loop="wrap"))
        notes.append("its last pose equals its first: treated as one cycle")
    return replace(imported, clip=clip, notes=notes)


def find_motion(name: Union[str, Path]) -> Path:
    """Return the path of a user's clip or data set, or of a bundled one by its name ("walk").

    Raises:
        MotionError: there is none; the message lists the bundled ones.
    """
    given = Path(name).expanduser()
    candidates = [given] + [MOTIONS_DIR / (given.name + suffix) for suffix in ("", CLIP_SUFFIX) + DATASET_SUFFIXES]
    bundled = len(given.parts) == 1
    for path in candidates if bundled else candidates[:1]:
        if path.is_file():
            return path.resolve()
    raise MotionError(
        f"Motion '{printable(str(name))}' not found. Give the path of a clip or of a data set, or "
        f"one of: {', '.join(bundled_motions())}."
    )


def bundled_motions() -> List[str]:
    """Return the names of the bundled clips and data sets."""
    return sorted(p.stem for p in MOTIONS_DIR.glob("*") if p.suffix in (CLIP_SUFFIX,) + DATASET_SUFFIXES)
