"""Adversarial Motion Priors on rl_games: PPO whose reward comes from a discriminator.

`AMPAgent.train_epoch` is Algorithm 1 of Peng et al. 2021, step by step. PPO and rl_games are in
`rl_games_ppo.py`, the discriminator in `discriminator.py`, the loop over iterations in `training_loop.py`.
"""

import time
from typing import Any, Dict, List, Optional, Tuple

import torch
from torch import Tensor

from amp_train.errors import ConfigError
from amp_train.learning.buffers import ShuffledMinibatches
from amp_train.learning.diagnostics import TENSORBOARD_TAGS, MinibatchStats, check_update
from amp_train.learning.discriminator import Discriminator, combine_rewards, discriminator_class
from amp_train.learning.models import (
    DiscriminatorAwareBuilder,
    NormalizedObs,
    check_network_params,
    multiplies_bf16,
)
from amp_train.learning.ppo_math import normalized_obs, normalized_values, standardized
from amp_train.learning.rl_games_ppo import EpochTimes, RLGamesPPO, two_rate_adam
from amp_train.learning.settings import AmpSettings, check_batch_sizes, check_supported
from amp_train.learning.training_loop import TrainingLoop
from amp_train.learning.warm_start import warm_start

# Rollout fields that a minibatch takes unchanged -> rl_games' name there.
UPDATE_KEYS = {"actions": "actions", "mu": "mus", "sigma": "sigmas", "old_logp_actions": "neglogpacs"}


