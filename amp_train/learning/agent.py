"""Adversarial Motion Priors on rl_games: PPO whose reward is a discriminator's opinion.

One epoch (Peng et al. 2021, Algorithm 1), each step a method of `AMPAgent`:

    play_steps        act for `horizon_length` steps, noting AMP observations and what time limits cut off (env_step)
    discount_values   style reward of the whole rollout, combined with the task's; advantages
    prepare_dataset   fresh demonstrations; statistics of the normalisers moved once, then frozen
    calc_gradients    a minibatch: PPO losses + discriminator loss on agent, replayed and demonstrated rows
    train_epoch       the above, mini epoch by mini epoch; then the rollout is stored for replay
"""

from typing import Any, Dict, List, Tuple

import torch
from rl_games.common.common_losses import critic_loss
from torch import Tensor

from amp_train.checkpoint.load import load_model_state
from amp_train.distributed.ranks import state_tensors
from amp_train.errors import ConfigError
from amp_train.learning.advantages import gae, next_values_of
from amp_train.learning.amp_streams import AmpStreams
from amp_train.learning.disc_loss import discriminator_loss
from amp_train.learning.epoch_stats import TENSORBOARD_TAGS, MinibatchStats
from amp_train.learning.finite_check import check_update
from amp_train.learning.losses import bound_loss, disc_objective, gaussian_kl, trust_region_loss
from amp_train.learning.minibatches import ShuffledMinibatches
from amp_train.learning.model import NormalizedObs
from amp_train.learning.network_with_amp_obs import NetworkWithAmpObs
from amp_train.learning.optimizer import two_rate_adam
from amp_train.learning.ppo_agent import PPOAgent, logger
from amp_train.learning.precision import multiplies_bf16
from amp_train.learning.rollout_statistics import normalized_obs, normalized_values, standardized
from amp_train.learning.settings import check_params
from amp_train.learning.style_reward import combine_rewards
from amp_train.learning.warm_start import warm_start

FRAME_ARGUMENT = 11  # of write_stats, in every rl_games from 1.6.1 on
# What a minibatch holds of the rollout as it is -> rl_games' name there.
UPDATE_KEYS = {"actions": "actions", "mu": "mus", "sigma": "sigmas", "old_logp_actions": "neglogpacs"}


