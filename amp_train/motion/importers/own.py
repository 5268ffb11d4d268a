"""The project's own `.npz` (`motion.npz`)."""

from amp_train.character import CharacterSpec
from amp_train.motion.importers.base import Imported, Importer, MotionFile
from amp_train.motion.npz import parse_clip
from amp_train.motion.retarget import RetargetOptions


def _matches(file: MotionFile) -> bool:
    return file.is_archive and "poses" not in file.members and "pose_body" not in file.members


def _parse(file: MotionFile, spec: CharacterSpec, options: RetargetOptions) -> Imported:
    return Imported(parse_clip(file.data, file.what))


OWN = Importer("the project's .npz", _matches, _parse, is_own=True)
