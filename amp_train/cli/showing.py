"""amp-play's outputs: a video, a live viewer, a page, a clip, or the policy as a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, List, Optional, TypeVar

from omegaconf import OmegaConf

from amp_train.config import Config
from amp_train.config.validate import check_fields, check_path
from amp_train.errors import CheckpointError, ConfigError, UserError
from amp_train.ranges import between, one_of
from amp_train.resume.run_dir import check_writable

if TYPE_CHECKING:  # they import torch; Isaac Gym must come first
    from amp_train.env import AmpEnv
    from amp_train.runner.clip_recorder import ClipRecorder
    from amp_train.runner.episodes import EpisodeCallback
    from amp_train.viewers import Recording

T = TypeVar("T")

VIEWERS = ("video", "web", "native", "none")
KEYBOARD = "keyboard"
POLICY_FILES, PAGES = (".onnx", ".pt"), (".html", ".htm")


@dataclass
class ShowArgs:
    """amp-play's arguments about its outputs.

    Attributes:
        viewer: one of `VIEWERS`; None: a video.
        video: its path; None: next to the checkpoint; False: none.
        ghost: the clip `beside` the character, `over` it, or `none`.
        camera: `tracking` or `fixed`.
        characters: their number in the video or page.
        export: a path: .onnx or .pt of the policy, .html of the episode.
        record: a path: the first character's episode as a clip, in any export format.
        watch: a run directory, whose newest checkpoint acts; new ones are loaded automatically.
        control: `keyboard`, or a CSV file with goals over time.
        host, port: address of the web viewer.
    """

    viewer: Optional[str] = one_of(*VIEWERS, default=None)
    video: Any = None
    ghost: str = one_of("beside", "over", "none", default="beside")
    camera: str = one_of("tracking", "fixed", default="tracking")
    characters: int = between(1, 64, 1)
    export: Any = None
    record: Any = None
    watch: Optional[str] = None
    control: Any = None
    host: str = "127.0.0.1"
    port: int = between(1, 65535, 8080)

    @property
    def is_live(self) -> bool:
        """Whether the viewer is live."""
        return self.viewer in ("web", "native")

    @property
    def only_exports_policy(self) -> bool:
        """Whether only the policy is exported, and nothing is played."""
        return self.export is not None and Path(str(self.export)).suffix.lower() in POLICY_FILES


def check_show(args: ShowArgs) -> None:
    """Check what can be checked before anything is built.

    Raises:
        UserError: in one line, what to change.
    """
    check_fields(OmegaConf.structured(args))
    known = POLICY_FILES + PAGES
    if args.export is not None and Path(str(args.export)).suffix.lower() not in known:
        raise ConfigError(f"export={args.export}: give a name that ends in {', '.join(known[:3])}.")
    if args.record is not None:
        _check_record(args)
    if args.viewer is not None:
        _check_keyboard(args)


def _check_keyboard(args: ShowArgs) -> None:
    if args.control == KEYBOARD and not args.is_live:
        raise ConfigError("control=keyboard needs viewer=web or viewer=native.")


def _check_record(args: ShowArgs) -> None:
    from amp_train.motion.exporters import format_of  # it imports torch

    path = Path(str(args.record))
    format_of(path)
    if args.only_exports_policy:
        raise ConfigError(f"record={path} needs an episode, and export={args.export} plays none: give one of the two.")
    check_path("record", str(path))
    if path.is_dir():
        raise ConfigError(f"record={path} is a folder: give the path of a file.")
    check_writable(path.parent)


def settle_viewer(args: ShowArgs) -> None:
    """Choose a viewer for `control=keyboard` and `watch=`. If the machine lacks something, one line says so and the
    next best viewer is used.

    Raises:
        ConfigError: only a video is left, and the goals are to be steered by hand.
    """
    from amp_train.viewers.native import why_no_window
    from amp_train.viewers.web_scene import why_no_pages

    if args.viewer is None and (args.control == KEYBOARD or args.watch is not None):
        args.viewer = "native" if why_no_window() is None else "web"
    reason = why_no_window() if args.viewer == "native" else None
    if reason is not None:
        args.viewer = "web"
        print(f"No window: {reason} Using the web viewer instead.")
    reason = why_no_pages() if args.viewer == "web" else None
    if reason is not None:
        args.viewer = "video"
        print(f"No web viewer: {reason} Recording a video instead.")
    _check_keyboard(args)


def with_newest(args: ShowArgs, checkpoint: str, use: Callable[[str], T]) -> T:
    """Use a checkpoint; of a watched run the newest, if training replaces the given one meanwhile.

    Raises:
        CheckpointError: it cannot be used, and there is no newer one.
    """
    while True:
        try:
            return use(checkpoint)
        except CheckpointError:
            newest = checkpoint if args.watch is None else newest_of_run(args.watch)
            if newest == checkpoint:
                raise
            checkpoint = newest


def newest_of_run(run_dir: str) -> str:
    """Return the newest checkpoint of a run directory.

    Raises:
        ConfigError: there is none yet.
    """
    from amp_train.runner.training import newest_checkpoint

    found = newest_checkpoint(Path(run_dir))
    if found is None:
        raise ConfigError(f"watch={run_dir}: there is no checkpoint in {Path(run_dir) / 'nn'} yet.")
    return str(found)


def goal_script(args: ShowArgs) -> "List[EpisodeCallback]":
    """Return the callback that sets the goals over time, if there is a script."""
    from amp_train.runner.steering import GoalScript, Steering

    return [] if args.control in (None, KEYBOARD) else [Steering(GoalScript(str(args.control)))]


def clip_recorder(args: ShowArgs) -> "List[ClipRecorder]":
    """Return what records a clip, if one is asked for."""
    from amp_train.runner.clip_recorder import ClipRecorder

    return [] if args.record is None else [ClipRecorder()]


def write_clips(args: ShowArgs, recorders: "List[ClipRecorder]", env: "AmpEnv", checkpoint: str) -> None:
    """Write what was recorded; print where."""
    from amp_train.motion import export_clip

    for recorder in recorders:
        path = Path(str(args.record))
        path.parent.mkdir(parents=True, exist_ok=True)
        clip = recorder.clip(path.stem, f"policy {Path(checkpoint).name}, recorded by amp-play")
        print(f"clip: {export_clip(clip, env.spec, path)} ({clip.num_frames} frames, {clip.duration_s:.2f} s)")


def show_live(args: ShowArgs, cfg: Config, env: "AmpEnv", checkpoint: str, deterministic: bool) -> None:
    """Show a policy until the window is closed, or Ctrl-C."""
    from amp_train.runner.episodes import run_episodes
    from amp_train.runner.live_policy import LivePolicy
    from amp_train.runner.vec_env import AMPVecEnv

    vec_env = AMPVecEnv(env, str(cfg.rl_device))
    policy = with_newest(args, checkpoint, lambda path: LivePolicy(cfg, vec_env, path))
    viewer = _live_viewer(args, env.num_envs, policy)
    recorders = clip_recorder(args)
    try:
        run_episodes(vec_env, policy, [*goal_script(args), *recorders, viewer], deterministic=deterministic)
    except KeyboardInterrupt:
        print("\nStopped.")
    write_clips(args, recorders, env, checkpoint)


def _live_viewer(args: ShowArgs, num_characters: int, policy: Any) -> Any:
    from amp_train.viewers.native import NativeViewer
    from amp_train.viewers.web import WebViewer

    watch = args.watch is not None
    if args.viewer == "native":
        print("Keys: " + NativeViewer.HELP)
        return NativeViewer(num_characters, policy, watch, args.ghost)
    viewer = WebViewer(num_characters, policy, watch, args.host, args.port, args.ghost)
    print(f"Open {viewer.address} in a browser. Ctrl-C stops it.", flush=True)
    return viewer


def export_policy_file(args: ShowArgs, cfg: Config, env: "AmpEnv", checkpoint: str) -> Path:
    """Write the policy as ONNX or TorchScript."""
    from amp_train.export import export_policy
    from amp_train.runner.policy import Policy
    from amp_train.runner.vec_env import AMPVecEnv

    policy = Policy(cfg, AMPVecEnv(env, str(cfg.rl_device)), checkpoint)
    return export_policy(str(args.export), cfg, env, policy)


def write_recording(args: ShowArgs, recording: "Recording", video: Optional[Path]) -> None:
    """Write the requested video and page of an episode; print where, or why not."""
    from amp_train.viewers import View, record_video
    from amp_train.viewers.page import export_page

    view = View(args.ghost, args.camera)
    if video is not None:
        print(f"video: {path_or_reason(lambda: record_video(video, recording, view))}")
    if args.export is not None:
        print(f"page: {export_page(str(args.export), recording, view)}")


def path_or_reason(draw: Any) -> str:
    """Draw something; return its path, or one line that says why this machine cannot."""
    try:
        return str(draw())
    except (UserError, OSError) as error:
        return f"none: {error}"
