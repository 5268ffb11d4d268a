"""What the commands of `amp-motion` do."""

import json
import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, cast

from omegaconf import OmegaConf

from amp_train.character import CharacterSpec, configured_character
from amp_train.cli.motion_folder import import_files, listed_files
from amp_train.cli.motion_view import view_clip
from amp_train.config import compose
from amp_train.config.compose import as_config_error
from amp_train.config.overrides import parse_overrides
from amp_train.errors import ConfigError, unknown_choice
from amp_train.motion import MotionClip, RetargetOptions, clip_facts, export_clip, find_motion, import_clip, save_clip
from amp_train.motion.check import BAD, as_json, check_clip, table, verdict
from amp_train.motion.facts import speed_m_s
from amp_train.motion.importers import Imported
from amp_train.motion.operations import concat, crop, loop, mirror, resample

_KEY = re.compile(r"^[a-z_]+=")


@dataclass
class MotionArgs:
    """amp-motion's arguments besides files."""

    character: str = "humanoid"
    out: Optional[str] = None
    units: Optional[str] = None
    up: Optional[str] = None
    fps: Optional[float] = None
    map: Optional[str] = None
    max_fps: float = 60.0
    ik: bool = True
    smooth: float = 0.0
    begin: float = 0.0
    end: Optional[float] = None
    shortest: float = 0.4
    longest: float = 6.0
    blend: float = 0.25
    format: Optional[str] = None
    workers: Optional[int] = None

    def options(self) -> RetargetOptions:
        """Return the options for reading the files."""
        return RetargetOptions(self.units, self.up, self.fps, self.map, self.max_fps, self.ik, self.smooth)


class Job:
    """A command's files, arguments and character."""

    def __init__(self, files: List[str], args: MotionArgs) -> None:
        self.files, self.args = files, args
        self.spec: CharacterSpec = configured_character(compose([f"character={args.character}"]).character)

    def imported(self, file: Optional[str] = None) -> Imported:
        """Load a file, the first by default, for the character."""
        return import_clip(find_motion(file or self.files[0]), self.spec, options=self.args.options())

    def save(self, clip: MotionClip, tail: str) -> int:
        """Write an edited clip, named after the edit unless out= is given."""
        path = Path(self.args.out or f"{Path(self.files[0]).stem}_{tail}.npz")
        if path.suffix != ".npz":
            raise ConfigError(f"out={path} must end in .npz; for other formats use amp-motion export.")
        save_clip(replace(clip, name=path.stem), path)
        print(f"{path}: {clip.num_frames} frames, {clip.duration_s:.2f} s, {clip.loop}")
        return 0


def run(argv: Sequence[str]) -> int:
    """Run a command line; return the exit code.

    Raises:
        UserError: an unknown command or key, no file, or an error of the command.
    """
    command, rest = argv[0], argv[1:]
    if command not in COMMANDS:
        raise unknown_choice("command of amp-motion", command, COMMANDS)
    files, args = split_arguments(rest)
    if not files:
        raise ConfigError(f"amp-motion {command} needs a file: amp-motion {command} clip.bvh")
    if len(files) > 1 and command not in ("import", "concat"):
        raise ConfigError(f"amp-motion {command} takes one file, not {len(files)}.")
    return COMMANDS[command](Job(files, args))


def split_arguments(argv: Sequence[str]) -> Tuple[List[str], MotionArgs]:
    """Split files from `key=value`.

    Raises:
        ConfigError: an unknown key, or a value of the wrong type.
    """
    given = [text for text in argv if _KEY.match(text)]
    known = [f.name for f in fields(MotionArgs)]
    own: Dict[str, Any] = {}
    for override in parse_overrides(given):
        if override.key_or_group not in known:
            raise unknown_choice("key of amp-motion", str(override.key_or_group), known)
        own[str(override.key_or_group)] = override.value()
    with as_config_error():
        args = cast(MotionArgs, OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(MotionArgs), own)))
    return [text for text in argv if not _KEY.match(text)], args


