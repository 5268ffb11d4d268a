"""What every agent of the comparison gets: settings, environment, clock and evaluation."""

import contextlib
import importlib
import os
import random
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Tuple

import numpy as np
import torch
from torch import Tensor

from amp_train.config import Config, compose, resolve
from amp_train.distributed.ranks import single_threaded
from amp_train.env import AmpEnv, make_env
from amp_train.errors import unknown_choice
from amp_train.evaluation.score import score_episodes
from amp_train.runner.episodes import ActingPolicy
from amp_train.runner.recording import clip_references, record_episodes, recorded_library, set_up_episodes
from amp_train.runner.vec_env import AMPVecEnv

EPISODES, EPISODE_STEPS = 32, 300
DEMO_FETCH_ROWS = 16384  # bounds the memory of a look-up in the motion library


def configuration(overrides: List[str]) -> Config:
    """Return the configuration that amp-train would train with, given these overrides.

    Raises:
        UserError: an unknown key, or a value out of range.
    """
    return resolve(compose(overrides), overrides)


@dataclass(frozen=True)
class Shared:
    """The settings that all agents have in common, whatever their library's defaults; from amp-train's configuration.

    Attributes:
        units, activation: hidden layers of policy and of value, which are separate networks.
        disc_units: hidden layers of the discriminator, all with ReLU.
        log_std: logarithm of the actions' standard deviation at the start; one number per action, learned.
        gamma, lam: discount factor, and lambda of the advantages.
        horizon: control steps of a rollout.
        minibatches, epochs: updates on a rollout: so many minibatches, so many times.
        replay_rows, demo_rows: AMP observations that are kept of the agent and of the clip.
        task_weight, style_weight: of the rewards; a clip without a goal has no task reward.
    """

    units: Tuple[int, ...]
    activation: str
    disc_units: Tuple[int, ...]
    log_std: float
    gamma: float
    lam: float
    horizon: int
    minibatches: int
    epochs: int
    replay_rows: int
    demo_rows: int
    task_weight: float
    style_weight: float

    @classmethod
    def of(cls, cfg: Config) -> "Shared":
        """Read them from a resolved configuration."""
        network, agent = cfg.train.params.network, cfg.train.params.config
        return cls(
            units=tuple(network.mlp.units),
            activation=network.mlp.activation,
            disc_units=tuple(network.disc.units),
            log_std=network.space.continuous.sigma_init.val,
            gamma=agent.gamma,
            lam=agent.tau,
            horizon=agent.horizon_length,
            minibatches=int(cfg.num_envs or 0) * agent.horizon_length // agent.minibatch_size,
            epochs=agent.mini_epochs,
            replay_rows=agent.amp_replay_buffer_size,
            demo_rows=agent.amp_obs_demo_buffer_size,
            task_weight=agent.task_reward_w,
            style_weight=agent.disc_reward_w,
        )


class Clock:
    """Measures a training from `start` to the end of its time, and the physics in it.

    Attributes:
        train_s: time since the start, at the last question whether it is over.
        physics_s: time in the simulator's step, s.
        samples: control steps of all environments.
    """

    def __init__(self, env: AmpEnv, time_s: float) -> None:
        """Watch the simulator of `env`; the training has `time_s` s."""
        self.train_s, self.physics_s, self.samples = 0.0, 0.0, 0
        self._started_s, self._time_s = 0.0, time_s
        self._num_envs, self._step = env.num_envs, env.simulator.step
        env.simulator.step = self._timed_step  # type: ignore[method-assign]

    def start(self) -> None:
        """Begin to train: environment and networks exist, nothing has been learned."""
        self._started_s = time.perf_counter()

    def is_over(self) -> bool:
        """Return whether the time is up; asked after each iteration."""
        self.train_s = time.perf_counter() - self._started_s
        return self.train_s >= self._time_s

    def _timed_step(self, pd_target: Tensor) -> None:
        started_s = time.perf_counter()
        self._step(pd_target)
        self.physics_s += time.perf_counter() - started_s
        self.samples += self._num_envs


class Step(NamedTuple):
    """A control step of N environments.

    Attributes:
        reached: (N, obs_size) what it led to, before any reset.
        obs: (N, obs_size) what to act on next: episodes that ended have been restarted.
        task_reward: (N,).
        terminated, timed_out: (N,) bool, episodes that failed, and those that reached the limit of steps.
        amp_obs: (N, amp_obs_size) before any reset.
    """

    reached: Tensor
    obs: Tensor
    task_reward: Tensor
    terminated: Tensor
    timed_out: Tensor
    amp_obs: Tensor


