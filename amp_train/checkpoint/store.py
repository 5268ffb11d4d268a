"""The checkpoints of a run: listing them, checking that they are intact, adding a new one.

A checkpoint is a policy (`NAME.pth`, small, for sharing), the training state of every process (`NAME.state`,
`NAME.rank1.state`, ...) and a manifest (`NAME.json`) with the size and sha256 of each. The manifest is written last: a
checkpoint without one does not exist. The best policy has a manifest too, but no training state.
"""

import contextlib
import json
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

import torch

from amp_train.checkpoint.atomic import Digest, digest_of, remove_partial_files, write_atomically
from amp_train.checkpoint.load import load_plain
from amp_train.errors import CheckpointError
from amp_train.untrusted import printable, read_regular

POLICY_SUFFIX, STATE_SUFFIX, MANIFEST_SUFFIX = ".pth", ".state", ".json"
FORMAT = 1
MAX_MANIFEST_BYTES = 1 << 20


class Checkpoint(NamedTuple):
    """A checkpoint, as its manifest describes it."""

    folder: Path
    name: str
    iteration: int  # the highest is the newest: going back to an earlier one removes the later ones
    ranks: int  # 0: a policy alone
    files: Dict[str, Digest]
    event_files: Dict[str, int]  # bytes of tensorboard's files at that moment, by name

    @property
    def policy(self) -> Path:
        return self.folder / (self.name + POLICY_SUFFIX)

    @property
    def manifest(self) -> Path:
        return self.folder / (self.name + MANIFEST_SUFFIX)

    def state(self, rank: int = 0) -> Path:
        """Return the training state of one process."""
        return self.folder / state_name(self.name, rank)


class Damaged(NamedTuple):
    """A checkpoint that cannot be used, and why."""

    name: str
    reason: str


def state_name(name: str, rank: int = 0) -> str:
    """Return the file name of the training state of one process."""
    return name + ("" if rank == 0 else f".rank{rank}") + STATE_SUFFIX


def save_file(path: Union[str, Path], content: Dict[str, Any]) -> Digest:
    """Write tensors and plain values as one file, completely or not at all; return its digest."""
    return write_atomically(path, lambda file: torch.save(content, file))


class CheckpointStore:
    """Adds checkpoints to a folder and keeps the newest few."""

    def __init__(self, folder: Union[str, Path], keep: int) -> None:
        """Take the folder, which may not exist yet, and how many checkpoints to keep besides the best policy."""
        self._folder, self._keep = Path(folder), keep

    def begin(self, name: str) -> None:
        """Remove the manifest of the checkpoint of this name, which is about to be replaced."""
        _unlink(self._folder / (name + MANIFEST_SUFFIX))

    def save_policy(self, name: str, content: Dict[str, Any], iteration: int = 0) -> None:
        """Replace a policy without a training state, such as the best, after `iteration` finished iterations."""
        self.begin(name)
        digest = save_file(self._folder / (name + POLICY_SUFFIX), content)
        self._write_manifest(name, {"iteration": iteration, "files": {name + POLICY_SUFFIX: digest}})

    def complete(
        self,
        name: str,
        iteration: int,
        files: Dict[str, Digest],
        ranks: int = 1,
        last: bool = False,
        event_files: Optional[Dict[str, int]] = None,
    ) -> None:
        """Make a checkpoint valid whose files are all written, then remove the oldest.

        Args:
            name: of the files, without suffix.
            iteration: finished iterations.
            files: digests by file name, of the policy and of the training state of every process.
            ranks: number of processes.
            last: the training has ended; only this checkpoint is needed to continue it.
            event_files: bytes of tensorboard's files, by name.
        """
        facts = {"iteration": iteration, "ranks": ranks, "event_files": event_files or {}}
        self._write_manifest(name, {**facts, "files": files})
        found, _ = read_manifests(self._folder)
        others = [checkpoint.name for checkpoint in found if checkpoint.name != name]
        for outdated in others[0 if last else self._keep - 1 :]:
            _remove(self._folder, outdated)

    def discard(self, name: str) -> None:
        """Remove the files of a checkpoint that could not be completed, as far as the disk allows."""
        if not (self._folder / (name + MANIFEST_SUFFIX)).exists():
            with contextlib.suppress(OSError):
                _remove(self._folder, name)

    def _write_manifest(self, name: str, content: Dict[str, Any]) -> None:
        files = {file: digest._asdict() for file, digest in content["files"].items()}
        text = json.dumps({"format": FORMAT, **content, "files": files}, indent=1)
        write_atomically(self._folder / (name + MANIFEST_SUFFIX), lambda file: file.write(text.encode()))


def remove_unfinished(folder: Union[str, Path]) -> None:
    """Remove what a killed process left: partial files, and checkpoints without a manifest.

    Those are recognised by their training states, which are written first and removed last."""
    remove_partial_files(folder)
    listed = {path.name[: -len(MANIFEST_SUFFIX)] for path in Path(folder).glob("*" + MANIFEST_SUFFIX)}
    for name in {_name_of_state(path) for path in Path(folder).glob("*" + STATE_SUFFIX)} - listed:
        _remove(Path(folder), name)


def set_aside_later(folder: Union[str, Path], iteration: int, target: Union[str, Path]) -> None:
    """Move all checkpoints, complete or not, after the iteration from which training is about to continue to `target`.

    Manifests go last: a kill leaves a manifest without files behind, whose remainder is moved the next time."""
    later = [checkpoint.name for checkpoint in read_manifests(folder)[0] if checkpoint.iteration > iteration]
    for name in later:
        Path(target).mkdir(exist_ok=True)
        for path in reversed(_files_of(Path(folder), name)):
            with contextlib.suppress(FileNotFoundError):
                path.replace(Path(target) / path.name)


