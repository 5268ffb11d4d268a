"""Formats of clips, one file each. A new one is a module with an `Importer`, and a line in `IMPORTERS`."""

from typing import Tuple

from amp_train.character import CharacterSpec
from amp_train.errors import MotionError
from amp_train.motion.importers.base import Imported, Importer, MotionFile
from amp_train.motion.importers.bvh import BVH
from amp_train.motion.importers.deepmimic import DEEPMIMIC
from amp_train.motion.importers.glb import GLB
from amp_train.motion.importers.mimickit import MIMICKIT
from amp_train.motion.importers.own import OWN
from amp_train.motion.importers.poselib import POSELIB
from amp_train.motion.importers.robot import GMR, ROBOT_CSV
from amp_train.motion.importers.smpl import SMPL
from amp_train.motion.retarget import AS_FOUND, RetargetOptions

__all__ = ["IMPORTERS", "Imported", "Importer", "MotionFile", "find_importer", "import_motion"]

IMPORTERS: Tuple[Importer, ...] = (OWN, SMPL, BVH, GLB, POSELIB, MIMICKIT, GMR, DEEPMIMIC, ROBOT_CSV)
_FBX = "an FBX file, which is not supported. Export it as BVH or GLB (Blender: File > Export)"
# First bytes of formats that are recognised but not supported.
_UNREAD = {
    b"Kaydara FBX": _FBX,
    b"; FBX": _FBX,
    b"ASF": "a CMU skeleton without its motion; use the BVH version of the data set",
}


def find_importer(file: MotionFile) -> Importer:
    """Return the format of a file, recognised by its content, not by its name.

    Raises:
        MotionError: of no known format.
    """
    for importer in IMPORTERS:
        if importer.matches(file):
            return importer
    kind = next((text for start, text in _UNREAD.items() if file.data.startswith(start)), None)
    if kind is None and file.is_bare_array:
        kind = "a bare array, not a motion clip"
    if kind is None:
        holds = " (an unknown pickle)" if file.is_pickle else ""
        kind = f"of no known format{holds}. Supported: {', '.join(i.name for i in IMPORTERS)}"
    raise MotionError(f"{file.what} is {kind}.")


def import_motion(file: MotionFile, spec: CharacterSpec, options: RetargetOptions = AS_FOUND) -> Imported:
    """Read a file of any format for a character.

    Raises:
        MotionError: of no known format, broken, for another character, or a pickle that would build more than data.
    """
    return find_importer(file).parse(file, spec, options)
