"""Running a training: combines rl_games' runner, the environment and the telemetry."""

import copy
import os
import platform
import re
import secrets
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any, Callable, Dict, Optional, cast

import torch

import amp_train
from amp_train.checkpoint.find import find_checkpoint
from amp_train.checkpoint.load import safe_load
from amp_train.checkpoint.store import newest_valid, remove_unfinished, set_aside_later
from amp_train.config import Config, rl_games_params, stored_form
from amp_train.distributed.ranks import ALONE, Ranks
from amp_train.env import AmpEnv
from amp_train.resume.resumption import Resumption, input_files
from amp_train.resume.rows import cut_metrics
from amp_train.runner.divergence_watch import DivergenceWatch
from amp_train.runner.ranks import rank_seed
from amp_train.runner.rl_games import load_runner
from amp_train.runner.training_eval import TrainingEvaluation
from amp_train.runner.training_video import TrainingVideos, VideoRecorder
from amp_train.runner.vec_env import AMPVecEnv
from amp_train.telemetry import MetricsFiles, TrainingObserver, WandbSink, stdout_to_file, training_view
from amp_train.telemetry.files import cut_event_files
from amp_train.untrusted import read_regular

WANDB_ID_FILE, MAX_ID_BYTES = "wandb_id.txt", 100
SUPERSEDED = "superseded"  # in a run directory: what followed an older checkpoint that was resumed
RECORDED_PACKAGES = ("torch", "rl_games", "mujoco", "numpy", "hydra-core")


def train(
    cfg: Config,
    env: AmpEnv,
    run_dir: Path,
    stop_reason: Optional[Callable[[], Optional[str]]] = None,
    resumption: Optional[Resumption] = None,
    ranks: Ranks = ALONE,
    new_recorder: Optional[Callable[[], VideoRecorder]] = None,
) -> Optional[str]:
    """Train until the iterations are done; checkpoints, metrics and rl_games' own output go to the run directory.

    Args:
        cfg: resolved, its `experiment` naming the run directory.
        env: the training environments.
        run_dir: exists already, and belongs to this training alone.
        stop_reason: called after every iteration; a string stops the training.
        resumption: where to continue; without one, metrics of an earlier training in `run_dir` are removed.
        ranks: the processes that train together; the first one writes everything but the others' training states.
        new_recorder: creates a video recorder, for `capture_video`.

    Returns:
        Why the training stopped early, None if it is complete.
    """
    params = rl_games_params(cfg)
    params["seed"] = rank_seed(cfg.seed, ranks.rank)
    params["config"]["checkpoint_extra"] = description(cfg, env)
    if ranks.is_first:
        clean_up(run_dir, resumption)
    watch = DivergenceWatch(env, run_dir, cfg.max_diverged_share)
    vec_env = AMPVecEnv(env, str(cfg.rl_device), watch.check, spread_episodes=True)
    evaluation = TrainingEvaluation(cfg, active=ranks.is_first)
    videos = TrainingVideos(cfg, run_dir, new_recorder if ranks.is_first else None)
    wandb = _wandb_sink(cfg, env, run_dir, resumption is not None) if ranks.is_first else None

    def measure() -> Dict[str, Any]:
        videos.capture(observer.agent, wandb)
        return {**evaluation.row(observer.agent), **env.pop_task_metrics()}

    observer = TrainingObserver(
        [MetricsFiles(run_dir), training_view(run_dir)] if ranks.is_first else [],
        wandb,
        measure,
        params["config"]["disc_reward_scale"],
        lambda: {"num_diverged": env.num_diverged},
        {"divergence_watch": watch},
    )
    start = {"checkpoint": cfg.checkpoint, "sigma": cfg.sigma}
    if resumption is not None:
        start = {"checkpoint": str(resumption.checkpoint.policy), "sigma": None}
        params["config"]["training_state"] = str(resumption.checkpoint.state(ranks.rank))
    try:
        with stdout_to_file(run_dir / "rl_games.log" if ranks.is_first else os.devnull):
            runner = load_runner(params, vec_env, observer, ranks)
            runner.params["config"]["stop_reason"] = stop_reason
            if cfg.torch_deterministic:
                _make_deterministic()
            runner.run({"train": True, "play": False, **start})
    finally:
        observer.close()
        evaluation.close()
        videos.close()
    return cast(Optional[str], observer.agent.stopped_by)


