"""Acting for one rollout, without waiting for the device."""

import time
from typing import Any, Dict, List

import torch
from rl_games.common.a2c_common import swap_and_flatten01
from torch import Tensor

from amp_train.learning.threads import single_threaded
from amp_train.learning.training_loop import TrainingLoop


class RolloutAgent(TrainingLoop):
    """A2CAgent whose rollout asks a GPU nothing until it is over.

    rl_games' own looks after every step which episodes ended, to count what they were worth. Here they are counted when
    the rollout is over, and the observer's `process_infos` gets `dones` (N,) as a mask instead of indices.
    """

    dones: Tensor

    def play_steps(self) -> Dict[str, Any]:
        """Act for `horizon_length` steps; return the rollout, flat (T * N, ...) and with returns."""
        rollout, step_s = self.experience_buffer, 0.0
        games: List[Tensor] = []
        with single_threaded():
            for n in range(self.horizon_length):
                acted = self.get_action_values(self.obs)
                rollout.update_data("obses", n, self.obs["obs"])
                rollout.update_data("dones", n, self.dones)
                for name in self.update_list:
                    rollout.update_data(name, n, acted[name])
                started_s = time.perf_counter()
                self.obs, rewards, self.dones, infos = self.env_step(acted["actions"])
                step_s += time.perf_counter() - started_s
                shaped = self.rewards_shaper(rewards)
                rollout.update_data("rewards", n, shaped)
                games.append(self._count(rewards, shaped, infos))
        self._keep_finished(torch.cat(games))
        return dict(self._with_returns(), step_time=step_s)

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
        """Put what the episodes that ended were worth, of rows as `_count` gives them, into rl_games' meters."""
        finished = games[games[:, 0] > 0]
        self.game_rewards.update(finished[:, 1:2])
        self.game_shaped_rewards.update(finished[:, 2:3])
        self.game_lengths.update(finished[:, 3])

    def _with_returns(self) -> Dict[str, Any]:
        """Return the rollout's rows with their returns."""
        stored = self.experience_buffer.tensor_dict
        advantages = self.discount_values(
            self.dones.float(), self.get_values(self.obs), stored["dones"].float(), stored["values"], stored["rewards"]
        )
        batch = self.experience_buffer.get_transformed_list(swap_and_flatten01, self.tensor_list)
        returns = swap_and_flatten01(advantages + stored["values"])
        return dict(batch, returns=returns, played_frames=self.batch_size)
