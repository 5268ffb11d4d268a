"""Playing a checkpoint: the policy acts, and what it does is measured and recorded."""

from dataclasses import dataclass, fields
from typing import List, Optional, Sequence

import torch

from amp_train.character import CharacterState
from amp_train.config import Config
from amp_train.env import AmpEnv
from amp_train.runner.episodes import EpisodeCallback, EpisodeStep, run_episodes
from amp_train.runner.policy import Policy
from amp_train.runner.vec_env import AMPVecEnv

MAX_RECORDED = 10_000  # states: five minutes; how long an episode is may be a stranger's idea


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
        task_reward: mean over all steps; None for a task without a goal.
        states: environment 0 over time, if recorded.
    """

    episodes: int
    falls: int
    mean_episode_s: float
    root_speed_m_s: float
    clip_speed_m_s: float
    style_reward: float
    task_reward: Optional[float] = None
    states: Optional[CharacterState] = None


def play(
    cfg: Config,
    env: AmpEnv,
    checkpoint: str,
    episodes: int,
    deterministic: bool = True,
    record: bool = False,
    callbacks: Sequence[EpisodeCallback] = (),
) -> Playback:
    """Play at least `episodes` episodes, the same number in every environment.

    Args:
        cfg: resolved; its `train` part describes the networks.
        env: where to play.
        checkpoint: a file of this project or of IsaacGymEnvs.
        episodes: how many at least.
        deterministic: act by the policy's mean, without noise.
        record: keep the states of environment 0, an episode's length at least.
        callbacks: see every step too.
    """
    vec_env = AMPVecEnv(env, str(cfg.rl_device))
    policy = Policy(cfg, vec_env, checkpoint)
    meter, recorder = PlayMeter(-(-episodes // env.num_envs)), StateRecorder()
    own = [meter, recorder] if record else [meter]
    num_steps = min(cfg.task.env.episode_length, MAX_RECORDED) if record else None
    run_episodes(vec_env, policy, [*own, *callbacks], num_steps, episodes, deterministic)
    result = meter.result(env)
    result.states = recorder.states() if record else None
    return result


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


class StateRecorder(EpisodeCallback):
    """Keeps the first MAX_RECORDED states of environment 0, from the beginning of the first episode on."""

    def __init__(self) -> None:
        self._states: List[CharacterState] = []

    def on_start(self, env: AmpEnv) -> None:
        """Keep the first state."""
        self._states = [env.state[:1].clone()]

    def on_step(self, step: EpisodeStep) -> None:
        """Keep a state; a character that diverged is left where it was."""
        if len(self._states) >= MAX_RECORDED:
            return
        state = step.state[:1]
        is_finite = bool(torch.isfinite(state.body_pos).all())
        self._states.append(state.clone() if is_finite else self._states[-1])

    def states(self) -> CharacterState:
        """Return all of them, time first."""
        names = [f.name for f in fields(CharacterState) if getattr(self._states[0], f.name) is not None]
        joined = {name: torch.cat([getattr(state, name) for state in self._states]).cpu() for name in names}
        return CharacterState(**joined)