class AMPAgent(RLGamesPPO):
    """Train a policy and a discriminator together; registered with rl_games as `amp_continuous`.

    The vec env gives, beyond rl_games' interface: observations before any reset from `step`, `infos['terminate']`,
    `reset_done()`, `fetch_action_demo(n)`, `get_full_state()` and `set_full_state(state)`, in `get_env_info()`
    `amp_observation_space`, and what the discriminator asks for: AMP's, `infos['amp_obs']` and `fetch_amp_obs_demo(n)`.

    Attributes:
        discriminator: scores the motion, and is trained.
        loop: runs the iterations.
    """

    tensor_list: List[str]

    def __init__(self, base_name: str, params: Dict[str, Any]) -> None:
        self.settings = check_params(params)
        super().__init__(base_name, params)
        kind = discriminator_class(self.settings.discriminator)
        self._check_env(kind)
        self.dataset = ShuffledMinibatches(
            self.batch_size, self.minibatch_size, self.settings.amp_minibatch_size, self.ppo_device
        )
        amp_obs_size = self.env_info["amp_observation_space"].shape[0]
        self.discriminator = kind(
            self.settings, self.bare_model.a2c_network, amp_obs_size, self.vec_env, self.ppo_device, self.ranks
        )
        self.stateful["discriminator"] = self.discriminator
        self._minibatch_stats = MinibatchStats()
        self.loop = TrainingLoop(self)
        if self.settings.disc_learning_rate is not None:
            disc_parameters, disc_lr = self.discriminator.parameters(), self.settings.disc_learning_rate
            self.optimizer = two_rate_adam(self.bare_model, disc_parameters, self.last_lr, disc_lr, self.weight_decay)

    def load_networks(self, params: Dict[str, Any]) -> None:
        """Let rl_games find the model, and tell it the discriminator's input when it is built."""
        super().load_networks(params)
        kind = discriminator_class(self.settings.discriminator)
        bf16 = self.settings.mixed_precision and multiplies_bf16(self.config.get("device", "cuda:0"))
        self.config["network"] = DiscriminatorAwareBuilder(
            self.config["network"], lambda: kind.input_shape(self.env_info["amp_observation_space"].shape), bf16
        )

    def _check_env(self, kind: "type[Discriminator]") -> None:
        needed = (
            "reset_done", *kind.vec_env_methods, "fetch_action_demo", "get_full_state", "set_full_state"
        )  # fmt: skip
        lacking = [name for name in needed if not hasattr(self.vec_env, name)]
        if lacking:
            raise ConfigError(
                f"Environment '{self.env_name}' cannot be used for AMP: its vec env lacks {' and '.join(lacking)}."
            )
        if self.value_size != 1 or self.num_agents != 1:
            raise ConfigError("AMP trains one agent per environment with one reward (agents: 1, value_size: 1).")

    def train(self) -> Tuple[float, int]:
        """Train to the end; return the best mean reward and the number of iterations."""
        return self.loop.run()

    @property
    def stopped_by(self) -> Optional[str]:
        """Why the training stopped early, None if it did not."""
        return self.loop.stopped_by

    def update_lr(self, lr: float) -> None:
        """Set the learning rate; a discriminator with its own rate keeps it."""
        super().update_lr(lr)
        if self.settings.disc_learning_rate is not None:
            self.optimizer.param_groups[1]["lr"] = self.settings.disc_learning_rate

    def init_tensors(self) -> None:
        """Allocate the rollout, replay and demonstrations."""
        super().init_tensors()
        self.allocate("disc_obs", (self.discriminator.obs_size,))
        self.tensor_list = self.tensor_list + ["disc_obs", "returns"]
        self.discriminator.start_training()

    def broadcast_initial_state(self) -> None:
        """Clone the clips if this is a new policy; give every rank the first one's model, optimizer and statistics."""
        if self.settings.warm_start_steps and not self.is_restored:
            warm_start(self.bare_model, self.vec_env.fetch_action_demo, self.settings.warm_start_steps)
        super().broadcast_initial_state()
        self.ranks.broadcast_(list(self.discriminator.statistics().values()))

    def train_epoch(self) -> EpochTimes:
        """Make one iteration of Algorithm 1: act, score, update policy and discriminator, store the rollout."""
        self.vec_env.set_train_info(self.frame, self)
        started_s = time.perf_counter()
        self.set_eval()
        with torch.no_grad():
            batch = self.play_steps()
        played_s = time.perf_counter()

        self.set_train()
        self.prepare_dataset(batch)
        self.algo_observer.after_steps()
        for _ in range(self.mini_epochs_num):
            self.mini_epoch()
        updated_s = time.perf_counter()

        check_update(self, self._minibatch_stats)
        self.discriminator.remember(batch["disc_obs"])
        self._note_epoch()
        return EpochTimes(batch["step_time"], played_s - started_s, updated_s - played_s)

    def play_steps(self) -> Dict[str, Any]:
        """Act, score the motion, and return the rollout with its returns, flat (N * T, ...)."""
        step_s = self.act()
        task, style = self.rollout["rewards"], self.discriminator.style_reward(self.rollout["disc_obs"])
        rewards = combine_rewards(task, style, self.settings.task_reward_w, self.settings.disc_reward_w)
        self.rollout["returns"] = self.advantages(rewards) + self.rollout["values"]
        self._reward_moments = [*torch.std_mean(style), task.mean()]
        return dict(self.flat_rollout(), step_time=step_s)

    def note_step(self, n: int, obs: Tensor, dones: Tensor, infos: Dict[str, Any]) -> None:
        """Store what the discriminator will score, and what PPO needs."""
        needed = (*self.discriminator.infos_needed, "terminate")
        if not all(name in infos for name in needed):
            lacking = " or ".join(repr(name) for name in needed)
            raise ConfigError(f"Environment '{self.env_name}' cannot be used for AMP: its infos lack {lacking}.")
        super().note_step(n, obs, dones, infos)
        self.rollout["disc_obs"][n] = self.discriminator.observe(infos)

    def prepare_dataset(self, batch: Dict[str, Any]) -> None:
        """Turn a rollout into minibatches; all running statistics move here, once an epoch, and nowhere else."""
        values, returns, obs = batch["values"], batch["returns"], self._preproc_obs(batch["obses"])
        update = {name: batch[key] for name, key in UPDATE_KEYS.items()}
        update["advantages"] = self._normalize_advantages((returns - values).sum(dim=1))
        if self.normalize_value:
            is_frozen = self.config.get("freeze_critic", False)
            values, returns = normalized_values(self.value_mean_std, values, returns, is_frozen, self.ranks)
        if self.normalize_input:
            times = self.mini_epochs_num if self.settings.normalize_obs_every_mini_epoch else 1
            obs = normalized_obs(self.bare_model, obs, times, self.ranks)
        update.update(old_values=values, returns=returns, obs=obs, disc_obs=batch["disc_obs"])
        self.discriminator.begin_update(batch["disc_obs"], len(self.dataset) * self.settings.amp_minibatch_size)
        self.dataset.update_values_dict(update)

    def _normalize_advantages(self, advantages: Tensor) -> Tensor:
        """Standardise advantages (B,) over the rollouts of all ranks, and clip them, as far as the settings say."""
        if self.normalize_advantage:
            advantages = standardized(advantages, self.ranks)
        clip = self.settings.advantage_clip
        return advantages if clip is None else advantages.clamp(-clip, clip)

    def update(self, minibatch: Dict[str, Tensor]) -> Tensor:
        """Make one Adam step on PPO's and the discriminator's losses; return the mean KL divergence (scalar)."""
        disc_batch = self.discriminator.batch(minibatch["disc_obs"])
        result = self.model(
            {"is_train": True, "obs": NormalizedObs(minibatch["obs"]), "prev_actions": minibatch["actions"]}
        )
        ppo_loss, ppo = self.ppo_loss(result, minibatch)
        disc_loss, disc = self.discriminator.loss(disc_batch)
        loss = ppo_loss + self.settings.disc_coef * disc_loss

        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        scalars = self._minibatch_stats.add(**ppo, **disc)
        self.ranks.average_(self.gradients() + [scalars])
        self.trancate_gradients_and_step()
        return scalars[0]  # averaged over the ranks, so that all move the learning rate alike

    def _note_epoch(self) -> None:
        """Store the epoch's means in `epoch_stats`; the only time that this waits for the device."""
        self.ranks.average_(self._reward_moments)
        names = ("style_reward_std", "style_reward_mean", "task_reward_mean")
        self.epoch_stats = self._minibatch_stats.pop_means(**dict(zip(names, self._reward_moments)))
        self.epoch_stats["lr"] = float(self.last_lr)

    def tagged_stats(self) -> Dict[str, float]:
        """Return the epoch's means by their tensorboard tags."""
        tags = {**TENSORBOARD_TAGS, **self.discriminator.tensorboard_tags}
        return {tag: self.epoch_stats[name] for name, tag in tags.items()}

    def get_stats_weights(self, model_stats: bool = False) -> Dict[str, Any]:
        """Return the statistics outside the model."""
        return {**super().get_stats_weights(model_stats), **self.discriminator.policy_file_entries()}

    def set_stats_weights(self, weights: Dict[str, Any]) -> None:
        """Load the statistics outside the model."""
        super().set_stats_weights(weights)
        self.discriminator.load_policy_file_entries(weights)


def check_params(params: Dict[str, Any]) -> AmpSettings:
    """Check everything in rl_games' `params` that needs no environment, and return the AMP part of it.

    Raises:
        ConfigError: in one line, what to change.
    """
    check_supported(params["config"])
    check_network_params(params["network"])
    settings = AmpSettings.from_config(params["config"])
    discriminator_class(settings.discriminator).check(settings)
    check_batch_sizes(params["config"])
    return settings
