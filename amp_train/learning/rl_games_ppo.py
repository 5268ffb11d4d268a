"""rl_games' PPO agent as this project needs it: all workarounds and all uses of its internals are here and only here.

Nothing here knows of a discriminator. Written against rl_games 1.6.5; each workaround names the defect.
"""

import time
from typing import Any, Dict, List, NamedTuple, Tuple, cast

import torch
from rl_games.algos_torch import torch_ext
from rl_games.algos_torch.a2c_continuous import A2CAgent
from rl_games.common.a2c_common import print_statistics, swap_and_flatten01
from rl_games.common.common_losses import critic_loss
from rl_games.common.schedulers import IdentityScheduler, RLScheduler
from torch import Tensor, nn, optim

from amp_train.checkpoint.load import for_other_task, load_model_state, safe_load, task_named_in
from amp_train.checkpoint.store import POLICY_SUFFIX, save_file
from amp_train.distributed.ranks import ALONE, Ranks, single_threaded, state_tensors
from amp_train.errors import CheckpointError, ConfigError
from amp_train.learning.ppo_math import bound_loss, gae, gaussian_kl, next_values_of, trust_region_loss


class EpochTimes(NamedTuple):
    """How long the parts of an epoch took, in seconds; `play_s` includes `step_s`, the environments' share."""

    step_s: float
    play_s: float
    update_s: float

    @property
    def total_s(self) -> float:
        """The whole epoch."""
        return self.play_s + self.update_s


