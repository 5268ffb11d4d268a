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

FOLDER = ".amp_motion"
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
    where = _keep(imported.clip, kept)
    _LOG.warning("%s is retargeted to '%s' (%s)%s.", path.name, spec.name, "; ".join(imported.notes[:2]), where)
    # Read back: a resumed training must see exactly the same numbers.
    return load_clip(kept, spec) if kept is not None and kept.is_file() else imported.clip


def _is_foreign(path: Path) -> bool:
    """Tell AMASS from our own, both `.npz`, by the beginning of the archive's directory."""
    from amp_train.motion.importers import MotionFile, find_importer
    from amp_train.untrusted.npz import read_file

    return not find_importer(MotionFile(read_file(path), path.stem)).is_own


def _place(path: Path, spec: CharacterSpec) -> Optional[Path]:
    """Return where the clip is cached: the name depends on the file's content, the character's and our version."""
    try:
        digest = hashlib.sha256(_VERSION)
        for file in (path, Path(spec.mjcf_path)):
            digest.update(file.read_bytes())
    except OSError:
        return None
    return path.parent / FOLDER / f"{path.stem}.{spec.name}.{digest.hexdigest()[:12]}{CLIP_SUFFIX}"


def _keep(clip: MotionClip, place: Optional[Path]) -> str:
    """Write the clip; return what to say about it."""
    if place is None:
        return ""
    try:
        place.parent.mkdir(exist_ok=True)
        save_clip(clip, place)
    except OSError as error:
        return f"; not cached: {place.parent} cannot be written ({error.strerror})"
    return f"; cached as {place.parent.name}/{place.name}"
