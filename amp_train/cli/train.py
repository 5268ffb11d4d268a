"""`amp-train [group=option ...] [key=value ...]`: train a character to move like a clip; -m sweeps, --help lists."""

import os
import sys
import textwrap
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional, Tuple, cast

import hydra
from omegaconf import DictConfig, OmegaConf

from amp_train.cli.arguments import (
    check_hydra_arguments,
    command,
    one_line_errors,
    sweep_job_number,
    task_overrides,
)
from amp_train.cli.play import checkpoint_config, describe, play_checkpoint
from amp_train.cli.showing import path_or_reason
from amp_train.cli.slurm_launcher import saved_before_requeue, sweep_errors
from amp_train.config import Config, resolve
from amp_train.config.resolve import name_motion_after_file
from amp_train.config.schema import GROUPS, register_schema
from amp_train.config.validate import check_paths, check_training
from amp_train.errors import ConfigError, UserError
from amp_train.isaacgym_first import import_isaacgym_first
from amp_train.paths import CONF_DIR
from amp_train.resume.configuration import Difference, resumed_config
from amp_train.resume.run_dir import AUTO, RunLock, check_writable, make_run_dir, resume_mode, resume_target
from amp_train.runner.stopping import EXIT_DONE, EXIT_INTERRUPTED, EXIT_STOPPED, StopRequest

if TYPE_CHECKING:  # they import torch; Isaac Gym must come first, see `main`
    from amp_train.distributed.ranks import Ranks
    from amp_train.env import AmpEnv
    from amp_train.resume.resumption import Resumption
    from amp_train.runner.training_video import VideoRecorder

USAGE = """usage: amp-train [group=option ...] [key=value ...] [-m]

Trains a character to move like a motion clip. Examples:
  amp-train motion=run max_iterations=100      another clip, shorter
  amp-train motion.file=mine.npz               your own clip
  amp-train resume=runs/NAME                   continue a training exactly
  amp-train checkpoint=runs/NAME               start a new training from its best policy
  amp-train -m motion=walk,run seed=1,2        every combination, one after another

Groups and their options:"""
MORE_USAGE = """Every other key is listed by `amp-train --cfg job`, every flag by `amp-train --hydra-help`."""

FINAL_EPISODES = 16
SAMPLES_PER_VIDEO_STEP, MIN_VIDEO_STEPS = 1000, 30  # a whole episode of 300 steps from 300,000 samples


def main() -> None:
    """Run the command."""
    # Read when torch loads: idle threads spin only briefly, long enough for the next part of an update, then sleep.
    # By default they spin for milliseconds, on cores that physics or another program needs
    # (docs/notes/what_made_it_fast.md).
    os.environ.setdefault("GOMP_SPINCOUNT", "50000")
    # With several processes, a lost one gives one line of ours, not pages of stack frames.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    with command():
        if {"-h", "--help"} & set(sys.argv[1:]):
            print(_usage())
            return
        import_isaacgym_first(sys.argv[1:])
        register_schema()
        check_hydra_arguments(sys.argv[1:])
        with sweep_errors():
            hydra.main(config_path=str(CONF_DIR), config_name="config", version_base="1.3")(run_job)()


def _usage() -> str:
    """Return what --help prints; Hydra's own takes seconds to list the groups."""
    groups = {group: sorted(path.stem for path in (CONF_DIR / group).glob("*.yaml")) for group in GROUPS}
    lines = [
        textwrap.fill(f"{group}: {', '.join(options)}", 100, initial_indent="  ", subsequent_indent="    ")
        for group, options in groups.items()
    ]
    return "\n".join([USAGE, *lines, "", MORE_USAGE])


def run_job(composed: DictConfig) -> None:
    """Train with a composed configuration, or play it with test=True."""
    with saved_before_requeue(), one_line_errors():
        if composed.test:
            play_checkpoint([text for text in task_overrides() if not text.startswith("test=")])
        else:
            train_job(cast(Config, composed))


def train_job(cfg: Config) -> None:
    """Start or resume a training, and print where its results are: checkpoint, curves, video."""
    from amp_train.runner.ranks import common_resumption, join_ranks, start_common

    check_paths(cfg)
    name_motion_after_file(cfg, task_overrides())
    with ExitStack() as held:
        stop = held.enter_context(StopRequest(cfg.max_time_s))
        ranks = join_ranks(cfg, held)
        resumption = common_resumption(ranks, lambda: _look_for_resumption(cfg, held))
        cfg = _continued(cfg) if resumption is None else _with_its_configuration(cfg, resumption)
        cfg = resolve(cfg, task_overrides())
        start_common(cfg, ranks)
        if resumption is not None and _is_done(cfg, resumption):
            print(f"All {cfg.max_iterations} iterations are done.")
            run_dir, stopped_by = resumption.run_dir, None
        else:
            run_dir, stopped_by = _train(cfg, resumption, stop, held, ranks)
    if not ranks.is_first:
        sys.exit(EXIT_DONE if stopped_by is None else EXIT_STOPPED)
    if stopped_by is not None:
        print(_how_to_go_on(run_dir, stopped_by, ranks.world_size), flush=True)
        if stop.only_this_job and sweep_job_number() is not None:
            return
        sys.exit(EXIT_STOPPED)
    _report(cfg, run_dir)