class RLGamesPPO(A2CAgent):
    """A2CAgent that acts without waiting for the device, bootstraps and resumes exactly, and reads files safely.

    A subclass adds the epoch and `update`, one optimizer step on a minibatch.

    Attributes:
        total_time_s: time spent in iterations, including earlier sessions of this training.
        stateful: parts with `state_dict` and `load_state_dict` that belong to the training state.
        epoch_stats: means over the last epoch, plain floats.
        is_restored: whether the policy came from a checkpoint.
    """

    scheduler: RLScheduler
    ranks: Ranks
    obs: Dict[str, Tensor]
    dones: Tensor
    frame: int
    last_lr: float
    entropy_coef: float
    last_mean_rewards: float

    def __init__(self, base_name: str, params: Dict[str, Any]) -> None:
        # Runner compiles unless told otherwise; a gradient penalty differentiates twice, which torch.compile cannot.
        params["config"].setdefault("torch_compile", False)
        # rl_games' own mixed precision covers the policy too, and scales gradients, which bf16 does not need.
        params["config"]["mixed_precision"] = False
        self.ranks = params["config"].get("ranks", ALONE)
        self.total_time_s, self.is_restored = 0.0, False
        self.stateful: Dict[str, Any] = {}
        self.epoch_stats: Dict[str, float] = {}
        super().__init__(base_name, params)
        self.value_bootstrap = False  # rl_games' is approximate; here time limits are bootstrapped exactly, and once
        if isinstance(self.scheduler, IdentityScheduler):
            self.schedule_type = "standard"  # 'legacy' would read KL back from the device after every minibatch
        if hasattr(self.algo_observer, "load_state_dict"):
            self.stateful["observer"] = self.algo_observer

    @property
    def bare_model(self) -> Any:
        """The model without torch.compile's wrapper."""
        return getattr(self.model, "_orig_mod", self.model)

    @property
    def rollout(self) -> Dict[str, Tensor]:
        """What was noted of each step of the last rollout, (T, N, ...) each."""
        return cast(Dict[str, Tensor], self.experience_buffer.tensor_dict)

    @property
    def global_rank(self) -> int:
        """This process's number among those that train together; the first one has the writer.

        rl_games would take it, and its own `multi_gpu`, from the environment. That stays off: it knows CUDA only, and
        lets statistics, frames and learning rates of the ranks differ. What it sees here is common already.
        """
        return self.ranks.rank

    @global_rank.setter
    def global_rank(self, _: int) -> None:
        """Ignore rl_games' own."""

    def broadcast_initial_state(self) -> None:
        """Give every rank the parameters, statistics and optimizer state of the first."""
        optimizer_state = [value for state in self.optimizer.state.values() for value in state.values()]
        self.ranks.broadcast_(state_tensors(self.model) + [v for v in optimizer_state if isinstance(v, Tensor)])

    # Acting.

    def init_tensors(self) -> None:
        """Allocate the rollout."""
        super().init_tensors()
        self.allocate("obs_reached", self.rollout["obses"].shape[2:], self.rollout["obses"].dtype)
        self.allocate("timed_out", (), torch.bool)

    def allocate(self, name: str, shape: Tuple[int, ...], dtype: torch.dtype = torch.float32) -> None:
        """Add a field of this shape per environment and step to the rollout."""
        steps_envs = self.experience_buffer.obs_base_shape
        self.rollout[name] = torch.zeros(steps_envs + tuple(shape), dtype=dtype, device=self.ppo_device)

    def act(self) -> float:
        """Act for `horizon_length` steps and note them in `rollout`; return the seconds the environments took.

        rl_games checks after every step which episodes ended, to count their rewards. Here they are counted when the
        rollout is over, so that nothing waits for a GPU until then, and the observer's `process_infos` gets `dones`
        (N,) as a mask instead of indices.
        """
        step_s, games = 0.0, []
        with single_threaded():
            for n in range(self.horizon_length):
                acted = self.get_action_values(self.obs)
                self.experience_buffer.update_data("obses", n, self.obs["obs"])
                self.experience_buffer.update_data("dones", n, self.dones)
                for name in self.update_list:
                    self.experience_buffer.update_data(name, n, acted[name])
                started_s = time.perf_counter()
                self._step = n
                self.obs, rewards, self.dones, infos = self.env_step(acted["actions"])
                step_s += time.perf_counter() - started_s
                shaped = self.rewards_shaper(rewards)
                self.experience_buffer.update_data("rewards", n, shaped)
                games.append(self._count(rewards, shaped, infos))
        self._keep_finished(torch.cat(games))
        return step_s

    def env_step(self, actions: Tensor) -> Tuple[Dict[str, Tensor], Tensor, Tensor, Dict[str, Any]]:
        """Step the environments, note the states reached, and only then reset those done."""
        obs, rewards, dones, infos = super().env_step(actions)
        self.note_step(self._step, obs["obs"], dones, infos)
        return self.obs_to_tensors(self.vec_env.reset_done()), rewards, dones, infos

    def note_step(self, n: int, obs: Tensor, dones: Tensor, infos: Dict[str, Any]) -> None:
        """Note what the n-th step led to, before any reset."""
        terminated = torch.as_tensor(infos["terminate"], device=self.ppo_device)
        self.rollout["obs_reached"][n] = obs
        self.rollout["timed_out"][n] = dones.bool() & ~terminated.bool()

    def play_steps_rnn(self) -> Dict[str, Any]:
        """Refuse recurrent policies."""
        raise ConfigError("AMP does not support recurrent policies. Remove network.rnn.")

    def _count(self, rewards: Tensor, shaped: Tensor, infos: Dict[str, Any]) -> Tensor:
        """Count a step in the running episodes; return (N, 4): whether they ended, rewards, shaped rewards, length."""
        self.current_rewards.add_(rewards)
        self.current_shaped_rewards.add_(shaped)
        self.current_lengths.add_(1)
        self.algo_observer.process_infos(infos, self.dones.bool())
        ended = self.dones.to(rewards.dtype).unsqueeze(1)
        so_far = (self.current_rewards, self.current_shaped_rewards, self.current_lengths.unsqueeze(1))
        counted = torch.cat((ended, *so_far), dim=1)
        self.current_rewards.mul_(1.0 - ended)
        self.current_shaped_rewards.mul_(1.0 - ended)
        self.current_lengths.mul_(1.0 - ended.squeeze(1))
        return counted

    def _keep_finished(self, games: Tensor) -> None:
        """Update rl_games' meters with the episodes that ended, from rows as `_count` returns them."""
        finished = games[games[:, 0] > 0]
        self.game_rewards.update(finished[:, 1:2])
        self.game_shaped_rewards.update(finished[:, 2:3])
        self.game_lengths.update(finished[:, 3])

    # Learning.

    def get_values(self, obs: Dict[str, Tensor]) -> Tensor:
        """Return the critic's values (N, 1) in reward units, without evaluating the policy."""
        with torch.no_grad():
            return cast(Tensor, self.bare_model.eval_critic(self._preproc_obs(obs["obs"])))

    def advantages(self, rewards: Tensor) -> Tensor:
        """Return the advantages (T, N, 1) of the last rollout, given its rewards (T, N, 1).

        rl_games notes `dones` before each step; the ones after it are those of the next, and `self.dones` after the
        last.
        """
        values, before = self.rollout["values"], self.rollout["dones"].float()
        done = torch.cat((before[1:], self.dones.float().unsqueeze(0))).unsqueeze(-1)
        next_values = next_values_of(values, self.get_values(self.obs), done, self._timeout_values())
        return gae(rewards, values, next_values, done, self.gamma, self.tau)

    def _timeout_values(self) -> Tensor:
        """Evaluate the states that a time limit cut off, 0 elsewhere, (T, N, 1): their episodes could continue."""
        values, timed_out = torch.zeros_like(self.rollout["values"]), self.rollout["timed_out"]
        values[timed_out] = self.get_values({"obs": self.rollout["obs_reached"][timed_out]})
        return values

    def flat_rollout(self) -> Dict[str, Tensor]:
        """Return copies of the last rollout's tensors, (N * T, ...) each, environment by environment."""
        return {name: swap_and_flatten01(self.rollout[name]) for name in self.tensor_list if name in self.rollout}

    def mini_epoch(self) -> None:
        """Update on every minibatch of the dataset once, in a new order; move the learning rate."""
        kls = []
        for i in range(len(self.dataset)):
            kls.append(self.update(self.dataset[i]))
            if self.schedule_type == "legacy":
                self._schedule_lr(kls[-1])
        if self.schedule_type == "standard":
            self._schedule_lr(torch_ext.mean_list(kls))

    def update(self, minibatch: Dict[str, Tensor]) -> Tensor:
        """Make one optimizer step; return the mean KL divergence (scalar) from the policy that acted."""
        raise NotImplementedError

    def _schedule_lr(self, kl: Tensor) -> None:
        """Call the schedule; rl_games' own loop passes 0 frames, so that a linear rate never decays."""
        self.last_lr, self.entropy_coef = self.scheduler.update(
            self.last_lr, self.entropy_coef, self.epoch_num, self.frame, kl.item()
        )
        self.update_lr(self.last_lr)

    def ppo_loss(self, result: Dict[str, Tensor], minibatch: Dict[str, Tensor]) -> Tuple[Tensor, Dict[str, Tensor]]:
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

    def gradients(self) -> List[Tensor]:
        """Return the gradients of all parameters that have one."""
        return [parameter.grad for parameter in self.bare_model.parameters() if parameter.grad is not None]

    # What is written.

    def report(self, times: EpochTimes, frame: int, played: int, scalars: Dict[str, float]) -> None:
        """Write an epoch's scalars and let the observer report; as in rl_games, at the number of frames before it.

        Args:
            frame: before the epoch.
            played: frames of the epoch, of all ranks.
            scalars: in addition to the timings, by their tags.
        """
        print_statistics(
            self.print_stats, played, times.step_s, times.play_s, times.total_s, self.epoch_num, self.max_epochs, frame,
            self.max_frames,
        )  # fmt: skip
        rates = {
            "performance/step_inference_rl_update_fps": played / times.total_s,
            "performance/step_inference_fps": played / times.play_s,
            "performance/step_fps": played / times.step_s,
            "performance/rl_update_time": times.update_s,
            "performance/step_inference_time": times.play_s,
            "performance/step_time": times.step_s,
            "info/lr_mul": 1.0,
            "info/e_clip": self.e_clip,
            "info/epochs": self.epoch_num,
        }
        for tag, value in {**rates, **scalars}.items():
            self.writer.add_scalar(tag, value, frame)
        self.algo_observer.after_print_stats(frame, self.epoch_num, self.total_time_s)

    def save(self, fn: str) -> None:
        """Write the policy to `fn`.pth; a crash meanwhile leaves the previous file intact."""
        save_file(fn + POLICY_SUFFIX, self.get_full_state_weights())

    def restore(self, fn: str, set_epoch: bool = True) -> None:
        """Continue from a checkpoint of ours or of IsaacGymEnvs."""
        self.set_full_state_weights(safe_load(fn, map_location=self.ppo_device), set_epoch)

    def get_full_state_weights(self) -> Dict[str, Any]:
        """Return a checkpoint's content: tensors and plain Python values only, so that it loads with weights_only.

        With the run's own description, if the config gives one.
        """
        state = cast(Dict[str, Any], super().get_full_state_weights())
        state["env_state"] = None  # the environments are in the training state; a policy does not depend on them
        state["last_mean_rewards"] = float(self.last_mean_rewards)
        state["epoch"], state["frame"] = int(self.epoch_num), int(self.frame)
        if self.config.get("checkpoint_extra") is not None:
            state["amp_train"] = self.config["checkpoint_extra"]
        return state

    def set_full_state_weights(self, weights: Dict[str, Any], set_epoch: bool = True) -> None:
        """Continue from a checkpoint's content; an adaptive learning rate continues where it was.

        A bundled policy has no optimizer state; it is only a starting point for a new training. So is the policy of
        another task.
        """
        missing = {"epoch", "frame"} - set(weights)
        if missing:
            names = ", ".join(sorted(missing))
            raise CheckpointError(f"Training cannot continue from the checkpoint: it lacks {names}.")
        if task_named_in(weights.get("amp_train")) not in (None, task_named_in(self.config.get("checkpoint_extra"))):
            model = for_other_task(weights["model"], self.bare_model)
            weights = dict(weights, model=model, epoch=0, frame=0, last_mean_rewards=self.last_mean_rewards)
            weights.pop("optimizer", None)
        saved = weights["optimizer"] if "optimizer" in weights else self.optimizer.state_dict()
        optimizer_state = fit_optimizer_state(saved, self.optimizer, keep_saved_lr=self.is_adaptive_lr)
        counters = {name: int(weights[name]) for name in ("epoch", "frame")}
        super().set_full_state_weights(dict(weights, optimizer=optimizer_state, **counters), set_epoch)
        self.is_restored = True
        self.last_mean_rewards = float(self.last_mean_rewards)
        self.last_lr = self.optimizer.param_groups[0]["lr"]

    def get_weights(self) -> Dict[str, Any]:
        """Return the model and the statistics outside it, without torch.compile's prefix in the names."""
        state = cast(Dict[str, Any], self.get_stats_weights())
        state["model"] = self.bare_model.state_dict()
        return state

    def set_weights(self, weights: Dict[str, Any]) -> None:
        """Load the model and the statistics outside it."""
        load_model_state(self.bare_model, weights["model"])
        self.set_stats_weights(weights)


