"""rl_games' PPO agent with its own defects repaired; nothing here knows of AMP.

Written against rl_games 1.6.5. Each repair names the defect.
"""

import logging
from typing import Any, Dict, List

from rl_games.common.schedulers import IdentityScheduler, RLScheduler
from torch import Tensor

from amp_train.checkpoint.load import load_model_state, safe_load
from amp_train.distributed.ranks import ALONE
from amp_train.errors import CheckpointError
from amp_train.learning.optimizer import fit_optimizer_state
from amp_train.learning.rollout import RolloutAgent

logger = logging.getLogger(__name__)


class PPOAgent(RolloutAgent):
    """A2CAgent that resumes exactly, writes plain checkpoints and reads them safely."""

    scheduler: RLScheduler
    is_restored = False  # whether the policy came from a checkpoint

    def __init__(self, base_name: str, params: Dict[str, Any]) -> None:
        # Runner compiles unless told otherwise; a gradient penalty differentiates twice, which torch.compile cannot.
        params["config"].setdefault("torch_compile", False)
        self.ranks = params["config"].get("ranks", ALONE)
        super().__init__(base_name, params)
        if self.linear_lr:
            self.scheduler = _TrueFrameScheduler(self.scheduler, self)
        if isinstance(self.scheduler, IdentityScheduler):
            self.schedule_type = "standard"  # 'legacy' reads KL back from the device after every minibatch, for nothing

    @property
    def bare_model(self) -> Any:
        """The model without torch.compile's wrapper."""
        return getattr(self.model, "_orig_mod", self.model)

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

    def gradients(self) -> List[Tensor]:
        """Return the gradients of all parameters that have one."""
        return [parameter.grad for parameter in self.bare_model.parameters() if parameter.grad is not None]

    def train_actor_critic(self, input_dict: Dict[str, Any], opt_step: bool = True) -> Any:
        """Make one optimizer step.

        rl_games also puts the observation normaliser back into training here, so that it takes every rollout in once
        per mini epoch, and re-applies a learning rate that other ranks do not share.
        """
        self.calc_gradients(input_dict)
        return self.train_result

    def restore(self, fn: str, set_epoch: bool = True) -> None:
        """Continue from a checkpoint of ours or of IsaacGymEnvs."""
        self.set_full_state_weights(safe_load(fn, map_location=self.ppo_device), set_epoch)

    def get_full_state_weights(self) -> Dict[str, Any]:
        """Return what a checkpoint holds: tensors and plain Python values only, so that it loads with weights_only."""
        state = super().get_full_state_weights()
        state["env_state"] = None  # the environments are in the training state; a policy does not depend on them
        state["last_mean_rewards"] = float(self.last_mean_rewards)
        state["epoch"], state["frame"] = int(self.epoch_num), int(self.frame)
        return state

    def set_full_state_weights(self, weights: Dict[str, Any], set_epoch: bool = True) -> None:
        """Continue from a checkpoint's content; an adaptive learning rate goes on where it was.

        A policy that comes with the program holds no optimizer: it is what a new training begins with.
        """
        missing = {"epoch", "frame"} - set(weights)
        if missing:
            raise CheckpointError(f"The checkpoint cannot be continued from: it lacks {', '.join(sorted(missing))}.")
        saved = weights["optimizer"] if "optimizer" in weights else self.optimizer.state_dict()
        optimizer_state = fit_optimizer_state(saved, self.optimizer, keep_saved_lr=self.is_adaptive_lr)
        weights = dict(weights, optimizer=optimizer_state)
        super().set_full_state_weights(weights, set_epoch)
        self.is_restored = True
        self.last_mean_rewards = float(self.last_mean_rewards)
        self.last_lr = self.optimizer.param_groups[0]["lr"]

    def get_weights(self) -> Dict[str, Any]:
        """Return the model and the statistics outside it, without torch.compile's prefix in the names."""
        state = self.get_stats_weights()
        state["model"] = self.bare_model.state_dict()
        return state

    def set_weights(self, weights: Dict[str, Any]) -> None:
        """Load the model and the statistics outside it."""
        load_model_state(self.bare_model, weights["model"])
        self.set_stats_weights(weights)


class _TrueFrameScheduler(RLScheduler):
    """Tell a scheduler the frames trained on: rl_games' training loop says 0, and a linear schedule never decays."""

    def __init__(self, scheduler: RLScheduler, agent: PPOAgent) -> None:
        super().__init__()
        self._scheduler = scheduler
        self._agent = agent

    def update(self, current_lr: float, entropy_coef: float, epoch: int, frames: int, kl_dist: float) -> Any:
        return self._scheduler.update(current_lr, entropy_coef, epoch, self._agent.frame, kl_dist)
