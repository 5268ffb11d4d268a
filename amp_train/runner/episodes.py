"""The one loop in which a policy acts: for playing, evaluation, videos and viewers. Callbacks process the
episodes."""

import logging
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Protocol, Sequence, Tuple

import torch
from torch import Tensor

from amp_train.character import CharacterState
from amp_train.env import AmpEnv
from amp_train.runner.vec_env import AMPVecEnv
from amp_train.sim import Simulator

logger = logging.getLogger(__name__)


class StopEpisodes(Exception):
    """Raised by a callback: the loop ends after the present step."""


class ActingPolicy(Protocol):
    """The interface of a policy in the loop; `runner.policy.Policy` is one."""

    def start(self, vec_env: AMPVecEnv) -> Tensor:
        """Restart every episode; return obs (N, obs_size)."""

    def act(self, obs: Tensor, deterministic: bool) -> Tensor:
        """Return actions (N, num_actions) in -1..1."""

    def judge(self, infos: Mapping[str, Any]) -> Tuple[Tensor, Tensor]:
        """Return the discriminator's logit and style reward (N,) of a step, given its infos."""


@dataclass
class EpisodeStep:
    """One control step of N environments, before any reset; tensors are on the environment's device.

    Attributes:
        index: how many steps were done before it.
        time_s: simulated time at its end.
        env: where it was done. `env.task` can be steered; the policy sees the new goal after the next step.
        obs: (N, obs_size) the policy's observation before it.
        action: (N, num_actions) the policy's action.
        state: N characters at its end. Diverged ones are not finite.
        task_reward, style_reward, disc_logit: (N,).
        done: (N,) bool, the episode ended in it.
        terminated: (N,) bool, of these, as a failure.
        cause: (N,) long, of the failure: its name is `env.cause_names[cause]`; 0 is none.
        infos: of `AmpEnv.step`.
    """

    index: int
    time_s: float
    env: AmpEnv
    obs: Tensor
    action: Tensor
    state: CharacterState
    task_reward: Tensor
    style_reward: Tensor
    disc_logit: Tensor
    done: Tensor
    terminated: Tensor
    cause: Tensor
    infos: Dict[str, Tensor]


class EpisodeCallback:
    """Receives the steps of the episodes; every method is optional."""

    def on_start(self, env: AmpEnv) -> None:
        """All episodes have just begun."""

    def on_step(self, step: EpisodeStep) -> None:
        """A control step is complete; episodes that ended in it are restarted afterwards.

        Raises:
            StopEpisodes: enough; the other callbacks still see this step.
        """

    def on_end(self) -> None:
        """The loop has ended; called after an error too."""


def run_episodes(
    vec_env: AMPVecEnv,
    policy: ActingPolicy,
    callbacks: Sequence[EpisodeCallback] = (),
    num_steps: Optional[int] = None,
    episodes: Optional[int] = None,
    deterministic: bool = True,
) -> None:
    """Let a policy act in all environments in parallel; episodes are restarted as they end.

    Args:
        vec_env: the environments.
        policy: what acts.
        callbacks: see every step, in this order.
        num_steps: at least this many.
        episodes: at least this many, the same number in every environment. With neither, until a callback stops it.
        deterministic: act by the policy's mean, without noise.
    """
    env, progress = vec_env.env, _Progress(vec_env.num_envs, num_steps, episodes)
    obs = policy.start(vec_env)
    try:
        for callback in callbacks:
            callback.on_start(env)
        with torch.no_grad():
            while True:
                step = _step(vec_env, policy, obs, progress.steps, deterministic)
                progress.add(step.done)
                if _tell(callbacks, step) or progress.complete:
                    break
                obs = vec_env.reset_done()
    finally:
        for callback in callbacks:
            callback.on_end()
    say_warnings(env.simulator)


def _step(vec_env: AMPVecEnv, policy: ActingPolicy, obs: Tensor, index: int, deterministic: bool) -> EpisodeStep:
    env = vec_env.env
    action = policy.act(obs, deterministic)
    _, task_reward, done, infos = vec_env.step(action)
    logit, style_reward = policy.judge(infos)
    infos = {name: value.to(env.device) for name, value in infos.items()}
    return EpisodeStep(
        index=index,
        time_s=(index + 1) * env.control_dt_s,
        env=env,
        obs=obs.to(env.device),
        action=action.to(env.device),
        state=env.state,
        task_reward=task_reward.to(env.device),
        style_reward=style_reward.to(env.device),
        disc_logit=logit.to(env.device),
        done=done.to(env.device),
        terminated=infos["terminate"],
        cause=infos["fall_cause"],
        infos=infos,
    )


def _tell(callbacks: Sequence[EpisodeCallback], step: EpisodeStep) -> bool:
    """Pass a step to all callbacks; return whether one of them stops the loop."""
    stopped = False
    for callback in callbacks:
        try:
            callback.on_step(step)
        except StopEpisodes:
            stopped = True
    return stopped


class _Progress:
    """Counts steps, and the episodes that have ended in each environment."""

    def __init__(self, num_envs: int, num_steps: Optional[int], episodes: Optional[int]) -> None:
        self._num_steps, self._quota = num_steps or 0, -(-(episodes or 0) // num_envs)
        self._endless = num_steps is None and episodes is None
        self._ended = torch.zeros(num_envs, dtype=torch.long)
        self.steps = 0

    def add(self, done: Tensor) -> None:
        self.steps += 1
        self._ended += done.cpu().bool()

    @property
    def complete(self) -> bool:
        if self._endless:
            return False
        return self.steps >= self._num_steps and bool((self._ended >= self._quota).all())


def say_warnings(simulator: Simulator) -> None:
    """Log the simulator's warnings."""
    for line in simulator.pop_warnings():
        logger.warning("%s", line)