def two_rate_adam(
    model: nn.Module, disc_parameters: List[nn.Parameter], lr: float, disc_lr: float, weight_decay: float
) -> optim.Adam:
    """Build Adam with the discriminator in a second group with its own learning rate."""
    disc_ids = {id(parameter) for parameter in disc_parameters}
    policy_parameters = [parameter for parameter in model.parameters() if id(parameter) not in disc_ids]
    groups = [{"params": policy_parameters, "lr": lr}, {"params": disc_parameters, "lr": disc_lr}]
    return optim.Adam(groups, eps=1e-08, weight_decay=weight_decay, fused=True)


def fit_optimizer_state(saved: Dict[str, Any], optimizer: optim.Optimizer, keep_saved_lr: bool) -> Dict[str, Any]:
    """Put saved moments under this optimizer's groups and hyperparameters, for its `load_state_dict`.

    Parameters are numbered through all groups in the same order, whether the discriminator has a group or not.

    Args:
        keep_saved_lr: take the policy's learning rate from the saved state too (an adaptive schedule continues).
    """
    groups = optimizer.state_dict()["param_groups"]
    moments = _saved_moments(saved)
    saved_groups = saved["param_groups"]
    if sum(len(g["params"]) for g in saved_groups) != sum(len(g["params"]) for g in groups):
        raise CheckpointError("The checkpoint's optimizer state and this network differ in their number of parameters.")
    if keep_saved_lr:
        groups[0]["lr"] = _learning_rate(saved_groups[0].get("lr"))
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return {"state": {k: _fitting(moments[k], parameters, k) for k in moments}, "param_groups": groups}


