"""Import of many files: worker processes, a progress bar, a list of failures, and a data set of the result."""

import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence

from tqdm import tqdm

from amp_train.character import configured_character
from amp_train.config import compose
from amp_train.errors import ConfigError, UserError
from amp_train.motion import RetargetOptions, find_motion, import_clip, save_clip

_SUFFIXES = (".bvh", ".npz", ".npy", ".pkl", ".txt", ".csv", ".glb")
_DATASET = "dataset.yaml"


class _Done(NamedTuple):
    source: str
    clip: str  # "" where it failed
    error: str


def listed_files(given: Sequence[str]) -> List[Path]:
    """Return the files to import: of a folder, all in it and below with a known ending.

    Raises:
        UserError: one does not exist, or a folder contains none.
    """
    files: List[Path] = []
    for name in given:
        path = Path(name).expanduser()
        if path.is_dir():
            inside = sorted(f for f in path.rglob("*") if f.suffix.lower() in _SUFFIXES and f.is_file())
            if not inside:
                raise ConfigError(f"Folder '{name}' contains no file that ends in {', '.join(_SUFFIXES)}.")
            files += inside
        else:
            files.append(find_motion(name))
    return files


def import_files(
    files: List[Path], out: Path, character: str, options: RetargetOptions, workers: Optional[int] = None
) -> int:
    """Import files into a folder; one that fails does not stop the others.

    Returns:
        The exit code: 1 where one failed.
    """
    if out.suffix:
        raise ConfigError(f"Several files are imported into a folder: out={out} must be a folder.")
    out.mkdir(parents=True, exist_ok=True)
    names = _names(files)
    jobs = [(str(file), str(out / f"{name}.npz"), character, options) for file, name in zip(files, names)]
    done: List[_Done] = []
    count = workers or max(1, min(len(jobs), os.cpu_count() or 1))
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(_import_one, *job) for job in jobs]
        for future in tqdm(as_completed(waiting), total=len(waiting), unit="clip"):
            done.append(future.result())
    clips = sorted(Path(d.clip).name for d in done if d.clip)
    if clips:
        (out / _DATASET).write_text("motions:\n" + "".join(f"  - {{file: {c}, weight: 1.0}}\n" for c in clips))
        print(f"{len(clips)} clips: amp-train motion.file={out / _DATASET}")
    failed = sorted(d for d in done if not d.clip)
    for d in failed:
        print(f"failed: {d.source}: {d.error}")
    return int(bool(failed))


def _names(files: List[Path]) -> List[str]:
    """Name the clips after their files, with a number where two are named alike."""
    names: List[str] = []
    for file in files:
        name, number = file.stem, 2
        while name in names:
            name, number = f"{file.stem}_{number}", number + 1
        names.append(name)
    return names


def _import_one(file: str, out: str, character: str, options: RetargetOptions) -> _Done:
    import torch

    torch.set_num_threads(1)
    try:
        spec = configured_character(compose([f"character={character}"]).character)
        save_clip(import_clip(file, spec, options=options).clip, out)
    except (UserError, OSError) as error:
        return _Done(file, "", " ".join(str(error).split()))
    return _Done(file, out, "")
