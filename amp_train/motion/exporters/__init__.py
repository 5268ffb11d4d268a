"""Export of clips to the formats of other programs: `export_clip`."""

from pathlib import Path
from typing import Callable, Dict, Optional, Union

from amp_train.character import CharacterSpec
from amp_train.errors import unknown_choice
from amp_train.motion.clip import MotionClip
from amp_train.motion.exporters.bvh import bvh_text
from amp_train.motion.exporters.plain import csv_text, deepmimic_text, mimickit_bytes, poselib_bytes
from amp_train.motion.npz import save_clip

__all__ = ["EXPORTERS", "bvh_text", "export_clip", "format_of"]

OWN = "npz"
Exporter = Callable[[MotionClip, CharacterSpec], Union[str, bytes]]
# Format -> the file's ending, and what makes its content.
EXPORTERS: Dict[str, "tuple[str, Exporter]"] = {
    "bvh": (".bvh", bvh_text),
    "csv": (".csv", csv_text),
    "deepmimic": (".txt", deepmimic_text),
    "poselib": (".npy", poselib_bytes),
    "mimickit": (".pkl", mimickit_bytes),
}


def format_of(path: Union[str, Path], kind: Optional[str] = None) -> str:
    """Return the format of a file to be written: `kind`, or what its ending says.

    Raises:
        ConfigError: no such format.
    """
    suffix = Path(path).suffix.lower()
    found = kind or next((name for name, (ending, _) in EXPORTERS.items() if ending == suffix), suffix[1:])
    if found not in (*EXPORTERS, OWN):
        raise unknown_choice("format", found, [*EXPORTERS, OWN])
    return found


def export_clip(clip: MotionClip, spec: CharacterSpec, path: Union[str, Path], kind: Optional[str] = None) -> Path:
    """Write a clip in the format that the file's ending, or `kind`, says: one of `EXPORTERS`, or our `.npz`.

    Raises:
        ConfigError: no such format.
        MotionError: the format does not support this character.
    """
    path, kind = Path(path), format_of(path, kind)
    if kind == OWN:
        save_clip(clip, path)
        return path
    content = EXPORTERS[kind][1](clip, spec)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
