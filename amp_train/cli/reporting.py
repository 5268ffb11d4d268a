"""The content of reports of trainings and evaluations."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from omegaconf import OmegaConf

from amp_train.config import Config
from amp_train.errors import UserError
from amp_train.viewers.report import ReportEntry, check_report_path, episode_pictures, write_report

VIDEO_S = 8.0
_LEFT_OUT = ("noisy", "falls_by_phase")  # shown in another way


class EvaluatedRun(NamedTuple):
    """A policy, its file, and its measurements; `plot` draws an episode's pictures into a folder."""

    cfg: Config
    checkpoint: str
    numbers: Dict[str, Any]
    plot: Callable[[Path], Path]


def write_evaluation_report(path: Path, runs: Sequence[EvaluatedRun]) -> Path:
    """Write a page about one policy, or about several side by side.

    Raises:
        UserError: it cannot be written there.
    """
    check_report_path(path)
    names = _names([run.checkpoint for run in runs])
    with ExitStack() as scratch:
        folders = [Path(scratch.enter_context(tempfile.TemporaryDirectory())) for _ in runs]
        entries = [_entry(run, name, folder) for run, name, folder in zip(runs, names, folders)]
        return write_report(path, entries)


def write_training_report(cfg: Config, run_dir: Path, numbers: Dict[str, Any], video: Optional[Path]) -> Path:
    """Write `report.html` in the run directory of a training that has ended.

    Raises:
        UserError: it cannot be written there.
    """
    checkpoint, curves = run_dir / "nn", run_dir / "curves.png"
    evaluate = f"amp-eval checkpoint={checkpoint}/{run_dir.name}.pth report={run_dir}/evaluation.html"
    entry = ReportEntry(
        name=str(cfg.experiment),
        numbers=numbers,
        commands=[
            _training_command(cfg),
            "",
            "# Alignment with the clip, joint angles, contacts, where it falls:",
            evaluate,
        ],
        config=OmegaConf.to_yaml(cfg),
        metrics_csv=run_dir / "metrics.csv",
        curves=curves if curves.is_file() else None,
        video=video if video is not None and video.is_file() else None,
    )
    return write_report(run_dir / "report.html", [entry])


def _entry(run: EvaluatedRun, name: str, folder: Path) -> ReportEntry:
    metrics = Path(run.checkpoint).parent.parent / "metrics.csv"
    return ReportEntry(
        name=name,
        numbers=_flat(run.numbers),
        commands=[_training_command(run.cfg), f"amp-eval checkpoint={run.numbers['checkpoint']} report=report.html"],
        config=OmegaConf.to_yaml(run.cfg),
        metrics_csv=metrics if metrics.is_file() else None,
        pictures=_pictures(run, folder),
        video=_video(run, folder / "episode.mp4"),
        falls_by_phase=run.numbers.get("falls_by_phase") or (),
    )


def _pictures(run: EvaluatedRun, folder: Path) -> Dict[str, Path]:
    try:
        return episode_pictures(run.plot(folder))
    except UserError:  # no matplotlib: a page with numbers only
        return {}


def _flat(numbers: Dict[str, Any]) -> Dict[str, Any]:
    noisy = numbers.get("noisy") or {}
    shown = {name: value for name, value in numbers.items() if name not in _LEFT_OUT}
    with_noise = {name: noisy[name] for name in ("dtw_pose_error_m", "fall_rate", "style_reward") if name in noisy}
    return {**shown, **{f"{name}, with noise": value for name, value in with_noise.items()}}


def _names(checkpoints: Sequence[str]) -> List[str]:
    """Name runs by their folders, or by their files where folders are equal."""
    paths = [Path(checkpoint) for checkpoint in checkpoints]
    folders = [path.parent.parent.name if path.parent.name == "nn" else path.stem for path in paths]
    return folders if len(set(folders)) == len(folders) else [str(path) for path in paths]


def _training_command(cfg: Config) -> str:
    """Return the command of the training; other differences from the defaults are in the configuration."""
    parts = ["amp-train", f"task={cfg.task.name}", f"motion={cfg.motion.name}", f"sim={cfg.sim.name}"]
    for name in ("num_envs", "seed", "max_iterations"):
        value = OmegaConf.select(cfg, name)  # type: ignore[arg-type]
        parts += [] if value is None else [f"{name}={value}"]
    return " ".join(parts)


def _video(run: EvaluatedRun, path: Path) -> Optional[Path]:
    """Record the policy for some seconds; None where nothing can be drawn or encoded."""
    from amp_train.env import make_env
    from amp_train.runner.episodes import run_episodes
    from amp_train.runner.policy import Policy
    from amp_train.runner.vec_env import AMPVecEnv
    from amp_train.sim.factory import BACKENDS
    from amp_train.viewers import Recorder, record_video

    cfg: Any = run.cfg.copy()  # type: ignore[attr-defined]
    if BACKENDS[cfg.sim.name].one_per_process:
        return None
    cfg.num_envs = 1
    env = make_env(cfg)
    try:
        vec_env = AMPVecEnv(env, str(cfg.rl_device))
        recorder = Recorder(1)
        run_episodes(
            vec_env, Policy(cfg, vec_env, run.checkpoint), [recorder], num_steps=round(VIDEO_S / env.control_dt_s)
        )
        return record_video(path, recorder.recording(), width=480, height=360)
    except UserError:
        return None
    finally:
        env.close()