def step(vec_env: AMPVecEnv, actions: Tensor) -> Step:
    """Act in all environments, with actions clamped to -1..1 as rl_games does, then restart episodes that ended."""
    with single_threaded():  # as amp_train's rollout
        reached, task_reward, _, infos = vec_env.step(actions.clamp(-1.0, 1.0))
        obs = vec_env.reset_done()
    return Step(reached, obs, task_reward, infos["terminate"], infos["time_outs"], infos["amp_obs"])


def demonstrations(vec_env: AMPVecEnv, rows: int) -> Tensor:
    """Draw AMP observations of the clips (rows, amp_obs_size)."""
    sizes = [min(DEMO_FETCH_ROWS, rows - start) for start in range(0, rows, DEMO_FETCH_ROWS)]
    return torch.cat([vec_env.fetch_amp_obs_demo(size) for size in sizes])


def check_options(agent: str, options: Dict[str, Any], known: Iterable[str]) -> None:
    """Check that a library's agent has the options that the command line sets.

    Raises:
        ConfigError: it has not.
    """
    known = list(known)
    for key in options:
        if key not in known:
            raise unknown_choice(f"option of {agent}", key, known)


class MeanPolicy:
    """A trained agent as the policy of an evaluation: acts by its mean; its discriminator is not used."""

    def __init__(self, mean: Callable[[Tensor], Tensor]) -> None:
        """Take a function from observations (N, obs_size) to the means of the actions (N, num_actions)."""
        self._mean = mean

    def start(self, vec_env: AMPVecEnv) -> Tensor:
        """Restart every episode; return obs."""
        return vec_env.reset()

    def act(self, obs: Tensor, deterministic: bool) -> Tensor:
        """Return the mean, clamped as in training."""
        return self._mean(obs).clamp(-1.0, 1.0)

    def judge(self, infos: Mapping[str, Any]) -> Tuple[Tensor, Tensor]:
        """Return nothing of interest."""
        nothing = torch.zeros(len(infos["terminate"]))
        return nothing, nothing


def run_agent(module: str, overrides: List[str], time_s: float, options: Dict[str, Any]) -> Dict[str, Any]:
    """Train the agent of a module of this folder and measure it; return its row of the table.

    Args:
        module: has `train(cfg, vec_env, clock, options)`, which returns the trained policy.
        overrides: of amp-train.
        time_s: training time.
        options: of that library's agent, in place of the values used here.
    """
    cfg = configuration(overrides)
    torch.set_num_threads(int(cfg.num_threads or 1))
    random.seed(cfg.seed)
    np.random.seed(cfg.seed)
    torch.manual_seed(cfg.seed)
    vec_env = AMPVecEnv(make_env(cfg), "cpu")
    clock = Clock(vec_env.env, time_s)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        policy = importlib.import_module(module).train(cfg, vec_env, clock, options)
    vec_env.close()
    return {
        "samples": clock.samples,
        "train_s": clock.train_s,
        "physics_s": clock.physics_s,
        "samples_per_s": clock.samples / clock.train_s,
        "outside_share": (clock.train_s - clock.physics_s) / clock.physics_s,
        **measure(cfg, policy),
    }


def measure(cfg: Config, policy: ActingPolicy) -> Dict[str, Any]:
    """Play noise-free episodes from random phases of the clip, the same for every agent, and return their measures."""
    cfg = set_up_episodes(cfg, EPISODES, EPISODE_STEPS / cfg.task.env.control_frequency_hz, cfg.seed)
    cfg.num_threads, cfg.task.task.randomize = 1, False
    vec_env = AMPVecEnv(make_env(cfg), "cpu")
    run = record_episodes(cfg, vec_env, policy)
    clips = clip_references(recorded_library(cfg, vec_env.env), run.control_dt_s)
    vec_env.close()
    (scores,) = score_episodes([run], clips)
    return {
        "dtw_pose_error_m": float(np.mean([score.heading.error_m for score in scores])),
        "episode_steps": float(run.lengths.double().mean()),
        "falls": run.num_falls,
    }
