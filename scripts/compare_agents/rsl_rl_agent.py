"""The AMP agent of amp-rsl-rl (https://github.com/gbionics/amp-rsl-rl) on rsl-rl-lib, in the loop of its runner.

Its own, beyond what `Shared` names: the defaults of `AMP_PPO` and `Discriminator`, such as cross-entropy with a penalty
on the gradient at demonstrations, discriminator minibatches as large as PPO's, the deviation within a minibatch as an
input of the discriminator, weight decay by Adam, clipped values and gradients, one learning rate from 1e-3 on. Without
a default, or switched on as is usual with rsl-rl-lib: style reward times 1, the learning rate adapts after each
minibatch to a KL divergence of 0.01, observations are normalised. Values are not: the library does not do that. The
logarithm of the noise is learned, not the noise itself, which a learning rate of 1e-3 would soon turn negative.

Its runner reads clips in a format of its own and pairs the last frame of an episode with the first of the next; so the
rollout is written out here, demonstrations come from the environment, and pairs of frames are those before a reset.
A failure makes the next value zero; a time limit adds the value of the state acted in to the reward, as the library
does it.
"""

from inspect import signature
from typing import Any, Dict, Iterator, Tuple

import torch
from amp_rsl_rl.algorithms import AMP_PPO
from amp_rsl_rl.networks import Discriminator
from common import Clock, MeanPolicy, Shared, check_options, demonstrations, step
from rsl_rl.models import MLPModel
from tensordict import TensorDict
from torch import Tensor

from amp_train.config import Config
from amp_train.errors import ConfigError
from amp_train.runner.episodes import ActingPolicy
from amp_train.runner.vec_env import AMPVecEnv

OBS_GROUPS = {"actor": ["policy"], "critic": ["policy"]}
DISCRIMINATOR_OPTIONS, LEARNING_OPTIONS = (set(signature(kind).parameters) for kind in (Discriminator, AMP_PPO))
Pair = Tuple[Tensor, Tensor]


def pair(amp_obs: Tensor) -> Pair:
    """Return the frame before the last and the last one (N, frame_size) of AMP observations, which are newest first."""
    last, before = amp_obs.chunk(2, dim=-1)
    return before, last


class Demonstrations:
    """Pairs of frames of the clips; takes the place of the library's `AMPLoader`, which draws its pairs once too."""

    def __init__(self, vec_env: AMPVecEnv, rows: int) -> None:
        self._rows = demonstrations(vec_env, rows)

    def feed_forward_generator(self, num_mini_batch: int, mini_batch_size: int) -> Iterator[Pair]:
        """Yield minibatches, drawn with replacement."""
        for _ in range(num_mini_batch):
            yield pair(self._rows[torch.randint(len(self._rows), (mini_batch_size,))])


def as_dict(obs: Tensor) -> TensorDict:
    """Return observations (N, obs_size) in the form that the networks read."""
    return TensorDict({"policy": obs}, batch_size=[len(obs)])


def make_agent(vec_env: AMPVecEnv, obs: TensorDict, shared: Shared, options: Dict[str, Any]) -> AMP_PPO:
    """Build networks and agent; the demonstrations follow."""
    num_actions, std = vec_env.env.num_actions, float(torch.tensor(shared.log_std).exp())
    noise = {"class_name": "GaussianDistribution", "init_std": std, "std_type": "log"}
    network = {"hidden_dims": list(shared.units), "activation": shared.activation, "obs_normalization": True}
    judging = {"reward_scale": 1.0, "empirical_normalization": True}
    judging.update({key: value for key, value in options.items() if key in DISCRIMINATOR_OPTIONS})
    learning = dict(
        num_learning_epochs=shared.epochs,
        num_mini_batches=shared.minibatches,
        gamma=shared.gamma,
        lam=shared.lam,
        schedule="adaptive",
        amp_replay_buffer_size=shared.replay_rows,
    )
    learning.update({key: value for key, value in options.items() if key not in DISCRIMINATOR_OPTIONS})
    agent = AMP_PPO(
        discriminator=Discriminator(vec_env.env.amp_obs_size, list(shared.disc_units), **judging),
        amp_data=None,
        actor=MLPModel(obs, OBS_GROUPS, "actor", num_actions, distribution_cfg=noise, **network),
        critic=MLPModel(obs, OBS_GROUPS, "critic", 1, **network),
        **learning,
    )
    agent.init_storage(vec_env.num_envs, shared.horizon, obs, (num_actions,))
    return agent


def train(cfg: Config, vec_env: AMPVecEnv, clock: Clock, options: Dict[str, Any]) -> ActingPolicy:
    """Train until the clock is over; return the trained policy.

    Raises:
        ConfigError: the AMP observations are no pairs of frames.
    """
    if cfg.task.env.num_amp_obs_steps != 2:
        raise ConfigError("agents=amp_rsl_rl judges pairs of frames: set task.env.num_amp_obs_steps=2.")
    check_options("amp_rsl_rl", options, DISCRIMINATOR_OPTIONS | LEARNING_OPTIONS)
    shared = Shared.of(cfg)
    obs = as_dict(vec_env.reset())
    agent = make_agent(vec_env, obs, shared, options)
    clock.start()
    agent.amp_data = Demonstrations(vec_env, shared.demo_rows)
    agent.train_mode()
    while not clock.is_over():
        with torch.inference_mode():
            for _ in range(shared.horizon):
                done = step(vec_env, agent.act(obs))
                before, last = pair(done.amp_obs)
                agent.act_amp(before)
                style = agent.discriminator.predict_reward(before, last)
                reward = shared.task_weight * done.task_reward + shared.style_weight * style
                obs = as_dict(done.obs)
                ended = done.terminated | done.timed_out
                agent.process_env_step(obs, reward, ended, {"time_outs": done.timed_out})
                agent.process_amp_step(last)
            agent.compute_returns(obs)
        agent.update()
    agent.test_mode()
    return MeanPolicy(lambda obs: agent.actor(as_dict(obs)))