def _train(
    cfg: Config, resumption: "Optional[Resumption]", stop: StopRequest, held: ExitStack, ranks: "Ranks"
) -> Tuple[Path, Optional[str]]:
    """Train in a locked run directory; return it, and why the training stopped early, if it did."""
    from amp_train.env import make_env
    from amp_train.runner.ranks import of_this_rank
    from amp_train.runner.training import train, trained_config

    check_training(cfg)
    place = Path(cfg.train_dir) if resumption is None else resumption.run_dir
    ranks.run_on_rank0(lambda: check_writable(place))
    env = make_env(of_this_rank(cfg, ranks))
    held.callback(env.close)
    if resumption is not None:
        _list_other_changes(cfg, env, resumption)
        run_dir = resumption.run_dir
    else:
        cfg.experiment = ranks.run_on_rank0(lambda: _new_run_dir(cfg, held))
        run_dir = Path(cfg.train_dir) / cfg.experiment
    if ranks.is_first:
        OmegaConf.save(OmegaConf.create(trained_config(cfg, env)), run_dir / "config.yaml")
    print(_announcement(cfg, run_dir, ranks.world_size), flush=True)
    started_s = time.perf_counter()
    stopped_by = train(cfg, env, run_dir, stop, resumption, ranks, _new_recorder)
    if stopped_by is None:
        minutes = (time.perf_counter() - started_s) / 60.0
        print(f"Trained {cfg.max_iterations} iterations in {minutes:.1f} min.")
    return run_dir, stopped_by


def _new_recorder() -> "VideoRecorder":
    from amp_train.viewers import TrainingRecorder

    return TrainingRecorder()


def _new_run_dir(cfg: Config, held: ExitStack) -> str:
    """Create a run directory and lock it; return the experiment's name."""
    held.enter_context(RunLock(make_run_dir(cfg, sweep_job_number())))
    return str(cfg.experiment)


def _continued(cfg: Config) -> Config:
    """Return the configuration to train with: a checkpoint's own, if one is continued, with the command line on top."""
    return checkpoint_config(cfg.checkpoint, task_overrides(), cfg) if cfg.checkpoint else cfg


def _announcement(cfg: Config, run_dir: Path, processes: int) -> str:
    samples = processes * _samples(cfg)
    each = f"{processes} processes of " if processes > 1 else ""
    return (
        f"Training {cfg.task.name} on '{cfg.motion.name}': {each}{cfg.num_envs} environments ({cfg.sim.name}, "
        f"{cfg.num_threads} threads), learner on {cfg.rl_device}, {cfg.max_iterations} iterations, {samples:,} samples "
        f"-> {run_dir}"
    )


def _samples(cfg: Config) -> int:
    """Return how many samples one process of a resolved training collects."""
    return cast(int, cfg.max_iterations) * cast(int, cfg.num_envs) * cfg.train.params.config.horizon_length


def _how_to_go_on(run_dir: Path, stopped_by: str, processes: int) -> str:
    as_many, multi_gpu = (f" in {processes} processes", " multi_gpu=True") if processes > 1 else ("", "")
    return f"Stopped by {stopped_by} and saved. Continue{as_many} with: amp-train resume={run_dir}{multi_gpu}"


# ---- Continuing a training


def _look_for_resumption(cfg: Config, held: ExitStack) -> "Optional[Resumption]":
    """Find the checkpoint of `cfg.resume`, and lock its run directory while `held` lasts; None: a new training.

    Raises:
        UserError: there is no usable checkpoint, or another process is training there.
    """
    from amp_train.resume.resumption import find_resumption

    target = resume_target(cfg, sweep_job_number())
    if target is None:
        return None
    if target.run_dir.is_dir():
        with ExitStack() as lock:
            lock.enter_context(RunLock(target.run_dir))
            resumption = find_resumption(target)
            if resumption is not None:
                held.enter_context(lock.pop_all())
                return resumption
    print(f"resume=auto: nothing to resume in {target.run_dir}, starting a new training.", flush=True)
    return None


