"""Export of clips to the formats of other programs: `export_clip`."""

from pathlib import Path
from typing import Callable, Dict, Union

from amp_train.character import CharacterSpec
from amp_train.errors import unknown_choice
from amp_train.motion.clip import MotionClip
from amp_train.motion.exporters.bvh import bvh_text
from amp_train.motion.exporters.plain import csv_text, deepmimic_text, mimickit_bytes, poselib_bytes
from amp_train.motion.npz import save_clip

__all__ = ["EXPORTERS", "bvh_text", "export_clip"]

Exporter = Callable[[MotionClip, CharacterSpec], Union[str, bytes]]
# Format -> the file's ending, and what makes its content.
EXPORTERS: Dict[str, "tuple[str, Exporter]"] = {
    "bvh": (".bvh", bvh_text),
    "csv": (".csv", csv_text),
    "deepmimic": (".txt", deepmimic_text),
    "poselib": (".npy", poselib_bytes),
    "mimickit": (".pkl", mimickit_bytes),
}


def export_clip(clip: MotionClip, spec: CharacterSpec, path: Union[str, Path], kind: "str | None" = None) -> Path:
    """Write a clip in the format of the file's ending or of `kind`: one of `EXPORTERS`, or our `.npz`.

    Raises:
        ConfigError: no such format.
        MotionError: the format does not support this character.
    """
    path = Path(path)
    if kind is None:
        kind = next((name for name, (suffix, _) in EXPORTERS.items() if suffix == path.suffix.lower()), path.suffix[1:])
    if kind == "npz":
        save_clip(clip, path)
        return path
    if kind not in EXPORTERS:
        raise unknown_choice("format", kind, [*EXPORTERS, "npz"])
    content = EXPORTERS[kind][1](clip, spec)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
