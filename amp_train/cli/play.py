"""`amp-play checkpoint=PATH [key=value ...]`: play a checkpoint, measure it, show it or export it."""

import os
import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Tuple, cast

from omegaconf import OmegaConf

from amp_train.cli.arguments import command
from amp_train.cli.showing import (
    ShowArgs,
    check_show,
    clip_recorder,
    export_policy_file,
    goal_script,
    newest_of_run,
    settle_viewer,
    show_live,
    with_newest,
    write_clips,
    write_recording,
)
from amp_train.config import Config, compose, resolve, with_overrides
from amp_train.config.compose import as_config_error
from amp_train.config.overrides import parse_overrides
from amp_train.config.resolve import set_up_playing
from amp_train.config.schema import MAX_SEED
from amp_train.config.validate import check_fields, check_path
from amp_train.errors import ConfigError
from amp_train.isaacgym_first import import_isaacgym_first
from amp_train.ranges import between
from amp_train.resume.run_dir import check_writable
from amp_train.untrusted import printable

if TYPE_CHECKING:  # they import torch; Isaac Gym must come first, see `main`
    from amp_train.env import AmpEnv
    from amp_train.runner.playback import Playback

USAGE = """usage: amp-play checkpoint=PATH [key=value ...]

  checkpoint=PATH       a checkpoint of amp-train or of IsaacGymEnvs
  episodes=16           how many to play and measure
  num_envs=             parallel environments; default: one per episode
  deterministic=True    False: with the noise of training
  seed=                 default: the training's
  viewer=video          web: in the browser; native: in a window; none
  video=PATH            .mp4, .gif, .webp, or .png for a strip; default: next to the checkpoint; video=False: none
  ghost=beside          the clip in phase with the character: beside, over or none
  camera=tracking       or fixed
  characters=1          number of characters in the video, side by side
  export=FILE           .onnx or .pt: the policy, to run without this package; .html: a page that plays the episode
  record=FILE           the first episode as a clip: .npz to train on or view, .bvh, .csv, .txt, .npy, .pkl
  watch=runs/NAME       show the newest checkpoint of a running training; new ones are loaded automatically
  control=keyboard      steer the task's goals with the arrow keys; or a CSV file with time_s and the goals
  host=127.0.0.1 port=8080    address of viewer=web

Any other key or group overrides the checkpoint's configuration: motion=run, task.env.episode_length=600."""


MAX_ENVS = 4096  # side by side


@dataclass
class PlayArgs(ShowArgs):
    """amp-play's own arguments."""

    checkpoint: str = ""
    episodes: int = between(1, 10**6, 16)
    num_envs: Optional[int] = between(1, MAX_ENVS, None)
    deterministic: bool = True
    seed: Optional[int] = between(0, MAX_SEED, None)


ASKING_FOR_RANDOMIZATION = {"task", "task.task", "task.task.randomize"}
VIDEO_SUFFIXES = (".mp4", ".gif", ".webp", ".png")
PLAY_KEYS = tuple(f.name for f in fields(PlayArgs))


def main() -> None:
    """Run the command."""
    with command():
        if {"-h", "--help"} & set(sys.argv[1:]):
            print(USAGE)
            return
        import_isaacgym_first(sys.argv[1:])
        play_checkpoint(sys.argv[1:])


def play_checkpoint(argv: Sequence[str]) -> None:
    """Play, print the measurements, and show or write what was requested."""
    from amp_train.env import make_env

    args, overrides = split_arguments(argv)
    settle_viewer(args)
    cfg = with_newest(args, args.checkpoint, lambda path: playing_config(replace(args, checkpoint=path), overrides))
    env = make_env(cfg)
    try:
        if args.only_exports_policy:
            print(f"policy: {export_policy_file(args, cfg, env, str(cfg.checkpoint))}")
        elif args.is_live:
            show_live(args, cfg, env, str(cfg.checkpoint), args.deterministic)
        else:
            _play_and_record(args, cfg, env)
    finally:
        env.close()


def _play_and_record(args: PlayArgs, cfg: Config, env: "AmpEnv") -> None:
    from amp_train.runner.playback import play
    from amp_train.viewers import MAX_STEPS, Recorder

    path = None if args.viewer == "none" else video_path(args)
    is_recorded = path is not None or args.export is not None
    num_steps = min(env.episode_length, MAX_STEPS)
    recorder = Recorder(args.characters, with_ghosts=args.ghost != "none", max_steps=num_steps)
    clips = clip_recorder(args)
    callbacks = [*goal_script(args), *clips, *([recorder] if is_recorded else [])]
    result = play(
        cfg, env, str(cfg.checkpoint), args.episodes, args.deterministic, num_steps if is_recorded else None, callbacks
    )
    print(describe(result))
    write_clips(args, clips, env, str(cfg.checkpoint))
    if is_recorded:
        write_recording(args, recorder.recording(), path)


