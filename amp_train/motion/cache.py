"""Clips of other skeletons that were put on a character are kept beside their file: a training does it once."""

import hashlib
import logging
from pathlib import Path
from typing import Optional

from amp_train.character import CharacterSpec
from amp_train.errors import MotionError
from amp_train.motion.clip import MotionClip
from amp_train.motion.fit import bundled_humanoid
from amp_train.motion.npz import save_clip
from amp_train.motion.storage import CLIP_SUFFIX, import_clip, load_clip
from amp_train.untrusted import NotAFileError, check_no_way_out
from amp_train.untrusted.npz import read_file

FOLDER = ".amp_motion"
_MAX_STEM = 60  # characters of the file's name, which may be as long as names can be
_VERSION = b"1"  # of retargeting: raise it when its results change
_LOG = logging.getLogger(__name__)


def load_kept(path: Path, spec: Optional[CharacterSpec] = None) -> MotionClip:
    """Load a clip like `load_clip`; what had to be put on another skeleton is kept in a folder beside the file, where
    that can be written, and found there again.

    Raises:
        MotionError: as `load_clip`.
    """
    spec = spec or bundled_humanoid()
    if path.suffix == CLIP_SUFFIX and not _is_foreign(path):
        return load_clip(path, spec)
    kept = _place(path, spec)
    if kept is not None and kept.is_file():
        try:
            return load_clip(kept, spec)
        except MotionError:
            _LOG.warning("%s is broken; %s is imported again.", kept, path.name)
    imported = import_clip(path, spec)
    if imported.retargeted is None:
        return imported.clip
    failure = _keep(imported.clip, kept)
    where = f"kept as {FOLDER}/{kept.name}" if kept is not None and failure is None else f"not kept: {failure}"
    _LOG.warning("%s is put on '%s' (%s); %s.", path.name, spec.name, "; ".join(imported.notes[:2]), where)
    # Read back: a training that is continued must see the very same numbers as its beginning.
    return load_clip(kept, spec) if kept is not None and failure is None else imported.clip


def _is_foreign(path: Path) -> bool:
    """Tell AMASS from our own, both `.npz`, by the beginning of the archive's directory."""
    from amp_train.motion.importers import MotionFile, find_importer

    return not find_importer(MotionFile(read_file(path), path.stem)).is_own


def _place(path: Path, spec: CharacterSpec) -> Optional[Path]:
    """Return where the clip is kept: the name tells the file's content, the character's and our version."""
    digest = hashlib.sha256(_VERSION + read_file(path))
    try:
        digest.update(Path(spec.mjcf_path).read_bytes())
    except OSError:
        return None
    return path.parent / FOLDER / f"{path.stem[:_MAX_STEM]}.{spec.name}.{digest.hexdigest()[:12]}{CLIP_SUFFIX}"


def _keep(clip: MotionClip, place: Optional[Path]) -> Optional[str]:
    """Write the clip; return why that cannot be done. The folder may have come with a stranger's clips."""
    if place is None:
        return "the character's file is gone"
    try:
        place.parent.mkdir(exist_ok=True)
        if place.parent.is_symlink():
            raise NotAFileError("it is a link")
        check_no_way_out(place.parent)
        save_clip(clip, place)
    except OSError as error:
        return f"{place.parent} cannot be written ({error.strerror or error})"
    return None
