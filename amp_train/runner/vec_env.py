"""`AMPVecEnv`: the environment with rl_games' vec env interface, on rl_games' device."""

from typing import Any, Callable, Dict, Optional, Tuple, Union

import numpy as np
import torch
from gymnasium.spaces import Box
from rl_games.common.ivecenv import IVecEnv
from torch import Tensor

from amp_train.env import AmpEnv


class AMPVecEnv(IVecEnv):
    """Adapt an AmpEnv; tensors move between the simulator's and the learner's device here, if they differ.

    Resets are deferred: `step` returns the states as the episodes ended, `reset_done` those they start from.
    """

    def __init__(
        self,
        env: AmpEnv,
        rl_device: Union[str, torch.device],
        after_iteration: Optional[Callable[[int], None]] = None,
        spread_episodes: bool = False,
    ) -> None:
        """Adapt.

        Args:
            after_iteration: called with the number of each iteration of a training that has ended.
            spread_episodes: spread the time limits of the first episodes.
        """
        self.env, self._after_iteration, self._spread_episodes = env, after_iteration, spread_episodes
        self._rl_device = torch.device(rl_device)
        self.num_envs = env.num_envs

    def get_env_info(self) -> Dict[str, Any]:
        """Return the spaces; actions are normalised to -1..1."""
        return {
            "observation_space": _unbounded(self.env.obs_size),
            "amp_observation_space": _unbounded(self.env.amp_obs_size),
            "action_space": Box(-1.0, 1.0, (self.env.num_actions,), dtype=np.float32),
            "agents": 1,
            "value_size": 1,
        }

    def reset(self) -> Tensor:
        """Restart every episode; return obs (N, obs_size)."""
        obs = self._to_learner(self.env.reset())
        if self._spread_episodes:
            self.env.spread_episodes()
        return obs

    def reset_done(self) -> Tensor:
        """Restart the finished episodes; return obs (N, obs_size) of all environments."""
        return self._to_learner(self.env.reset_done())

    def step(self, actions: Tensor) -> Tuple[Tensor, Tensor, Tensor, Dict[str, Tensor]]:
        """Apply actions (N, num_actions); return obs, rewards, dones and infos from before any reset."""
        obs, rewards, dones, infos = self.env.step(actions.to(self.env.device))
        moved = {name: self._to_learner(value) for name, value in infos.items()}
        return self._to_learner(obs), self._to_learner(rewards), self._to_learner(dones), moved

    def fetch_amp_obs_demo(self, n: int) -> Tensor:
        """Draw n demonstrations (n, amp_obs_size), a fresh tensor."""
        return self._to_learner(self.env.fetch_amp_obs_demo(n))

    def fetch_amp_obs_at(self, clip_ids: Tensor, times_s: Tensor) -> Tensor:
        """Return the AMP observations (n, amp_obs_size) of the clips `clip_ids` (n,) at `times_s` (n,) s."""
        clip_ids, times_s = clip_ids.to(self.env.device), times_s.to(self.env.device)
        return self._to_learner(self.env.fetch_amp_obs_at(clip_ids, times_s))

    def fetch_action_demo(self, n: int) -> Tuple[Tensor, Tensor]:
        """Draw observations of the clips (n, obs_size) and actions (n, num_actions) that follow them."""
        obs, action = self.env.fetch_action_demo(n)
        return self._to_learner(obs), self._to_learner(action)

    def set_train_info(self, env_frames: int, *args: Any, **kwargs: Any) -> None:
        """Called by rl_games' agent when an iteration begins."""
        if self._after_iteration is not None and args:
            self._after_iteration(args[0].epoch_num - 1)

    def get_number_of_agents(self) -> int:
        return 1

    def get_env_state(self) -> None:
        """Return nothing: a policy's file must not depend on how many environments it was trained in."""
        return None

    def set_env_state(self, env_state: Any) -> None:
        """Ignore a state; the training state uses `set_full_state`."""

    def get_full_state(self) -> Dict[str, Any]:
        """Return everything that a bit-identical continuation needs, for the training state."""
        return self.env.get_state()

    def set_full_state(self, state: Dict[str, Any]) -> None:
        """Continue from `get_full_state`, in the middle of the episodes."""
        self.env.set_state(state)

    def close(self) -> None:
        """Release the simulator."""
        self.env.close()

    def _to_learner(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._rl_device)


def _unbounded(size: int) -> Box:
    return Box(-np.inf, np.inf, (size,), dtype=np.float32)
