"""Playing a checkpoint: the policy acts, and its motion is measured and recorded."""

from dataclasses import dataclass
from typing import Optional, Sequence

import torch

from amp_train.config import Config
from amp_train.env import AmpEnv
from amp_train.runner.episodes import EpisodeCallback, EpisodeStep, run_episodes
from amp_train.runner.policy import Policy
from amp_train.runner.vec_env import AMPVecEnv


@dataclass
class Playback:
    """Measurements of a policy.

    Attributes:
        episodes: number counted, the same in every environment, so that short ones do not count more.
        falls: of these, those that ended in a failure.
        mean_episode_s: s.
        root_speed_m_s: m/s, horizontal, mean over all steps.
        clip_speed_m_s: the same of the clips, by weight.
        style_reward: mean over all steps.
        task_reward: mean over all steps; None for a task without a goal.
    """

    episodes: int
    falls: int
    mean_episode_s: float
    root_speed_m_s: float
    clip_speed_m_s: float
    style_reward: float
    task_reward: Optional[float] = None


def play(
    cfg: Config,
    env: AmpEnv,
    checkpoint: str,
    episodes: int,
    deterministic: bool = True,
    num_steps: Optional[int] = None,
    callbacks: Sequence[EpisodeCallback] = (),
) -> Playback:
    """Play at least `episodes` episodes, the same number in every environment.

    Args:
        cfg: resolved; its `train` part describes the networks.
        env: where to play.
        checkpoint: a file of this project or of IsaacGymEnvs.
        episodes: how many at least.
        deterministic: act by the policy's mean, without noise.
        num_steps: of each environment, at least.
        callbacks: receive every step too.
    """
    vec_env = AMPVecEnv(env, str(cfg.rl_device))
    policy = Policy(cfg, vec_env, checkpoint)
    meter = PlayMeter(-(-episodes // env.num_envs))
    run_episodes(vec_env, policy, [meter, *callbacks], num_steps, episodes, deterministic)
    return meter.result(env)


class PlayMeter(EpisodeCallback):
    """Sums over the episodes that count: the first `quota` of each environment."""

    def __init__(self, quota: int) -> None:
        self._quota = quota

    def on_start(self, env: AmpEnv) -> None:
        """Begin counting."""
        self._left = torch.full((env.num_envs,), self._quota, dtype=torch.long, device=env.device)
        self._sums = torch.zeros(6, dtype=torch.float64, device=env.device)

    def on_step(self, step: EpisodeStep) -> None:
        """Add a step."""
        counts = self._left > 0
        speed = step.state.root_vel[:, :2].norm(dim=-1)
        values = (speed, step.style_reward, step.task_reward)
        parts = [counts, counts & step.done, counts & step.terminated, *(counts * value for value in values)]
        self._sums += torch.stack([part.sum(dtype=torch.float64) for part in parts])
        self._left -= (counts & step.done).to(self._left.dtype)

    def result(self, env: AmpEnv) -> Playback:
        """Return the means."""
        steps, episodes, falls, speed, style_reward, task_reward = self._sums.tolist()
        library = env.motion_library
        return Playback(
            episodes=int(episodes),
            falls=int(falls),
            mean_episode_s=steps / max(episodes, 1) * env.control_dt_s,
            root_speed_m_s=speed / max(steps, 1),
            clip_speed_m_s=float((library.mean_root_speed * library.weights).sum()),
            style_reward=style_reward / max(steps, 1),
            task_reward=task_reward / max(steps, 1) if env.task.goal_size else None,
        )