def _remove(folder: Path, name: str) -> None:
    """Remove a checkpoint."""
    for path in _files_of(folder, name):
        _unlink(path)


def _files_of(folder: Path, name: str) -> List[Path]:
    """Return a checkpoint's files in the order in which they go: manifest first, so that it is never half there, states
    last."""
    states = [path for path in folder.glob("*" + STATE_SUFFIX) if _name_of_state(path) == name]
    return [folder / (name + MANIFEST_SUFFIX), folder / (name + POLICY_SUFFIX), *states]


def _unlink(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError, IsADirectoryError):
        path.unlink()


def _name_of_state(path: Path) -> str:
    return path.name[: -len(STATE_SUFFIX)].partition(".rank")[0]


def read_manifests(folder: Union[str, Path]) -> Tuple[List[Checkpoint], List[Damaged]]:
    """Return the checkpoints of a folder with a training state, newest first, and the manifests that cannot be read."""
    found, damaged = [], []
    for path in sorted(Path(folder).glob("*" + MANIFEST_SUFFIX)):
        try:
            checkpoint = read_manifest(path)
        except CheckpointError as error:
            damaged.append(Damaged(printable(path.name[: -len(MANIFEST_SUFFIX)]), str(error)))
            continue
        if checkpoint.ranks:
            found.append(checkpoint)
    return sorted(found, key=lambda checkpoint: -checkpoint.iteration), damaged


def read_manifest(path: Path) -> Checkpoint:
    """Read a manifest.

    Raises:
        CheckpointError: it is not one.
    """
    name = path.name[: -len(MANIFEST_SUFFIX)]
    try:
        content = json.loads(read_regular(path, MAX_MANIFEST_BYTES).decode(), parse_int=_short_int)
        files = {str(n): Digest(int(d["num_bytes"]), str(d["sha256"])) for n, d in content["files"].items()}
        iteration, ranks = (int(content.get(key, 0)) for key in ("iteration", "ranks"))
        event_files = {str(n): int(size) for n, size in content.get("event_files", {}).items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise CheckpointError(f"its manifest {printable(path.name)} cannot be read") from error
    if printable(name) != name:  # it is printed
        raise CheckpointError(f"its manifest {printable(path.name)} has no plain name")
    if content.get("format") != FORMAT:
        raise CheckpointError(f"its manifest {path.name} has an unknown version")
    if any(Path(file).name != file for file in files) or name + POLICY_SUFFIX not in files:
        raise CheckpointError(f"its manifest {path.name} names the wrong files")
    if iteration < 0 or not 0 <= ranks <= len(files) or min(event_files.values(), default=0) < 0:
        raise CheckpointError(f"its manifest {path.name} has impossible counts")
    return Checkpoint(path.parent, name, iteration, ranks, files, event_files)


def _short_int(digits: str) -> int:
    """Read an integer of at most the size of a file length; a million digits would take long."""
    if len(digits) > 20:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def fault_of(checkpoint: Checkpoint) -> Optional[str]:
    """Read every file of a checkpoint; return what is wrong with it, None if it is intact."""
    expected = [checkpoint.policy.name] + [state_name(checkpoint.name, rank) for rank in range(checkpoint.ranks)]
    for name in expected:
        if name not in checkpoint.files:
            return f"its manifest lacks {name}"
    for name, digest in checkpoint.files.items():
        fault = fault_of_file(checkpoint.folder / name, digest)
        if fault:
            return fault
    return None


def fault_of_file(path: Path, digest: Digest) -> Optional[str]:
    """Read a file; return what is wrong with it, None if it is intact."""
    try:
        if path.stat().st_size != digest.num_bytes:
            return f"{path.name} has {path.stat().st_size} bytes instead of {digest.num_bytes}"
        return None if digest_of(path) == digest else f"{path.name} is corrupted (its checksum differs)"
    except FileNotFoundError:
        return f"{path.name} is missing"
    except OSError as error:
        return f"{path.name} cannot be read ({error.strerror or error})"


def newest_valid(folder: Union[str, Path]) -> Tuple[Optional[Checkpoint], List[Damaged]]:
    """Return the newest intact checkpoint, and the damaged ones that were skipped."""
    found, damaged = read_manifests(folder)
    for checkpoint in found:
        fault = fault_of(checkpoint)
        if fault is None:
            return checkpoint, damaged
        damaged.append(Damaged(checkpoint.name, fault))
    if damaged and read_manifests(folder)[0] != found:  # a training has replaced them meanwhile
        return newest_valid(folder)
    return None, damaged


def policies(folder: Union[str, Path]) -> List[Path]:
    """Return the policies of a folder, oldest first by the iterations in their manifests, which no clock changes; those
    without a manifest come before."""
    return sorted(Path(folder).glob("*" + POLICY_SUFFIX), key=lambda path: (_iteration_of(path), path.name))


def _iteration_of(policy: Path) -> int:
    try:
        return read_manifest(policy.with_name(policy.name[: -len(POLICY_SUFFIX)] + MANIFEST_SUFFIX)).iteration
    except CheckpointError:
        return -1


def load_state(path: Union[str, Path]) -> Dict[str, Any]:
    """Load a training state, tensors on the CPU; no code in it is run.

    Raises:
        CheckpointError: it cannot be read.
    """
    state = load_plain(path)
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} is not a training state.")
    return state
