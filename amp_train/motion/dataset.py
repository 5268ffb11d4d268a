"""Weighted data sets in YAML, their clips in the same folder or below it:

motions:
  - {file: walk.npz, weight: 2.0}
  - {file: run.npz, weight: 1.0}
"""

import math
from pathlib import Path
from typing import Any, List, NamedTuple, Optional, Tuple, Union

from amp_train.character import CharacterSpec
from amp_train.errors import MotionError
from amp_train.motion.cache import load_kept
from amp_train.motion.clip import MAX_NUMBERS_IN_ALL, MotionClip
from amp_train.motion.storage import DATASET_SUFFIXES, find_motion
from amp_train.untrusted import parse_plain_yaml, printable
from amp_train.untrusted.npz import read_file

_MAX_BYTES = 128 * 1024
_MAX_CLIPS = 4096


class MotionDataset(NamedTuple):
    """Clips and their relative sampling frequencies."""

    clips: Tuple[MotionClip, ...]
    weights: Tuple[float, ...]


def load_motion(name: Union[str, Path], spec: Optional[CharacterSpec] = None) -> MotionDataset:
    """Load a clip or a data set, by path or by the name of a bundled one."""
    path = find_motion(name)
    if path.suffix in DATASET_SUFFIXES:
        return load_dataset(path, spec)
    return MotionDataset((load_kept(path, spec),), (1.0,))


def motion_files(name: Union[str, Path]) -> List[Path]:
    """Return the files that `load_motion` reads: the clip, or the data set and its clips."""
    path = find_motion(name)
    if path.suffix not in DATASET_SUFFIXES:
        return [path]
    return [path] + [_inside(path, file) for file, _ in _entries(_parse(path), path)]


def load_dataset(path: Union[str, Path], spec: Optional[CharacterSpec] = None) -> MotionDataset:
    """Load every clip of a data set.

    Raises:
        MotionError: missing, not of this form, a weight that is not positive, or a file outside the data set's folder.
    """
    path = Path(path).expanduser()
    entries = _entries(_parse(path), path)
    files = [_inside(path, file) for file, _ in entries]
    return MotionDataset(_load_clips(files, spec, path), tuple(weight for _, weight in entries))


def _load_clips(files: List[Path], spec: Optional[CharacterSpec], path: Path) -> Tuple[MotionClip, ...]:
    clips: List[MotionClip] = []
    total = 0
    for file in files:
        clips.append(load_kept(file, spec))
        total += clips[-1].joint_rot.numel()
        if total > MAX_NUMBERS_IN_ALL:
            raise MotionError(
                f"Data set '{path}' is larger than the {MAX_NUMBERS_IN_ALL // 10**6} million "
                f"numbers allowed, at entry {len(clips)}."
            )
    return tuple(clips)


def _parse(path: Path) -> Any:
    data = read_file(path, _MAX_BYTES)
    try:
        return parse_plain_yaml(data)
    except ValueError as error:
        raise MotionError(f"Data set '{path}' is {printable(str(error))}.") from None


def _entries(content: Any, path: Path) -> List[Tuple[str, float]]:
    motions = content.get("motions") if isinstance(content, dict) else None
    if not isinstance(motions, list) or not 1 <= len(motions) <= _MAX_CLIPS or set(content) != {"motions"}:
        raise MotionError(
            f"Data set '{path}' must contain one key, motions: a list of 1 to {_MAX_CLIPS} entries like "
            f"{{file: walk.npz, weight: 1.0}}."
        )
    return [_entry(entry, index, path) for index, entry in enumerate(motions)]


def _entry(entry: Any, index: int, path: Path) -> Tuple[str, float]:
    if (
        not isinstance(entry, dict)
        or not {"file"} <= set(entry) <= {"file", "weight"}
        or not isinstance(entry["file"], str)
    ):
        raise MotionError(f"Data set '{path}', entry {index + 1}: expected {{file: walk.npz, weight: 1.0}}.")
    weight = entry.get("weight", 1.0)
    if type(weight) not in (int, float) or not 0.0 < weight < math.inf or weight > 1e12:
        raise MotionError(f"Data set '{path}', entry {index + 1}: weight must be a positive number.")
    return entry["file"], float(weight)


def _inside(dataset: Path, file: str) -> Path:
    """Return the clip's path, links followed, if it is in the data set's folder or below."""
    folder = dataset.resolve().parent
    given = Path(file)
    outside = given.is_absolute() or ".." in given.parts or "\0" in file
    try:
        path = None if outside else (folder / given).resolve()
    except (OSError, RuntimeError):
        path = None
    if path is None or folder not in path.parents:
        raise MotionError(
            f"Data set '{dataset}': '{printable(file)[:200]}' is outside the data set's folder. "
            "Give a path relative to the YAML file, without "
            "'..' and without links to elsewhere."
        )
    return path
