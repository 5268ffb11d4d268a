"""Finding the checkpoint that a training continues from, and its inputs."""

from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from amp_train.character import CharacterSpec
from amp_train.checkpoint.atomic import digest_of
from amp_train.checkpoint.load import safe_load
from amp_train.checkpoint.store import (
    MANIFEST_SUFFIX,
    POLICY_SUFFIX,
    Checkpoint,
    Damaged,
    fault_of,
    newest_valid,
    read_manifest,
    read_manifests,
)
from amp_train.config import Config
from amp_train.errors import CheckpointError, ConfigError
from amp_train.motion.dataset import motion_files
from amp_train.resume.configuration import INEXACT_NOTE, Difference
from amp_train.resume.run_dir import ResumeTarget
from amp_train.untrusted import printable


class Resumption(NamedTuple):
    """An intact checkpoint, and the information on the training in the policy's file.

    Attributes:
        skipped: newer ones that cannot be used.
        later: names of those after it, which are moved aside when training continues.
        frame: samples.
        input_files: sha256 by `input_files`' names.
    """

    run_dir: Path
    checkpoint: Checkpoint
    skipped: List[Damaged]
    later: List[str]
    iteration: int
    frame: int
    config: Dict[str, Any]
    versions: Dict[str, str]
    input_files: Dict[str, str]


def find_resumption(target: ResumeTarget) -> Optional[Resumption]:
    """Find the checkpoint to continue from; None if there is none and it was not requested by name.

    Raises:
        CheckpointError: the requested one, or all of them, cannot be used.
    """
    if target.checkpoint_name is not None:
        return _described(target.run_dir, _exactly(target), [])
    checkpoint, damaged = newest_valid(target.run_dir / "nn")
    if checkpoint is not None:
        return _described(target.run_dir, checkpoint, damaged)
    if damaged:
        faults = "; ".join(f"{d.name}: {d.reason}" for d in damaged)
        raise CheckpointError(
            f"No checkpoint of {target.run_dir} can be used: {faults}. Start a new training with another experiment=, "
            "from a policy with checkpoint=."
        )
    if target.must_exist or _has_foreign_policies(target.run_dir):
        raise CheckpointError(_nothing_there(target.run_dir))
    return None


def _exactly(target: ResumeTarget) -> Checkpoint:
    name = str(target.checkpoint_name)
    manifest = target.run_dir / "nn" / (name + MANIFEST_SUFFIX)
    try:
        checkpoint = read_manifest(manifest) if manifest.is_file() else None
        fault = fault_of(checkpoint) if checkpoint else None
    except CheckpointError as error:
        raise CheckpointError(f"Checkpoint {name} is damaged: {error}.") from error
    if fault:
        raise CheckpointError(
            f"Checkpoint {name} is damaged: {fault}. Give resume={target.run_dir} for the newest intact one."
        )
    if checkpoint is None or not checkpoint.ranks:
        raise CheckpointError(
            f"{name} is a policy without a training state. Give resume={target.run_dir} to continue its training, or "
            "start a new one from it with checkpoint=."
        )
    return checkpoint


def _described(run_dir: Path, checkpoint: Checkpoint, skipped: List[Damaged]) -> Resumption:
    content = safe_load(checkpoint.policy)
    extra = content.get("amp_train")
    if not isinstance(extra, dict) or not isinstance(extra.get("config"), dict):
        raise CheckpointError(f"Checkpoint {checkpoint.policy} contains no configuration and cannot be resumed.")
    for name in ("epoch", "frame"):
        if name not in content:
            raise CheckpointError(f"Checkpoint {checkpoint.policy} is broken: it lacks {name}.")
    return Resumption(
        run_dir,
        checkpoint,
        skipped,
        [c.name for c in read_manifests(run_dir / "nn")[0] if c.iteration > checkpoint.iteration],
        int(content["epoch"]),
        int(content["frame"]),
        extra["config"],
        _texts(extra, "versions", checkpoint.policy),
        _texts(extra, "input_files", checkpoint.policy),
    )


def _texts(extra: Dict[str, Any], key: str, policy: Path) -> Dict[str, str]:
    value = extra.get(key, {})
    if not isinstance(value, dict) or not all(type(text) is str for item in value.items() for text in item):
        raise CheckpointError(f"Checkpoint {policy} is broken: its '{key}' is not a dict of strings.")
    return {printable(name): printable(text) for name, text in value.items()}


def _nothing_there(run_dir: Path) -> str:
    policies = sorted((run_dir / "nn").glob("*" + POLICY_SUFFIX))
    if policies:
        return (
            f"{run_dir} contains no complete checkpoint, only policies. Start a new training from one with "
            f"checkpoint={printable(str(policies[-1]))}."
        )
    return f"{run_dir} contains no checkpoint. Give a run directory, such as runs/NAME, or one of its nn/last_*.pth."


def _has_foreign_policies(run_dir: Path) -> bool:
    """Return whether another program's training is there; a run killed before its first checkpoint starts again."""
    policies = (run_dir / "nn").glob("*" + POLICY_SUFFIX)
    return any(not isinstance(safe_load(policy).get("amp_train"), dict) for policy in policies)


def input_files(cfg: Config, spec: CharacterSpec) -> Dict[str, str]:
    """Return the sha256 of the files a training learns from, by the configuration key and the file's name."""
    clips = motion_files(cfg.motion.file)
    files = {f"motion.file {path.relative_to(clips[0].parent).as_posix()}": path for path in clips}
    files[f"character.mjcf {Path(spec.mjcf_path).name}"] = Path(spec.mjcf_path)
    return {name: digest_of(path).sha256 for name, path in files.items()}


def changed_files(before: Dict[str, str], now: Dict[str, str], allowed: Sequence[str]) -> List[Difference]:
    """Return which files have changed since the checkpoint.

    Raises:
        ConfigError: one has changed whose key is not among the `allowed`.
    """
    changed = [name for name in sorted(set(before) | set(now)) if before.get(name) != now.get(name)]
    for name in changed:
        key, _, file = name.partition(" ")
        if not any(key == other or key.startswith(other + ".") for other in allowed):
            raise ConfigError(
                f"{file} has changed since the checkpoint. Restore it, allow the change with "
                f"resume_allow=[{key}], or start a new training with checkpoint=."
            )
    return [Difference(name, before.get(name, "none")[:8], now.get(name, "none")[:8]) for name in changed]


def changed_versions(before: Dict[str, str], now: Dict[str, str]) -> List[Difference]:
    """Return which packages are of another version than when the checkpoint was written."""
    names = sorted(name for name in set(before) & set(now) if before[name] != now[name])
    return [Difference(name, before[name], now[name], INEXACT_NOTE) for name in names]
