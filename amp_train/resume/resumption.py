"""Which checkpoint a training continues from, and what it was trained with."""

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
)
from amp_train.config import Config
from amp_train.errors import CheckpointError, ConfigError
from amp_train.motion.dataset import motion_files
from amp_train.resume.configuration import INEXACT_NOTE, Difference
from amp_train.resume.run_dir import ResumeTarget

STATE_FORMAT = 1  # in every policy of a version that writes training states


class Resumption(NamedTuple):
    """A whole checkpoint, newer ones that are not, and what the policy's file says of the training."""

    run_dir: Path
    checkpoint: Checkpoint
    skipped: List[Damaged]
    iteration: int
    frame: int
    config: Dict[str, Any]
    versions: Dict[str, str]
    input_files: Dict[str, str]


def find_resumption(target: ResumeTarget) -> Optional[Resumption]:
    """Find the checkpoint to continue from; None if there is none and it was not asked for by name.

    Raises:
        CheckpointError: the one asked for cannot be used, or none of those there are.
    """
    if target.checkpoint_name is not None:
        return _described(target.run_dir, _exactly(target), [])
    checkpoint, damaged = newest_valid(target.run_dir / "nn")
    if checkpoint is not None:
        return _described(target.run_dir, checkpoint, damaged)
    if damaged:
        raise CheckpointError(
            "No checkpoint of {} can be used: {}. Start a new training with another experiment=, from a policy with "
            "checkpoint=.".format(target.run_dir, "; ".join("{}: {}".format(d.name, d.reason) for d in damaged))
        )
    if target.must_exist:
        raise CheckpointError(_nothing_there(target.run_dir))
    _refuse_older_version(target.run_dir)
    return None


def _exactly(target: ResumeTarget) -> Checkpoint:
    name = str(target.checkpoint_name)
    manifest = target.run_dir / "nn" / (name + MANIFEST_SUFFIX)
    try:
        checkpoint = read_manifest(manifest) if manifest.is_file() else None
        fault = fault_of(checkpoint) if checkpoint else None
    except CheckpointError as error:
        raise CheckpointError("Checkpoint {} is damaged: {}.".format(name, error)) from error
    if fault:
        raise CheckpointError(
            "Checkpoint {} is damaged: {}. Give resume={} for the newest one that is whole.".format(
                name, fault, target.run_dir
            )
        )
    if checkpoint is None or not checkpoint.number:
        raise CheckpointError(
            "{} is a policy without a training state. Give resume={} to continue its training, or start a new one from "
            "it with checkpoint=.".format(name, target.run_dir)
        )
    return checkpoint


def _described(run_dir: Path, checkpoint: Checkpoint, skipped: List[Damaged]) -> Resumption:
    content = safe_load(checkpoint.policy)
    extra = content.get("amp_train")
    if not isinstance(extra, dict) or not isinstance(extra.get("config"), dict):
        raise CheckpointError("Checkpoint {} does not say how it was trained.".format(checkpoint.policy))
    return Resumption(
        run_dir,
        checkpoint,
        skipped,
        int(content["epoch"]),
        int(content["frame"]),
        extra["config"],
        dict(extra.get("versions", {})),
        dict(extra.get("input_files", {})),
    )


def _nothing_there(run_dir: Path) -> str:
    policies = sorted((run_dir / "nn").glob("*" + POLICY_SUFFIX))
    if policies:
        return (
            "{} holds no complete checkpoint, only policies. Start a new training from one with checkpoint={}.".format(
                run_dir, policies[-1]
            )
        )
    return "{} holds no checkpoint. Give a run directory, such as runs/NAME, or one of its nn/last_*.pth.".format(
        run_dir
    )


def _refuse_older_version(run_dir: Path) -> None:
    """Leave alone what a version without training states has trained; a run killed before its first checkpoint is
    begun anew."""
    for policy in sorted((run_dir / "nn").glob("*" + POLICY_SUFFIX)):
        extra = safe_load(policy).get("amp_train")
        if not isinstance(extra, dict) or "state_format" not in extra:
            raise CheckpointError(_nothing_there(run_dir))


def input_files(cfg: Config, spec: CharacterSpec) -> Dict[str, str]:
    """Return the sha256 of the files a training learns from, by the configuration key and the file's name."""
    clips = motion_files(cfg.motion.file)
    files = {"motion.file {}".format(path.relative_to(clips[0].parent).as_posix()): path for path in clips}
    files["character.mjcf {}".format(Path(spec.mjcf_path).name)] = Path(spec.mjcf_path)
    return {name: digest_of(path).sha256 for name, path in files.items()}


def changed_files(before: Dict[str, str], now: Dict[str, str], allowed: Sequence[str]) -> List[Difference]:
    """Return which files have changed since the checkpoint.

    Raises:
        ConfigError: one has whose key is not among the `allowed`.
    """
    changed = [name for name in sorted(set(before) | set(now)) if before.get(name) != now.get(name)]
    for name in changed:
        key, _, file = name.partition(" ")
        if not any(key == other or key.startswith(other + ".") for other in allowed):
            raise ConfigError(
                "{} is not the file that the checkpoint was trained with. Put that back, allow the change with "
                "resume_allow=[{}], or start a new training with checkpoint=.".format(file, key)
            )
    return [Difference(name, before.get(name, "none")[:8], now.get(name, "none")[:8]) for name in changed]


def changed_versions(before: Dict[str, str], now: Dict[str, str]) -> List[Difference]:
    """Return which packages are of another version than when the checkpoint was written."""
    names = sorted(name for name in set(before) & set(now) if before[name] != now[name])
    return [Difference(name, before[name], now[name], INEXACT_NOTE) for name in names]