def _import(job: Job) -> int:
    files = listed_files(job.files)
    if len(files) > 1 or Path(job.files[0]).is_dir():
        return import_files(
            files, Path(job.args.out or "clips"), job.args.character, job.args.options(), job.args.workers
        )
    imported = job.imported(str(files[0]))
    for note in imported.notes:
        print(note)
    _say_error(imported)
    path = Path(job.args.out or f"{files[0].stem}.npz")
    if path.suffix != ".npz":
        raise ConfigError(f"out={path} must end in .npz; for other formats use amp-motion export.")
    if path.resolve() == files[0].resolve():
        raise ConfigError(f"out={path} would overwrite the input file.")
    save_clip(imported.clip, path)
    clip = imported.clip
    print(f"{path}: {clip.num_frames} frames, {clip.fps:g} fps, {clip.duration_s:.2f} s, {clip.loop}")
    findings = [f for f in check_clip(clip, job.spec, imported.retargeted) if f.advice]
    print("\n".join(f"{f.verdict}: {f.name} {f.value:.3g}: {f.advice}" for f in findings) or "check: ok")
    return 0


def _check(job: Job) -> int:
    imported = job.imported()
    findings = check_clip(imported.clip, job.spec, imported.retargeted)
    print(f"{imported.clip.name}: {verdict(findings)}\n{table(findings)}")
    _say_error(imported)
    if job.args.out:
        report = as_json(imported.clip, findings, imported.retargeted)
        Path(job.args.out).write_text(json.dumps(report, indent=2) + "\n")
    return int(verdict(findings) == BAD)


def _info(job: Job) -> int:
    imported = job.imported()
    clip, facts = imported.clip, clip_facts([imported.clip], job.spec)
    rows = [("format", "; ".join(imported.notes))]
    rows += [(key, value) for key, value in (("source", clip.source), ("licence", clip.licence)) if value]
    rows.append(("length", f"{clip.num_frames} frames, {clip.fps:g} fps, {clip.duration_s:.2f} s, {clip.loop}"))
    rows.append(("speed", f"{speed_m_s(clip):.2f} m/s"))
    rows.append(("root height", f"{float(clip.root_pos[:, 2].min()):.2f} to {float(clip.root_pos[:, 2].max()):.2f} m"))
    rows.append(("motion.contact_bodies", f"[{', '.join(facts.named_contact_bodies)}]"))
    if facts.rise_height is not None:
        rows.append(("motion.rise_height", f"{facts.rise_height:g}   stays below for at most {facts.low_s:.1f} s"))
        rows.append(("motion.max_low_s", f"{facts.max_low_s:g}"))
    if facts.torque_share:
        changed = "training raises the limits" if facts.torque_limits else "the limits stay"
        consequence = changed if facts.is_lively else "enough"
        rows.append(("strength", f"{facts.strength} ({consequence})"))
    print("\n".join(f"{name:24s}{value}" for name, value in rows))
    return 0


def _view(job: Job) -> int:
    imported = job.imported()
    path = Path(job.args.out or f"{Path(job.files[0]).stem}.png")
    print(view_clip(path, imported, job.spec))
    return 0


def _export(job: Job) -> int:
    if not job.args.out:
        raise ConfigError("amp-motion export needs out=clip.bvh (or .csv, .txt, .npy, .pkl).")
    path = export_clip(job.imported().clip, job.spec, job.args.out, job.args.format)
    print(path)
    return 0


def _resample(job: Job) -> int:
    if job.args.fps is None:
        raise ConfigError("amp-motion resample needs fps=60.")
    imported = import_clip(find_motion(job.files[0]), job.spec, options=replace(job.args.options(), fps=None))
    return job.save(resample(imported.clip, job.args.fps), f"{job.args.fps:g}fps")


def _say_error(imported: Imported) -> None:
    """Say how far the parts of the limbs are from where the source has them."""
    if imported.retargeted is not None:
        error_cm = sorted(imported.retargeted.error_cm.items(), key=lambda item: -item[1])
        print("distance to the source's joints, cm: " + ", ".join(f"{role} {cm:.1f}" for role, cm in error_cm))


COMMANDS: Dict[str, Callable[[Job], int]] = {
    "import": _import,
    "check": _check,
    "info": _info,
    "view": _view,
    "mirror": lambda job: job.save(mirror(job.imported().clip, job.spec), "mirrored"),
    "crop": lambda job: job.save(crop(job.imported().clip, job.args.begin, job.args.end), "cropped"),
    "resample": _resample,
    "loop": lambda job: job.save(loop(job.imported().clip, job.args.shortest, job.args.longest), "loop"),
    "concat": lambda job: job.save(
        concat([job.imported(file).clip for file in job.files], job.spec, job.args.blend), "joined"
    ),
    "export": _export,
}