class AMPAgent(PPOAgent):
    """Train a policy and a discriminator together; registered with rl_games as `amp_continuous`.

    The vec env gives, beyond rl_games' interface: observations before any reset from `step`, `infos['amp_obs']`,
    `infos['terminate']`, `reset_done()`, `fetch_amp_obs_demo(n)`, `fetch_action_demo(n)` and in `get_env_info()`
    `amp_observation_space`.

    Attributes:
        epoch_stats: means over the last epoch, plain floats, from `disc_loss` to `lr`.
    """

    tensor_list: List[str]

    def __init__(self, base_name: str, params: Dict[str, Any]) -> None:
        config = params["config"]
        self.settings = check_params(params)
        # rl_games' own mixed precision covers the policy too, and scales gradients, which bf16 does not need.
        config["mixed_precision"] = False
        self.epoch_stats: Dict[str, float] = {}
        super().__init__(base_name, params)

        self._check_env()
        self.value_bootstrap = False  # rl_games' approximate one; AMP bootstraps time limits exactly, and once
        self.style_reward = disc_objective(self.settings.disc_loss).reward
        self.dataset = ShuffledMinibatches(
            self.batch_size, self.minibatch_size, self.settings.amp_minibatch_size, self.ppo_device
        )
        amp_obs_dim = self.env_info["amp_observation_space"].shape[0]
        self.streams = AmpStreams(
            self.settings, amp_obs_dim, self.ppo_device, self.vec_env.fetch_amp_obs_demo, self.ranks
        )
        self.stateful["streams"] = self.streams
        self._minibatch_stats = MinibatchStats()
        if self.settings.disc_learning_rate is not None:
            self.optimizer = two_rate_adam(
                self.bare_model,
                self.bare_model.a2c_network.disc_parameters(),
                self.last_lr,
                self.settings.disc_learning_rate,
                self.weight_decay,
            )

    def load_networks(self, params: Dict[str, Any]) -> None:
        """Let rl_games find the model, and tell it the AMP observation's shape when it is built."""
        super().load_networks(params)
        bf16 = self.settings.mixed_precision and multiplies_bf16(self.config.get("device", "cuda:0"))
        self.config["network"] = NetworkWithAmpObs(self.config["network"], self, bf16)

    def _check_env(self) -> None:
        needed = ("reset_done", "fetch_amp_obs_demo", "fetch_action_demo", "get_full_state", "set_full_state")
        lacking = [name for name in needed if not hasattr(self.vec_env, name)]
        if lacking:
            raise ConfigError(
                f"Environment '{self.env_name}' cannot be used for AMP: its vec env lacks {' and '.join(lacking)}."
            )
        if self.value_size != 1 or self.num_agents != 1:
            raise ConfigError("AMP trains one agent per environment with one reward (agents: 1, value_size: 1).")

    def update_lr(self, lr: float) -> None:
        """Set the learning rate; a discriminator with a rate of its own keeps it."""
        super().update_lr(lr)
        if self.settings.disc_learning_rate is not None:
            self.optimizer.param_groups[1]["lr"] = self.settings.disc_learning_rate

    def init_tensors(self) -> None:
        """Allocate the rollout and fill the demonstration buffer."""
        super().init_tensors()
        rollout, steps_envs = self.experience_buffer.tensor_dict, self.experience_buffer.obs_base_shape
        amp_obs_shape = self.env_info["amp_observation_space"].shape
        rollout["amp_obs"] = torch.zeros(steps_envs + amp_obs_shape, device=self.ppo_device)
        rollout["obs_reached"] = torch.zeros_like(rollout["obses"])
        rollout["timed_out"] = torch.zeros(steps_envs, dtype=torch.bool, device=self.ppo_device)
        self.tensor_list = self.tensor_list + ["amp_obs"]
        self.streams.fill_demos()

    def start_alike(self) -> None:
        """Clone the clips if this is a new policy; give every rank the first one's model, optimizer and statistics."""
        if self.settings.warm_start_steps and not self.is_restored:
            warm_start(self.bare_model, self.vec_env.fetch_action_demo, self.settings.warm_start_steps)
        super().start_alike()
        self.ranks.broadcast_(state_tensors(self.streams.normalizer))

    def play_steps(self) -> Dict[str, Any]:
        """Act for `horizon_length` steps and return the rollout, flat and with returns."""
        self._step = 0
        return super().play_steps()

    def play_steps_rnn(self) -> Dict[str, Any]:
        """Refuse recurrent policies."""
        raise ConfigError("AMP does not support recurrent policies. Remove network.rnn.")

    def env_step(self, actions: Tensor) -> Tuple[Dict[str, Tensor], Tensor, Tensor, Dict[str, Any]]:
        """Step the environments, note what AMP needs of the states reached, and only then reset those done."""
        obs, rewards, dones, infos = super().env_step(actions)
        if "amp_obs" not in infos or "terminate" not in infos:
            raise ConfigError(f"Environment '{self.env_name}' is not for AMP: infos lack 'amp_obs' or 'terminate'.")
        terminated = torch.as_tensor(infos["terminate"], device=self.ppo_device)
        rollout = self.experience_buffer.tensor_dict
        rollout["amp_obs"][self._step] = torch.as_tensor(infos["amp_obs"], device=self.ppo_device)
        rollout["obs_reached"][self._step] = obs["obs"]
        rollout["timed_out"][self._step] = dones.bool() & ~terminated.bool()
        self._step += 1
        return self.obs_to_tensors(self.vec_env.reset_done()), rewards, dones, infos

    def get_values(self, obs: Dict[str, Tensor]) -> Tensor:
        """Return the critic's values (N, 1) in reward units, without evaluating the policy."""
        with torch.no_grad():
            return self.bare_model.eval_critic(self._preproc_obs(obs["obs"]))

    def discount_values(
        self,
        fdones: Tensor,
        last_extrinsic_values: Tensor,
        mb_fdones: Tensor,
        mb_extrinsic_values: Tensor,
        mb_rewards: Tensor,
    ) -> Tensor:
        """Return advantages (T, N, 1) of task and style reward together.

        rl_games notes `dones` before each step; the ones after it are those of the next, and `fdones` after the last.
        """
        style = self._style_reward(self.experience_buffer.tensor_dict["amp_obs"])
        rewards = combine_rewards(mb_rewards, style, self.settings.task_reward_w, self.settings.disc_reward_w)
        done = torch.cat((mb_fdones[1:], fdones.unsqueeze(0))).unsqueeze(-1)
        next_values = next_values_of(mb_extrinsic_values, last_extrinsic_values, done, self._timeout_values())
        self._style_std_mean = torch.std_mean(style)
        return gae(rewards, mb_extrinsic_values, next_values, done, self.gamma, self.tau)

    def _timeout_values(self) -> Tensor:
        """Evaluate the states that a time limit cut off, 0 elsewhere, (T, N, 1): their episodes would have gone on."""
        rollout = self.experience_buffer.tensor_dict
        values = torch.zeros_like(rollout["values"])
        values[rollout["timed_out"]] = self.get_values({"obs": rollout["obs_reached"][rollout["timed_out"]]})
        return values

    def _style_reward(self, amp_obs: Tensor) -> Tensor:
        """Return the style reward (..., 1) of AMP observations (..., amp_obs_dim)."""
        with torch.no_grad():
            logit = self.bare_model.a2c_network.eval_disc(self.streams.normalize(amp_obs))
            return self.style_reward(logit, self.settings.disc_reward_scale)

    def prepare_dataset(self, batch_dict: Dict[str, Any]) -> None:
        """Turn a rollout into minibatches; all running statistics move here, once an epoch, and nowhere else."""
        values, returns, obs = batch_dict["values"], batch_dict["returns"], self._preproc_obs(batch_dict["obses"])
        update = {name: batch_dict[key] for name, key in UPDATE_KEYS.items()}
        update["advantages"] = self._normalize_advantages((returns - values).sum(dim=1))
        if self.normalize_value:
            is_frozen = self.config.get("freeze_critic", False)
            values, returns = normalized_values(self.value_mean_std, values, returns, is_frozen, self.ranks)
        if self.normalize_input:
            times = self.mini_epochs_num if self.settings.normalize_obs_every_mini_epoch else 1
            obs = normalized_obs(self.bare_model, obs, times, self.ranks)
        update.update(old_values=values, returns=returns, obs=obs)

        self._amp_obs = batch_dict["amp_obs"]
        self.streams.add_demos(self.settings.amp_batch_size)
        rows_of_a_mini_epoch = len(self.dataset) * self.settings.amp_minibatch_size
        chosen = torch.randperm(self.batch_size, device=self.ppo_device)[:rows_of_a_mini_epoch]
        self.streams.update_normalizer(self._amp_obs.index_select(0, chosen))

        self.dataset.update_values_dict(dict(update, amp_obs=self._amp_obs))

    def _normalize_advantages(self, advantages: Tensor) -> Tensor:
        """Standardise advantages (B,) over the rollouts of all ranks, and clip them, as far as the settings say."""
        if self.normalize_advantage:
            advantages = standardized(advantages, self.ranks)
        clip = self.settings.advantage_clip
        return advantages if clip is None else advantages.clamp(-clip, clip)

    def calc_gradients(self, minibatch: Dict[str, Tensor]) -> None:
        """Make one Adam step on PPO's and the discriminator's losses; leave the scalars in `train_result`."""
        disc_rows = self.streams.disc_batch(minibatch["amp_obs"])
        result = self.model(
            {
                "is_train": True,
                "obs": NormalizedObs(minibatch["obs"]),
                "prev_actions": minibatch["actions"],
                "amp_obs": disc_rows.agent,
                "amp_obs_replay": disc_rows.replay,
                "amp_obs_demo": disc_rows.demo,
            }
        )
        ppo_loss, ppo = self._ppo_loss(result, minibatch)
        disc_loss, disc = discriminator_loss(result, disc_rows.demo, self.bare_model.a2c_network, self.settings)
        loss = ppo_loss + self.settings.disc_coef * disc_loss

        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        scalars = self._minibatch_stats.add(**ppo, **disc)
        self.ranks.average_(self.gradients() + [scalars])
        self.trancate_gradients_and_step()
        mu, sigma = result["mus"].detach(), result["sigmas"].detach()
        kl, a_loss, c_loss, b_loss, entropy = scalars[:5].unbind()
        self.train_result = (a_loss, c_loss, entropy, kl, self.last_lr, 1.0, mu, sigma, b_loss)

    def _ppo_loss(self, result: Dict[str, Tensor], minibatch: Dict[str, Tensor]) -> Tuple[Tensor, Dict[str, Tensor]]:
        """Return PPO's loss, weighted as IsaacGymEnvs does (no 0.5 before the critic's), and its parts."""
        old_neglogp, neglogp = minibatch["old_logp_actions"], result["prev_neglogp"]
        kl = gaussian_kl(result["mus"], result["sigmas"], minibatch["mu"], minibatch["sigma"])
        a_loss = self.actor_loss_func(old_neglogp, neglogp, minibatch["advantages"], self.ppo, self.e_clip).mean()
        c_loss = critic_loss(
            self.model, minibatch["old_values"], result["values"], self.e_clip, minibatch["returns"], self.clip_value
        ).mean()
        entropy = result["entropy"].mean()
        b_loss = bound_loss(result["mus"])
        loss = a_loss + self.critic_coef * c_loss - self.entropy_coef * entropy
        if self.bounds_loss_coef is not None:
            loss = loss + self.bounds_loss_coef * b_loss
        if self.is_adaptive_lr:
            loss = loss + trust_region_loss(kl, self.kl_threshold)
        with torch.no_grad():
            clip_frac = ((torch.exp(old_neglogp - neglogp) - 1.0).abs() > self.e_clip).float().mean()
        return loss, dict(kl=kl, a_loss=a_loss, c_loss=c_loss, b_loss=b_loss, entropy=entropy, clip_frac=clip_frac)

    def train_epoch(self) -> List[Any]:
        """Run one epoch; afterwards its rollout is replay, and its means are in `epoch_stats`."""
        timings_and_losses = super().train_epoch()
        check_update(self, self._minibatch_stats)
        self.streams.remember(self._amp_obs)
        std, mean = self._style_std_mean
        self.ranks.average_([std, mean])
        self.epoch_stats = self._minibatch_stats.pop_means(style_reward_mean=mean, style_reward_std=std)
        self.epoch_stats["lr"] = float(self.last_lr)
        return timings_and_losses

    def write_stats(self, *times_and_losses: Any) -> None:
        """Write the discriminator's scalars, then rl_games' own."""
        frame = times_and_losses[FRAME_ARGUMENT]
        for name, tag in TENSORBOARD_TAGS.items():
            self.writer.add_scalar(tag, self.epoch_stats[name], frame)
        super().write_stats(*times_and_losses)

    def get_stats_weights(self, model_stats: bool = False) -> Dict[str, Any]:
        """Return the statistics outside the model; `amp_input_mean_std` is where IsaacGymEnvs has it."""
        state = super().get_stats_weights(model_stats)
        if self.settings.normalize_amp_input:
            state["amp_input_mean_std"] = self.streams.normalizer.state_dict()
        return state

    def set_stats_weights(self, weights: Dict[str, Any]) -> None:
        """Load the statistics outside the model."""
        super().set_stats_weights(weights)
        if not self.settings.normalize_amp_input:
            return
        if "amp_input_mean_std" in weights:
            load_model_state(self.streams.normalizer, weights["amp_input_mean_std"], "amp_input_mean_std")
        else:
            logger.warning("The checkpoint has no amp_input_mean_std: AMP observation statistics start anew.")

    def get_full_state_weights(self) -> Dict[str, Any]:
        """Return what a policy's file holds, with the run's own description if the config gives one."""
        state = super().get_full_state_weights()
        if self.config.get("checkpoint_extra") is not None:
            state["amp_train"] = self.config["checkpoint_extra"]
        return state
