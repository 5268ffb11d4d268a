"""One training from its configuration to what is left of it: checkpoint, curves, video."""

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Optional, Tuple, cast

from omegaconf import DictConfig, OmegaConf

from amp_train.cli.arguments import sweep_job_number, task_overrides
from amp_train.cli.play_job import describe, drawn, play_checkpoint, record_video
from amp_train.cli.resuming import check_done, list_other_changes, look_for_resumption, with_its_configuration
from amp_train.config import Config, resolve, with_overrides
from amp_train.distributed.ranks import Ranks
from amp_train.env import make_env
from amp_train.errors import UserError
from amp_train.resume.resumption import Resumption
from amp_train.resume.run_dir import RunLock, check_writable, make_run_dir
from amp_train.runner.playback import play
from amp_train.runner.preflight import check_training
from amp_train.runner.ranks import common_resumption, join_ranks, of_this_rank, start_common
from amp_train.runner.stopping import EXIT_DONE, EXIT_STOPPED, StopRequest
from amp_train.runner.training import newest_checkpoint, stored_config, train

FINAL_EPISODES = 16


def train_or_play(composed: DictConfig) -> None:
    """Train; with test=True, play `checkpoint` instead."""
    cfg = cast(Config, composed)
    if cfg.test:
        play_checkpoint([text for text in task_overrides() if not text.startswith("test=")])
        return
    with ExitStack() as held:
        stop = held.enter_context(StopRequest(cfg.max_time_s))
        ranks = join_ranks(cfg, held)
        resumption = common_resumption(ranks, lambda: look_for_resumption(cfg, held))
        cfg = resolve(_continued(cfg) if resumption is None else with_its_configuration(cfg, resumption))
        start_common(cfg, ranks)
        if resumption is not None and check_done(cfg, resumption):
            print("All {} iterations are done.".format(cfg.max_iterations))
            run_dir, stopped_by = resumption.run_dir, None
        else:
            run_dir, stopped_by = _train(cfg, resumption, stop, held, ranks)
    if not ranks.is_first:
        sys.exit(EXIT_DONE if stopped_by is None else EXIT_STOPPED)
    if stopped_by is not None:
        as_many = " in {} processes".format(ranks.world_size) if ranks.world_size > 1 else ""
        command = "amp-train resume={}{}".format(run_dir, as_many and " multi_gpu=True")
        print("Stopped by {} and saved. Go on{} with: {}".format(stopped_by, as_many, command), flush=True)
        if stop.only_this_job and sweep_job_number() is not None:
            return
        sys.exit(EXIT_STOPPED)
    _report(cfg, run_dir)


def _train(
    cfg: Config, resumption: Optional[Resumption], stop: StopRequest, held: ExitStack, ranks: Ranks
) -> Tuple[Path, Optional[str]]:
    """Train in a run directory that is locked; return it, and why the training stopped before its end, if it did."""
    check_training(cfg)
    place = Path(cfg.train_dir) if resumption is None else resumption.run_dir
    ranks.first_does(lambda: check_writable(place))
    env = make_env(of_this_rank(cfg, ranks))
    held.callback(env.close)
    if resumption is not None:
        list_other_changes(cfg, env, resumption)
        run_dir = resumption.run_dir
    else:
        cfg.experiment = ranks.first_does(lambda: _new_run_dir(cfg, held))
        run_dir = Path(cfg.train_dir) / cfg.experiment
    if ranks.is_first:
        OmegaConf.save(cast(DictConfig, cfg), run_dir / "config.yaml")
    print(_announcement(cfg, run_dir, ranks.world_size), flush=True)
    started_s = time.perf_counter()
    stopped_by = train(cfg, env, run_dir, stop, resumption, ranks)
    if stopped_by is None:
        minutes = (time.perf_counter() - started_s) / 60.0
        print("Trained {} iterations in {:.1f} min.".format(cfg.max_iterations, minutes))
    return run_dir, stopped_by


def _new_run_dir(cfg: Config, held: ExitStack) -> str:
    """Create a run directory and lock it; return the experiment's name."""
    held.enter_context(RunLock(make_run_dir(cfg, sweep_job_number())))
    return str(cfg.experiment)


def _continued(cfg: Config) -> Config:
    """Return the configuration to train with: a checkpoint's own, if one is continued, with the command line on top."""
    stored = stored_config(cfg.checkpoint) if cfg.checkpoint else None
    return cfg if stored is None else with_overrides(stored, task_overrides(), cfg)


def _announcement(cfg: Config, run_dir: Path, processes: int) -> str:
    agent = cfg.train.params.config
    samples = processes * cast(int, cfg.max_iterations) * cast(int, cfg.num_envs) * agent.horizon_length
    each = "{} processes of ".format(processes) if processes > 1 else ""
    text = "Training {} on '{}': {}{} environments ({}, {} threads), learner on {}, {} iterations, {:,} samples -> {}"
    return text.format(
        cfg.task.name, cfg.motion.name, each, cfg.num_envs, cfg.sim.name, cfg.num_threads, cfg.rl_device,
        cfg.max_iterations, samples, run_dir,
    )  # fmt: skip


def _report(cfg: Config, run_dir: Path) -> None:
    """Say where the results are; what this machine cannot draw is one line, not a failure."""
    from amp_train.viewers import plot_curves

    checkpoint = newest_checkpoint(run_dir)
    print("  checkpoint  {}".format(checkpoint))
    print("  curves      {}".format(drawn(lambda: plot_curves(run_dir / "metrics.csv", run_dir / "curves.png"))))
    if cfg.video and checkpoint is not None:
        try:
            _final_video(cfg, checkpoint, run_dir / "video.mp4")
        except (UserError, OSError) as error:  # the clip may be gone by now, or the disk full
            print("  video       none. {}".format(error))


def _final_video(cfg: Config, checkpoint: Path, path: Path) -> None:
    cfg.num_envs, cfg.task.task.randomize = FINAL_EPISODES, False
    env = make_env(cfg)
    try:
        result = play(cfg, env, str(checkpoint), FINAL_EPISODES, record=True)
        print("  policy      {}".format(describe(result)))
        print("  video       {}".format(record_video(path, env, result)))
    finally:
        env.close()
