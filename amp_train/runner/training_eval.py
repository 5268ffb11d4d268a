"""The pose error during training: a few short episodes of the noise-free policy in separate environments."""

import logging
from typing import Any, Mapping, Optional, Sequence, Tuple, cast

import numpy as np
import torch
from torch import Tensor

from amp_train.config import Config
from amp_train.distributed.ranks import single_threaded
from amp_train.env import make_env
from amp_train.evaluation.score import EpisodeScore, coverage, score_episodes, task_success
from amp_train.runner.recording import clip_references, record_episodes, recorded_library, set_up_episodes
from amp_train.runner.vec_env import AMPVecEnv
from amp_train.sim.factory import BACKENDS
from amp_train.telemetry.sinks import Row

logger = logging.getLogger(__name__)

EPISODES, EPISODE_S = 8, 3.0
RETURN = "eval_task_return"  # normalised, of tasks with goals
COLUMNS = ("dtw_pose_error_m", "eval_frames_covered", "eval_fall_rate", "eval_episode_s")


class TrainingEvaluation:
    """Measures every `eval_interval` iterations and at the end, always from the same initial states.

    It does not change the training: environments and their randomness are separate, and shared generators are
    restored.
    """

    def __init__(self, cfg: Config, active: bool = True) -> None:
        """Build the environments, from the current clip.

        Args:
            cfg: resolved.
            active: whether anything is measured.
        """
        self._interval, self._rl_device = cfg.eval_interval if active else 0, str(cfg.rl_device)
        self._cfg = set_up_episodes(cfg, EPISODES, EPISODE_S, cfg.seed)
        self._cfg.num_threads, self._cfg.task.task.randomize = 1, False
        self._columns: Tuple[str, ...] = COLUMNS
        self._vec_env: Optional[AMPVecEnv] = None
        if self._interval and BACKENDS[cfg.sim.name].one_per_process:
            logger.warning(
                "sim=%s allows one simulation per process: no pose error is measured during training. Use amp-eval.",
                cfg.sim.name,
            )
            self._interval = 0
        if self._interval:
            # Later the clip's file may have changed or been deleted.
            self._vec_env = AMPVecEnv(make_env(self._cfg), self._rl_device)
            self._columns += (RETURN,) if self._vec_env.env.task.goal_size else ()
            self._first_state = self._vec_env.env.get_state()
            library = recorded_library(self._cfg, self._vec_env.env)
            self._clips = clip_references(library, self._vec_env.env.control_dt_s)

    def row(self, agent: Any) -> Row:
        """Return the columns for the iteration that rl_games' agent has just finished; None if none is due."""
        is_due = (
            agent.epoch_num % self._interval == 0 or agent.epoch_num >= agent.max_epochs if self._interval else False
        )
        return self._measure(agent) if is_due else dict.fromkeys(self._columns)

    def _measure(self, agent: Any) -> Row:
        cuda = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        was_training = agent.model.training
        with torch.random.fork_rng(devices=cuda), single_threaded():
            vec_env = cast(AMPVecEnv, self._vec_env)
            vec_env.env.set_state(self._first_state)
            agent.model.eval()
            run = record_episodes(self._cfg, vec_env, AgentPolicy(agent))
            agent.model.train(was_training)
            (scores,) = score_episodes([run], self._clips)
        success = {RETURN: task_success([run])["task_return"]} if RETURN in self._columns else {}
        return {
            "dtw_pose_error_m": float(np.mean([score.heading.error_m for score in scores])),
            "eval_frames_covered": self._frames_covered(scores),
            "eval_fall_rate": run.num_falls / len(run),
            "eval_episode_s": float(run.lengths.double().mean()) * run.control_dt_s,
            **success,
        }

    def _frames_covered(self, scores: Sequence[EpisodeScore]) -> float:
        """Return the covered share of a clip's frames, the mean over the clips by their weights."""
        covered = coverage(scores, self._clips)["clip_frames_covered"]
        return sum(clip.weight * covered[clip.name] for clip in self._clips)

    def close(self) -> None:
        """Release the environments."""
        if self._vec_env is not None:
            self._vec_env.close()


class AgentPolicy:
    """The policy that rl_games' agent is training; its discriminator is not used."""

    def __init__(self, agent: Any) -> None:
        self._agent = agent

    def start(self, vec_env: AMPVecEnv) -> Tensor:
        return vec_env.reset()

    def act(self, obs: Tensor, deterministic: bool) -> Tensor:
        """Return the policy's mean (N, num_actions), clamped to -1..1 as rl_games does before it acts."""
        obs = self._agent._preproc_obs(obs)
        result = self._agent.model({"is_train": False, "prev_actions": None, "obs": obs, "rnn_states": None})
        return torch.clamp(result["mus"], -1.0, 1.0)

    def judge(self, infos: Mapping[str, Any]) -> Tuple[Tensor, Tensor]:
        nothing = torch.zeros(len(infos["terminate"]))
        return nothing, nothing
