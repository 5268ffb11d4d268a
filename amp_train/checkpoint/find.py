"""From what a user types to a checkpoint file: where it can be, and whether it matches its manifest."""

from pathlib import Path
from typing import List, Optional, Union

from amp_train.checkpoint.store import MANIFEST_SUFFIX, POLICY_SUFFIX, fault_of_file, newest_valid, read_manifest
from amp_train.errors import CheckpointError
from amp_train.paths import PRETRAINED_DIR
from amp_train.untrusted import printable

PREFIX = "pretrained/"


def pretrained_names() -> List[str]:
    """Return the names of the bundled policies, as `find_checkpoint` takes them."""
    return sorted(PREFIX + path.stem for path in PRETRAINED_DIR.glob("*" + POLICY_SUFFIX))


def find_checkpoint(name: str) -> str:
    """Return the path of the checkpoint that `name` stands for.

    Args:
        name: a file's path, or `pretrained/CLIP`; `runs/NAME` and `runs/NAME/nn/NAME.pth`, as IsaacGymEnvs calls it,
            stand for the best policy of that run, or the newest if there is no best one yet.

    Raises:
        CheckpointError: there is none, or it does not match its manifest.
    """
    if name in pretrained_names() and not Path(name).exists():
        return str(PRETRAINED_DIR / (name[len(PREFIX) :] + POLICY_SUFFIX))
    path = Path(name)
    if not path.is_file():
        folder = _policies_of_run(path)
        best = _best_policy(folder) if folder is not None else None
        if best is None:
            raise CheckpointError(_not_found(name))
        path = best
    check_policy_file(path)
    return str(path)


def _policies_of_run(path: Path) -> Optional[Path]:
    """Return the folder of the policies of the run that a path stands for."""
    if path.parent.name == "nn" and path.suffix == POLICY_SUFFIX and path.stem == path.parent.parent.name:
        return path.parent
    return path / "nn" if (path / "nn").is_dir() else None


def _best_policy(folder: Path) -> Optional[Path]:
    best = [path for path in sorted(folder.glob("*" + POLICY_SUFFIX)) if not path.name.startswith("last_")]
    newest = newest_valid(folder)[0] if not best else None
    return best[0] if best else newest.policy if newest else None


def _not_found(name: str) -> str:
    there = sorted(str(path) for path in Path(name).parent.glob("*" + POLICY_SUFFIX))
    if there:
        return f"There is no checkpoint {name}. That folder has: {printable(', '.join(there[:5]))}."
    pretrained = ", ".join(pretrained_names())
    return (
        f"There is no checkpoint {name}. Give the path of a .pth file, such as runs/NAME/nn/NAME.pth, or a "
        f"bundled policy: {pretrained}."
    )


def check_policy_file(path: Union[str, Path]) -> None:
    """Compare a policy with its manifest, if there is one: torch notices a truncated file, but not a flipped bit.

    A training may replace both meanwhile, the manifest first: a mismatch counts only if the manifest is the same before
    and after the comparison.

    Raises:
        CheckpointError: they differ.
    """
    path = Path(path)
    if not path.name.endswith(POLICY_SUFFIX):
        return
    manifest = path.with_name(path.name[: -len(POLICY_SUFFIX)] + MANIFEST_SUFFIX)
    before, fault = _stamp(manifest), _fault(path, manifest)
    while fault is not None:
        after = _stamp(manifest)
        if after == before:
            unchecked = f", or remove {manifest} to use it unchecked" if fault.startswith("its manifest") else ""
            raise CheckpointError(f"Checkpoint {path} is damaged: {fault}. Use another checkpoint{unchecked}.")
        before, fault = after, _fault(path, manifest)


def _fault(path: Path, manifest: Path) -> Optional[str]:
    if not manifest.is_file():
        return None
    try:
        return fault_of_file(path, read_manifest(manifest).files[path.name])
    except CheckpointError as error:
        return str(error)


def _stamp(manifest: Path) -> Optional[List[int]]:
    """Return what distinguishes a file from its replacement; None: there is no file."""
    try:
        status = manifest.stat()
    except OSError:
        return None
    return [status.st_ino, status.st_mtime_ns, status.st_size]