def split_arguments(argv: Sequence[str]) -> Tuple[PlayArgs, List[str]]:
    """Split `key=value` arguments into amp-play's own and those for the configuration.

    Raises:
        ConfigError: a value of the wrong type, or no checkpoint.
    """
    parsed = parse_overrides(argv)
    own = {o.key_or_group: o.value() for o in parsed if o.key_or_group in PLAY_KEYS}
    rest = [text for text, o in zip(argv, parsed) if o.key_or_group not in PLAY_KEYS]
    with as_config_error():
        args = cast(PlayArgs, OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(PlayArgs), own)))
    check_show(args)
    if args.watch is not None:
        args.checkpoint = newest_of_run(args.watch)
    check_checkpoint_argument(args)
    _check_video(args.video)
    return args, rest


def check_checkpoint_argument(args: Any) -> None:
    """Check the arguments that amp-play and amp-eval share.

    Raises:
        ConfigError: a number out of range, or no checkpoint.
    """
    if not args.checkpoint:
        raise ConfigError("No policy is given. Give checkpoint=runs/NAME, or checkpoint=pretrained/walk.")
    check_path("checkpoint", args.checkpoint)
    check_fields(OmegaConf.structured(args))


def _check_video(video: Any) -> None:
    """Check before playing that the video's folder can be written and its name has a known ending."""
    if video in (None, True, False):
        return
    path = Path(str(video))
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        raise ConfigError(
            f"video={printable(str(video))[:100]}: give a name that ends in .mp4, .gif, .webp or .png, or video=False."
        )
    check_path("video", str(path))
    if path.is_dir():
        raise ConfigError(f"video={path} is a folder: give the path of a file.")
    check_writable(path.parent)


def playing_config(args: PlayArgs, overrides: Sequence[str]) -> Config:
    """Return the checkpoint's own configuration with overrides on top, fitted to this machine.

    Nothing is randomised unless the overrides ask for it.
    """
    keys = {override.key_or_group for override in parse_overrides(overrides)}
    cfg = checkpoint_config(args.checkpoint, overrides)
    set_up_playing(cfg.task.task, is_asked_for=bool(keys & ASKING_FOR_RANDOMIZATION))
    if keys & {"motion", "motion.file", "task"}:  # the policy keeps the strength that it was trained with
        cfg.motion.derive = [fact for fact in cfg.motion.derive if fact != "torque_limits"]
    is_one_enough = args.is_live or args.only_exports_policy
    num_envs = args.characters if is_one_enough else max(args.episodes, args.characters)
    cfg.num_envs = args.num_envs or min(num_envs, MAX_ENVS)
    cfg.seed = cfg.seed if args.seed is None else args.seed
    cfg.checkpoint, cfg.test = args.checkpoint, True
    return resolve(cfg, overrides)


def checkpoint_config(checkpoint: str, overrides: Sequence[str], composed: Optional[Config] = None) -> Config:
    """Return a checkpoint's own configuration with overrides on top.

    A checkpoint of IsaacGymEnvs has none; the recipe `isaacgymenvs` is used unless another is given.

    Args:
        checkpoint: what the user typed.
        overrides: the command line.
        composed: the same, composed already.
    """
    from amp_train.runner.training import stored_config

    stored = stored_config(checkpoint)
    if stored is not None:
        return with_overrides(stored, overrides, composed)
    is_given = any(override.key_or_group == "recipe" for override in parse_overrides(overrides))
    config = compose(list(overrides) if is_given else ["recipe=isaacgymenvs", *overrides])
    if composed is not None:
        config.experiment = composed.experiment  # a batch job's name may not come from the command line
    return config


def video_path(args: PlayArgs) -> Optional[Path]:
    """Return where the video goes: the run's directory if the checkpoint is in one, else the current one."""
    if args.video is False:
        return None
    if args.video not in (None, True):
        return Path(str(args.video))
    checkpoint = Path(args.checkpoint)
    folder = checkpoint.parent.parent if checkpoint.parent.name == "nn" else Path(".")
    path = folder / (checkpoint.stem + ".mp4")
    if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):  # in a stranger's run directory
        raise ConfigError(f"'{path}' is not a plain file, so the video is not written there: give video=PATH.")
    return path


def describe(result: "Playback") -> str:
    """Return the measurements in one line."""
    return (
        f"{result.episodes} episodes, {result.falls} falls, {result.mean_episode_s:.2f} s on average, "
        f"{result.root_speed_m_s:.2f} m/s (clip {result.clip_speed_m_s:.2f} m/s), "
        f"style reward {result.style_reward:.3f}"
    )


if __name__ == "__main__":
    main()
