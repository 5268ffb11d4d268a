"""Short videos of the noise-free policy during training, in a separate environment."""

import logging
from pathlib import Path
from typing import Any, Callable, Optional, Protocol

import torch

from amp_train.config import Config
from amp_train.distributed.ranks import single_threaded
from amp_train.env import AmpEnv, make_env
from amp_train.errors import UserError
from amp_train.runner.episodes import EpisodeCallback, EpisodeStep, run_episodes
from amp_train.runner.training_eval import AgentPolicy
from amp_train.runner.vec_env import AMPVecEnv
from amp_train.sim.factory import BACKENDS

logger = logging.getLogger(__name__)

SECONDS = 3.0
TAG = "video"


class VideoRecorder(Protocol):
    """Records episodes and draws them; `viewers.TrainingRecorder` is one."""

    def on_start(self, env: AmpEnv) -> None:
        """Begin."""

    def on_step(self, step: EpisodeStep) -> None:
        """Take a step."""

    def on_end(self) -> None:
        """Stop."""

    def save(self, path: Path) -> bytes:
        """Write the video; return it as a GIF, or nothing."""

    size: Any


class TrainingVideos:
    """Records every `capture_video` iterations, always from the same state. It does not change the training:
    environment and randomness are separate, and shared generators are restored."""

    def __init__(self, cfg: Config, run_dir: Path, new_recorder: Optional[Callable[[], VideoRecorder]]) -> None:
        """Build the environment.

        Args:
            cfg: resolved.
            run_dir: videos go to its `videos/`.
            new_recorder: creates a video recorder; None: no videos.
        """
        self._interval = cfg.capture_video if new_recorder is not None else 0
        self._folder, self._new_recorder = run_dir / "videos", new_recorder
        self._vec_env: Optional[AMPVecEnv] = None
        if self._interval and BACKENDS[cfg.sim.name].one_per_process:
            logger.warning("sim=%s allows one simulation per process: no videos during training.", cfg.sim.name)
            self._interval = 0
        if self._interval:
            own: Any = cfg.copy()  # type: ignore[attr-defined]
            own.num_envs, own.num_threads, own.task.task.randomize = 1, 1, False
            self._vec_env = AMPVecEnv(make_env(own), str(cfg.rl_device))
            self._vec_env.reset()
            self._first_state = self._vec_env.env.get_state()

    def capture(self, agent: Any, sink: Any = None) -> None:
        """Record the policy of rl_games' agent, if a video is due.

        Args:
            agent: its `writer` takes the video as a GIF.
            sink: takes the video's file by `log_video`, if there is one.
        """
        if not self._interval or agent.epoch_num % self._interval:
            return
        path = self._folder / f"iteration_{agent.epoch_num:06d}.mp4"
        try:
            self._record(agent, path, sink)
        except (UserError, OSError) as error:  # a video must not end a training
            logger.warning("No videos during training: %s", error)
            self._interval = 0

    def _record(self, agent: Any, path: Path, sink: Any) -> None:
        assert self._vec_env is not None and self._new_recorder is not None
        cuda = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        was_training = agent.model.training
        env, recorder = self._vec_env.env, self._new_recorder()
        with torch.random.fork_rng(devices=cuda), single_threaded():
            agent.model.eval()
            run_episodes(self._vec_env, _FromState(agent, self._first_state), [_as_callback(recorder)],
                         num_steps=round(SECONDS / env.control_dt_s))  # fmt: skip
            agent.model.train(was_training)
            gif = recorder.save(path)
        if gif and hasattr(agent.writer, "add_gif"):
            agent.writer.add_gif(TAG, gif, recorder.size, agent.frame)
        if sink is not None:
            sink.log_video(str(path), agent.frame)

    def close(self) -> None:
        """Release the environment."""
        if self._vec_env is not None:
            self._vec_env.close()


class _FromState(AgentPolicy):
    """The agent's policy, whose episode continues from a state of the environment."""

    def __init__(self, agent: Any, first_state: Any) -> None:
        super().__init__(agent)
        self._first_state = first_state

    def start(self, vec_env: AMPVecEnv) -> torch.Tensor:
        vec_env.env.set_state(self._first_state)
        return vec_env.reset_done()


def _as_callback(recorder: Any) -> EpisodeCallback:
    """Tell the type checker what the protocol says."""
    callback: EpisodeCallback = recorder
    return callback