def clean_up(run_dir: Path, resumption: Optional[Resumption]) -> None:
    """Remove what a crash left half written, and rows and scalars from after the checkpoint.

    Later checkpoints, and the metrics up to the newest of them, are kept in `superseded/`.
    """
    checkpoint = None if resumption is None else resumption.checkpoint
    remove_unfinished(run_dir / "nn")
    if resumption is not None and (resumption.later or resumption.skipped):
        newest = [*resumption.later, *(damaged.name for damaged in resumption.skipped)][0]
        (run_dir / SUPERSEDED).mkdir(exist_ok=True)
        for rows in sorted(run_dir.glob("metrics.*")):
            shutil.copyfile(rows, run_dir / SUPERSEDED / f"{newest}.{rows.name}")
        set_aside_later(run_dir / "nn", resumption.iteration, run_dir / SUPERSEDED)
    cut_metrics(run_dir, 0 if checkpoint is None else checkpoint.iteration)
    cut_event_files(run_dir / "summaries", {} if checkpoint is None else checkpoint.event_files)


def description(cfg: Config, env: AmpEnv) -> Dict[str, Any]:
    """Return the information on the training in a policy's file."""
    return {
        "config": trained_config(cfg, env),
        "versions": versions(),
        "input_files": input_files(cfg, env.spec),
    }


def trained_config(cfg: Config, env: AmpEnv) -> Dict[str, Any]:
    """Return the configuration to be stored, with the environment's torque limits: a policy keeps them with other
    clips."""
    cfg = copy.deepcopy(cfg)
    cfg.character = copy.deepcopy(env.character)
    return stored_form(cfg)


def newest_checkpoint(run_dir: Path) -> Optional[Path]:
    """Return the policy of the newest intact checkpoint of the run."""
    checkpoint, _ = newest_valid(run_dir / "nn")
    return None if checkpoint is None else checkpoint.policy


def stored_config(checkpoint: str) -> Optional[Dict[str, Any]]:
    """Return the configuration in a checkpoint; one of IsaacGymEnvs has none."""
    extra = safe_load(find_checkpoint(checkpoint)).get("amp_train")
    config = extra.get("config") if isinstance(extra, dict) else None
    return config if isinstance(config, dict) else None


def versions() -> Dict[str, str]:
    """Return the versions of packages and platform, for the record."""
    found = {"amp_train": amp_train.__version__, "python": platform.python_version()}
    for package in RECORDED_PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "unknown"
    return found


def _wandb_sink(cfg: Config, env: AmpEnv, run_dir: Path, resumed: bool) -> Optional[WandbSink]:
    if not cfg.wandb_activate:
        return None
    init_args: Dict[str, Any] = {
        "id": wandb_id(run_dir, resumed),
        "resume": "allow",
        "project": cfg.wandb_project,
        "entity": cfg.wandb_entity,
        "group": cfg.wandb_group,
        "name": cfg.wandb_name or cfg.experiment,
        "tags": list(cfg.wandb_tags),
        "dir": str(run_dir),
        "config": trained_config(cfg, env),
        "settings": {"console": "off"},  # it would wrap the streams that the progress bar writes to
    }
    return WandbSink(init_args)


def wandb_id(run_dir: Path, resumed: bool) -> str:
    """Return wandb's id of the run; a resumed training keeps it."""
    path = run_dir / WANDB_ID_FILE
    kept = read_regular(path, MAX_ID_BYTES).decode(errors="replace").strip() if resumed and path.is_file() else ""
    if re.fullmatch("[0-9a-f]{16}", kept):
        return kept
    new = secrets.token_hex(8)
    path.write_text(new + "\n")
    return new


def _make_deterministic() -> None:
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.use_deterministic_algorithms(True, warn_only=True)
