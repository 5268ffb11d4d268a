"""Retargeted clips are cached next to their source file, so that retargeting happens once."""

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
    """Load a clip like `load_clip`; the result of retargeting is cached in a folder next to the file, if that can be
    written, and read from there the next time.

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
    where = f"cached as {FOLDER}/{kept.name}" if kept is not None and failure is None else f"not cached: {failure}"
    _LOG.warning("%s is retargeted to '%s' (%s); %s.", path.name, spec.name, "; ".join(imported.notes[:2]), where)
    # Read back: a resumed training must see exactly the same numbers.
    return load_clip(kept, spec) if kept is not None and failure is None else imported.clip


def _is_foreign(path: Path) -> bool:
    """Tell AMASS from our own, both `.npz`, by the beginning of the archive's directory."""
    from amp_train.motion.importers import MotionFile, find_importer

    return not find_importer(MotionFile(read_file(path), path.stem)).is_own


def _place(path: Path, spec: CharacterSpec) -> Optional[Path]:
    """Return where the clip is cached: the name depends on the file's content, the character's and our version."""
    digest = hashlib.sha256(_VERSION + read_file(path))
    try:
        digest.update(Path(spec.mjcf_path).read_bytes())
    except OSError:
        return None
    return path.parent / FOLDER / f"{path.stem[:_MAX_STEM]}.{spec.name}.{digest.hexdigest()[:12]}{CLIP_SUFFIX}"


def _keep(clip: MotionClip, place: Optional[Path]) -> Optional[str]:
    """Write the clip; return why that failed, if it did. The folder may come from a stranger."""
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
