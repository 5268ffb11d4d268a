"""Running a training: rl_games' runner, the environment and the telemetry put together."""

import platform
from importlib import metadata
from pathlib import Path
from typing import Any, Dict, List, Optional

import torch

import amp_train
from amp_train.checkpoint.load import safe_load
from amp_train.config import Config, rl_games_params, stored_form
from amp_train.env import AmpEnv
from amp_train.integration.registration import load_runner
from amp_train.integration.training_eval import TrainingEvaluation
from amp_train.integration.vec_env import AMPVecEnv
from amp_train.telemetry import MetricsFiles, ProgressBar, TrainingObserver, WandbSink, stdout_to_file

RECORDED_PACKAGES = ("torch", "rl_games", "mujoco", "numpy", "hydra-core")


def train(cfg: Config, env: AmpEnv, run_dir: Path) -> None:
    """Train until the iterations are done; checkpoints, metrics and rl_games' own output go to the run directory.

    Args:
        cfg: resolved, its `experiment` naming the run directory.
        env: the training environments.
        run_dir: exists already.
    """
    params = rl_games_params(cfg)
    params["config"]["checkpoint_extra"] = {"config": stored_form(cfg), "versions": versions()}
    vec_env = AMPVecEnv(env, str(cfg.rl_device))
    evaluation = TrainingEvaluation(cfg)
    observer = TrainingObserver(
        [MetricsFiles(run_dir), ProgressBar()],
        _wandb_sink(cfg, run_dir),
        lambda: {"num_diverged": env.num_diverged, **evaluation.row(observer.agent)},
        params["config"]["disc_reward_scale"],
    )
    try:
        with stdout_to_file(run_dir / "rl_games.log"):
            runner = load_runner(params, vec_env, observer)
            if cfg.torch_deterministic:
                _make_deterministic()
            runner.run({"train": True, "play": False, "checkpoint": cfg.checkpoint, "sigma": cfg.sigma})
    finally:
        observer.close()
        evaluation.close()


def newest_checkpoint(run_dir: Path) -> Optional[Path]:
    """Return the checkpoint of the run that was written last."""
    found: List[Path] = sorted((run_dir / "nn").glob("*.pth"), key=lambda path: path.stat().st_mtime_ns)
    return found[-1] if found else None


def stored_config(checkpoint: str) -> Optional[Dict[str, Any]]:
    """Return the configuration that a checkpoint carries; one of IsaacGymEnvs carries none."""
    extra = safe_load(checkpoint).get("amp_train")
    config = extra.get("config") if isinstance(extra, dict) else None
    return config if isinstance(config, dict) else None


def versions() -> Dict[str, str]:
    """Return what this runs on, for the record."""
    found = {"amp_train": amp_train.__version__, "python": platform.python_version()}
    for package in RECORDED_PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "unknown"
    return found


def _wandb_sink(cfg: Config, run_dir: Path) -> Optional[WandbSink]:
    if not cfg.wandb_activate:
        return None
    init_args: Dict[str, Any] = {
        "project": cfg.wandb_project,
        "entity": cfg.wandb_entity,
        "group": cfg.wandb_group,
        "name": cfg.wandb_name or cfg.experiment,
        "tags": list(cfg.wandb_tags),
        "dir": str(run_dir),
        "config": stored_form(cfg),
        "settings": {"console": "off"},  # it would wrap the streams that the progress bar writes to
    }
    return WandbSink(init_args)


def _make_deterministic() -> None:
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.use_deterministic_algorithms(True, warn_only=True)
