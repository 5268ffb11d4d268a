"""The AMP agent of skrl (https://skrl.readthedocs.io), driven by the calls of its own trainers.

Its own, beyond what `Shared` names: the defaults of skrl's `AMP_CFG`, such as a constant learning rate of 5e-5 for all
networks, cross-entropy as the discriminator's loss, with skrl's weights of gradient penalty, logit regularisation and
weight decay, style reward times 2, clipped values. From skrl's configuration of the humanoid in Isaac Lab: running
standard scalers before all networks, gradients not clipped, discriminator updates on part of the minibatch (as many
rows as in amp_train). That configuration fixes the actions' noise; here it is learned, as in the others.

Episodes: a failure makes the next value zero. A time limit adds the value of the state reached to the reward, which
skrl multiplies by the weight of the task reward: that weight is 1 here, and the task's own weight is in the rewards.
States reached and AMP observations are those before a reset.
"""

from dataclasses import fields
from typing import Any, Dict, List, Tuple

import torch
from common import Clock, MeanPolicy, Shared, check_options, step
from gymnasium.spaces import Box
from skrl.agents.torch.amp import AMP, AMP_CFG
from skrl.memories.torch import RandomMemory
from skrl.models.torch import DeterministicMixin, GaussianMixin, Model
from skrl.resources.preprocessors.torch import RunningStandardScaler
from torch import Tensor, nn

from amp_train.config import Config
from amp_train.runner.episodes import ActingPolicy
from amp_train.runner.vec_env import AMPVecEnv

ACTIVATIONS = {
    "relu": nn.ReLU, "elu": nn.ELU, "selu": nn.SELU, "gelu": nn.GELU, "swish": nn.SiLU, "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}  # fmt: skip


def mlp(inputs: int, units: Tuple[int, ...], outputs: int, activation: str = "relu") -> nn.Sequential:
    """Return a network with hidden layers of these units."""
    layers: List[nn.Module] = []
    for size in units:
        layers += [nn.Linear(inputs, size), ACTIVATIONS[activation]()]
        inputs = size
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


class Policy(GaussianMixin, Model):
    """Gaussian actions; their mean is a network's output, their standard deviation is learned per action."""

    def __init__(self, obs: Box, actions: Box, shared: Shared) -> None:
        Model.__init__(self, observation_space=obs, action_space=actions, device="cpu")
        GaussianMixin.__init__(self, role="policy")
        self.net = mlp(self.num_observations, shared.units, self.num_actions, shared.activation)
        self.log_std = nn.Parameter(torch.full((self.num_actions,), float(shared.log_std)))

    def compute(self, inputs: Dict[str, Any], role: str = "") -> Tuple[Tensor, Dict[str, Any]]:
        return self.net(inputs["observations"]), {"log_std": self.log_std}


class Scalar(DeterministicMixin, Model):
    """One number of an observation: its value, or the discriminator's logit."""

    def __init__(self, obs: Box, units: Tuple[int, ...], activation: str = "relu") -> None:
        Model.__init__(self, observation_space=obs, device="cpu")
        DeterministicMixin.__init__(self)
        self.net = mlp(self.num_observations, units, 1, activation)

    def compute(self, inputs: Dict[str, Any], role: str = "") -> Tuple[Tensor, Dict[str, Any]]:
        return self.net(inputs["observations"]), {}


def make_agent(cfg: Config, vec_env: AMPVecEnv, shared: Shared, options: Dict[str, Any]) -> AMP:
    """Build networks, memories and agent."""
    spaces = vec_env.get_env_info()
    obs, actions, amp_obs = (spaces[f"{name}_space"] for name in ("observation", "action", "amp_observation"))
    settings = dict(
        rollouts=shared.horizon,
        learning_epochs=shared.epochs,
        mini_batches=shared.minibatches,
        discount_factor=shared.gamma,
        gae_lambda=shared.lam,
        task_reward_scale=1.0,
        style_reward_scale=2.0 * shared.style_weight,
        time_limit_bootstrap=True,
        observation_preprocessor=RunningStandardScaler,
        observation_preprocessor_kwargs={"size": obs, "device": "cpu"},
        value_preprocessor=RunningStandardScaler,
        value_preprocessor_kwargs={"size": 1, "device": "cpu"},
        amp_observation_preprocessor=RunningStandardScaler,
        amp_observation_preprocessor_kwargs={"size": amp_obs, "device": "cpu"},
        grad_norm_clip=0.0,
        discriminator_batch_size=cfg.train.params.config.amp_minibatch_size,
        experiment={"write_interval": 0, "checkpoint_interval": 0},
    )
    return AMP(
        models={
            "policy": Policy(obs, actions, shared),
            "value": Scalar(obs, shared.units, shared.activation),
            "discriminator": Scalar(amp_obs, shared.disc_units),
        },
        memory=RandomMemory(memory_size=shared.horizon, num_envs=vec_env.num_envs, device="cpu"),
        observation_space=obs,
        action_space=actions,
        device="cpu",
        cfg=AMP_CFG(**{**settings, **options}),
        amp_observation_space=amp_obs,
        motion_dataset=RandomMemory(memory_size=shared.demo_rows, device="cpu"),
        reply_buffer=RandomMemory(memory_size=shared.replay_rows, device="cpu"),
        collect_reference_motions=vec_env.fetch_amp_obs_demo,
    )


def train(cfg: Config, vec_env: AMPVecEnv, clock: Clock, options: Dict[str, Any]) -> ActingPolicy:
    """Train until the clock is over; return the trained policy."""
    check_options("skrl", options, [field.name for field in fields(AMP_CFG)])
    shared = Shared.of(cfg)
    agent = make_agent(cfg, vec_env, shared, options)
    clock.start()
    agent.init()  # draws the demonstrations
    agent.enable_training_mode(True)
    now = {"timestep": 0, "timesteps": 0}  # for files and progress, which are off
    obs = vec_env.reset()
    while not clock.is_over():
        for _ in range(shared.horizon):
            agent.pre_interaction(**now)
            with torch.no_grad():
                actions, _ = agent.act(obs, None, **now)
                done = step(vec_env, actions)
                agent.record_transition(
                    observations=obs,
                    states=None,
                    actions=actions,
                    rewards=shared.task_weight * done.task_reward.unsqueeze(-1),
                    next_observations=done.reached,
                    next_states=None,
                    terminated=done.terminated.unsqueeze(-1),
                    truncated=done.timed_out.unsqueeze(-1),
                    infos={"amp_obs": done.amp_obs},
                    **now,
                )
            agent.post_interaction(**now)  # updates at the end of a rollout
            obs = done.obs
    agent.enable_training_mode(False)
    return MeanPolicy(lambda obs: agent.act(obs, None, **now)[1]["mean_actions"])