def _saved_moments(saved: Any) -> Dict[Any, Any]:
    """Return what is saved of each parameter, if the state has the form that torch's optimizers write."""
    groups = saved.get("param_groups") if isinstance(saved, dict) else None
    whole = isinstance(groups, list) and all(isinstance(g, dict) and isinstance(g.get("params"), list) for g in groups)
    if not groups or not whole or not isinstance(saved.get("state"), dict):
        raise CheckpointError("The checkpoint's optimizer state was not written by torch.")
    return cast(Dict[Any, Any], saved["state"])


def _fitting(moments: Any, parameters: List[nn.Parameter], index: Any) -> Dict[str, Any]:
    """Return the moments of a parameter; checked for size, because a fused kernel would read beyond a small one."""
    known = type(index) is int and 0 <= index < len(parameters) and isinstance(moments, dict)
    if not known or set(moments) != {"step", "exp_avg", "exp_avg_sq"}:
        raise CheckpointError("The checkpoint's optimizer state is not an Adam state for this network.")
    for name, value in moments.items():
        if name == "step" and type(value) in (int, float):  # older versions of torch
            continue
        wanted = torch.Size() if name == "step" else parameters[index].shape
        if not isinstance(value, Tensor) or value.shape != wanted or not bool(torch.isfinite(value).all()):
            raise CheckpointError(
                f"The checkpoint's optimizer state does not fit this network ({name} of parameter {index}): check "
                "the network's units."
            )
    return cast(Dict[str, Any], moments)


def _learning_rate(value: Any) -> float:
    if type(value) not in (int, float) or not 0.0 <= value < 1e3:
        raise CheckpointError(f"The checkpoint's learning rate is {value!r:.40}, not a number.")
    return float(value)
