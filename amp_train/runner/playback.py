"""Playing a checkpoint: the policy acts, and what it does is measured and recorded."""

from dataclasses import dataclass, fields
from typing import List, Optional

import torch
from torch import Tensor

from amp_train.character import CharacterState
from amp_train.config import Config
from amp_train.env import AmpEnv
from amp_train.runner.episodes import say_warnings
from amp_train.runner.policy import Policy
from amp_train.runner.vec_env import AMPVecEnv


@dataclass
class Playback:
    """What a policy did.

    Attributes:
        episodes: counted, as many in every environment, so that short ones do not count more.
        falls: of these, those that ended in a failure.
        mean_episode_s: s.
        root_speed_m_s: m/s, horizontal, mean over all steps.
        clip_speed_m_s: the same of the clips, by weight.
        style_reward: mean over all steps.
        states: environment 0 over time, if recorded.
    """

    episodes: int
    falls: int
    mean_episode_s: float
    root_speed_m_s: float
    clip_speed_m_s: float
    style_reward: float
    states: Optional[CharacterState] = None


def play(
    cfg: Config, env: AmpEnv, checkpoint: str, episodes: int, deterministic: bool = True, record: bool = False
) -> Playback:
    """Play at least `episodes` episodes, the same number in every environment.

    Args:
        cfg: resolved; its `train` part describes the networks.
        env: where to play.
        checkpoint: a file of this project or of IsaacGymEnvs.
        episodes: how many at least.
        deterministic: act by the policy's mean, without noise.
        record: keep the states of environment 0, an episode's length at least.
    """
    vec_env = AMPVecEnv(env, str(cfg.rl_device))
    policy = Policy(cfg, vec_env, checkpoint)
    meter = _Meter(env, -(-episodes // env.num_envs))
    states: List[CharacterState] = []
    min_steps = cfg.task.env.episode_length if record else 0
    obs = policy.start(vec_env)
    with torch.no_grad():
        while meter.unfinished or meter.steps < min_steps:
            if record:
                states.append(env.state[:1].clone())
            _, _, done, infos = vec_env.step(policy.act(obs, deterministic))
            _, style_reward = policy.judge(infos)
            meter.add(env.state, done.to(env.device), infos["terminate"].to(env.device), style_reward)
            obs = vec_env.reset_done()
    say_warnings(env.simulator)
    result = meter.result(env)
    result.states = _join(states) if record else None
    return result


class _Meter:
    """Sums over the episodes that count: the first `quota` of each environment."""

    def __init__(self, env: AmpEnv, quota: int) -> None:
        self._left = torch.full((env.num_envs,), quota, dtype=torch.long, device=env.device)
        self._sums = torch.zeros(5, dtype=torch.float64, device=env.device)
        self.steps, self.unfinished = 0, True

    def add(self, state: CharacterState, done: Tensor, terminated: Tensor, style_reward: Tensor) -> None:
        counts = self._left > 0
        speed = state.root_vel[:, :2].norm(dim=-1)
        parts = (counts, counts & done, counts & terminated, counts * speed, counts * style_reward.to(counts.device))
        self._sums += torch.stack([part.sum(dtype=torch.float64) for part in parts])
        self._left -= (counts & done).to(self._left.dtype)
        self.steps, self.unfinished = self.steps + 1, bool((self._left > 0).any())

    def result(self, env: AmpEnv) -> Playback:
        steps, episodes, falls, speed, style_reward = self._sums.tolist()
        library = env.motion_library
        clip_speed = float((library.mean_root_speed * library.weights).sum())
        mean_episode_s = steps / episodes * env.control_dt_s
        return Playback(int(episodes), int(falls), mean_episode_s, speed / steps, clip_speed, style_reward / steps)


def _join(states: List[CharacterState]) -> CharacterState:
    """Put states of one character after one another, time first."""
    names = [f.name for f in fields(CharacterState) if getattr(states[0], f.name) is not None]
    joined = {name: torch.cat([getattr(state, name) for state in states]).cpu() for name in names}
    return CharacterState(**joined)