def _with_its_configuration(cfg: Config, resumption: "Resumption") -> Config:
    """Return the configuration to continue with, unresolved; print what is resumed and what the command line changed.

    Raises:
        ConfigError: a change that would make it a different training.
    """
    from amp_train.runner.training import SUPERSEDED

    name, run_dir = resumption.checkpoint.name, resumption.run_dir
    config, differences = resumed_config(resumption.config, cfg, task_overrides(), name)
    config.checkpoint = None  # the policy that the training started from
    if resume_mode(cfg) != AUTO:
        config.train_dir, config.experiment = str(run_dir.parent), run_dir.name
    else:
        config.experiment = run_dir.relative_to(cfg.train_dir).as_posix()
    for damaged in resumption.skipped:
        print(f"Skipped checkpoint {damaged.name}: {damaged.reason}.")
    print(f"Resuming {run_dir} after iteration {resumption.iteration}, {resumption.frame:,} samples, from {name}.")
    if resumption.later:
        print(f"  Later checkpoints go to {run_dir / SUPERSEDED}: {', '.join(resumption.later)}.")
    _list("Changed by the command line", differences)
    return config


def _is_done(cfg: Config, resumption: "Resumption") -> bool:
    """Return whether a resumed training is already complete.

    Raises:
        ConfigError: it is, and was given by name.
    """
    is_done = resumption.iteration >= cast(int, cfg.max_iterations)
    if is_done and resume_mode(cfg) != AUTO:
        raise ConfigError(
            f"{resumption.run_dir} has done {resumption.iteration} of {cfg.max_iterations} iterations: set a larger "
            "max_iterations= to continue."
        )
    return is_done


def _list_other_changes(cfg: Config, env: "AmpEnv", resumption: "Resumption") -> None:
    """Print which packages and files have changed since the checkpoint.

    Raises:
        ConfigError: a file that the training learns from has changed.
    """
    from amp_train.resume.resumption import changed_files, changed_versions, input_files
    from amp_train.runner.training import versions

    _list("Changed versions", changed_versions(resumption.versions, versions()))
    now = input_files(cfg, env.spec)
    _list("Changed files", changed_files(resumption.input_files, now, list(cfg.resume_allow)))


def _list(heading: str, differences: List[Difference]) -> None:
    if differences:
        print(f"  {heading}:")
    for difference in differences:
        print(f"    {difference}")


# ---- Results of a training


def _report(cfg: Config, run_dir: Path) -> None:
    """Print where the results are; what this machine cannot draw is one line, not a failure."""
    from amp_train.runner.training import newest_checkpoint
    from amp_train.viewers import plot_curves

    checkpoint = newest_checkpoint(run_dir)
    print(f"  checkpoint  {checkpoint}")
    print(f"  curves      {path_or_reason(lambda: plot_curves(run_dir / 'metrics.csv', run_dir / 'curves.png'))}")
    if not cfg.video or checkpoint is None:
        return
    path = run_dir / "video.mp4"
    try:
        _final_video(cfg, checkpoint, path)
    except (UserError, OSError) as error:  # the clip may have been deleted, or the disk be full
        print(f"  video       none: {error}")
    except KeyboardInterrupt:
        path.unlink(missing_ok=True)
        print(f"  video       none: interrupted. amp-play checkpoint={checkpoint} records one.")
        sys.exit(EXIT_INTERRUPTED)


def _final_video(cfg: Config, checkpoint: Path, path: Path) -> None:
    """Play the trained policy; episodes are short after a short training."""
    from amp_train.cli.reporting import write_training_report
    from amp_train.env import make_env
    from amp_train.runner.playback import play
    from amp_train.viewers import MAX_STEPS, Recorder, record_video

    steps = max(_samples(cfg) // SAMPLES_PER_VIDEO_STEP, MIN_VIDEO_STEPS)
    playing = cfg.copy()  # type: ignore[attr-defined]
    playing.task.env.episode_length = min(cfg.task.env.episode_length, steps)
    playing.num_envs, playing.task.task.randomize = FINAL_EPISODES, False
    env = make_env(playing)
    num_steps = min(env.episode_length, MAX_STEPS)
    recorder = Recorder(max_steps=num_steps)
    try:
        result = play(playing, env, str(checkpoint), FINAL_EPISODES, num_steps=num_steps, callbacks=[recorder])
        print(f"  policy      {describe(result)}")
        print(f"  video       {path_or_reason(lambda: record_video(path, recorder.recording()))}")
        print(f"  report      {path_or_reason(lambda: write_training_report(cfg, path.parent, vars(result), path))}")
    finally:
        env.close()


if __name__ == "__main__":
    main()
