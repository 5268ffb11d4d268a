"""A point mass on a plane as a vec env: real dynamics, cheap, and a style that can be learned in seconds.

The "clip" moves at a steady (1, 0) m/s. An AMP observation is the velocity now and one step before.
"""

from typing import Any, Dict, Tuple

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

DT_S = 0.1
DEMO_VELOCITY = (1.0, 0.0)
STATE = ("pos", "vel", "last_vel", "steps", "done")


class PointMassVecEnv:
    """Deferred resets: `step` returns the state reached, `reset_done` resets what ended.

    The observation is a live buffer that the next call overwrites, as in IsaacGymEnvs.
    """

    def __init__(self, num_envs: int, episode_length: int = 20, max_speed: float = 4.0, seed: int = 0) -> None:
        self.num_envs = num_envs
        self.episode_length = episode_length
        self.max_speed = max_speed  # m/s; faster terminates
        self._generator = torch.Generator().manual_seed(seed)
        self.pos = torch.zeros(num_envs, 2)
        self.vel = torch.zeros(num_envs, 2)
        self.last_vel = torch.zeros(num_envs, 2)
        self.steps = torch.zeros(num_envs, dtype=torch.long)
        self.done = torch.ones(num_envs, dtype=torch.bool)
        self._obs = torch.zeros(num_envs, 4)
        self.train_info_frames = []

    def get_env_info(self) -> Dict[str, Any]:
        def box(size: int) -> gym.spaces.Box:
            return gym.spaces.Box(-np.inf, np.inf, (size,), dtype=np.float32)

        return {
            "action_space": gym.spaces.Box(-1.0, 1.0, (2,), dtype=np.float32),
            "observation_space": box(4),
            "amp_observation_space": box(4),
        }

    def fetch_amp_obs_demo(self, n: int) -> Tensor:
        vel = torch.tensor(DEMO_VELOCITY) + 0.05 * torch.randn(n, 2, generator=self._generator)
        return torch.cat((vel, vel), dim=-1)

    def fetch_action_demo(self, n: int) -> Tuple[Tensor, Tensor]:
        """Any velocity near the clip's, and the action that leads back to it."""
        vel = torch.tensor(DEMO_VELOCITY) + 0.3 * torch.randn(n, 2, generator=self._generator)
        obs = torch.cat((torch.randn(n, 2, generator=self._generator), vel), dim=-1)
        return obs, ((torch.tensor(DEMO_VELOCITY) - vel) / (5.0 * DT_S)).clamp(-1.0, 1.0)

    def reset(self) -> Tensor:
        self.done[:] = True
        return self.reset_done()

    def reset_done(self) -> Tensor:
        n = int(self.done.sum())
        self.pos[self.done] = 0.0
        self.vel[self.done] = torch.randn(n, 2, generator=self._generator)
        self.last_vel[self.done] = self.vel[self.done]
        self.steps[self.done] = 0
        self.done[:] = False
        return self._observe()

    def step(self, actions: Tensor) -> Tuple[Tensor, Tensor, Tensor, Dict[str, Any]]:
        self.last_vel = self.vel
        self.vel = self.vel + 5.0 * DT_S * actions
        self.pos = self.pos + DT_S * self.vel
        self.steps += 1
        terminate = self.vel.norm(dim=-1) > self.max_speed
        time_outs = (self.steps >= self.episode_length) & ~terminate
        self.done = terminate | time_outs
        amp_obs = torch.cat((self.vel, self.last_vel), dim=-1)
        infos = {"amp_obs": amp_obs, "terminate": terminate, "time_outs": time_outs}
        return self._observe(), torch.ones(self.num_envs), self.done.clone(), infos

    def _observe(self) -> Tensor:
        self._obs[:, :2] = self.pos
        self._obs[:, 2:] = self.vel
        return self._obs

    def set_train_info(self, env_frames: int, *_: Any) -> None:
        self.train_info_frames.append(env_frames)

    def get_env_state(self) -> Any:
        return None

    def set_env_state(self, env_state: Any) -> None:
        pass

    def get_full_state(self) -> Dict[str, Any]:
        tensors = {name: getattr(self, name).clone() for name in STATE}
        return {"generator": self._generator.get_state(), **tensors}

    def set_full_state(self, state: Dict[str, Any]) -> None:
        self._generator.set_state(state["generator"])
        for name in STATE:
            setattr(self, name, state[name].clone())

    def get_number_of_agents(self) -> int:
        return 1


class RandomVecEnv(PointMassVecEnv):
    """Random observations of the given sizes, for tests in which only shapes matter."""

    def __init__(self, num_envs: int, obs_dim: int, action_dim: int, amp_obs_dim: int) -> None:
        super().__init__(num_envs)
        self.sizes = {"observation_space": obs_dim, "action_space": action_dim, "amp_observation_space": amp_obs_dim}

    def get_env_info(self) -> Dict[str, Any]:
        return {name: gym.spaces.Box(-1.0, 1.0, (size,), dtype=np.float32) for name, size in self.sizes.items()}

    def fetch_amp_obs_demo(self, n: int) -> Tensor:
        return torch.randn(n, self.sizes["amp_observation_space"])

    def reset_done(self) -> Tensor:
        return torch.randn(self.num_envs, self.sizes["observation_space"])

    def step(self, actions: Tensor) -> Tuple[Tensor, Tensor, Tensor, Dict[str, Any]]:
        terminate = torch.rand(self.num_envs) < 0.1
        infos = {"amp_obs": self.fetch_amp_obs_demo(self.num_envs), "terminate": terminate}
        return self.reset_done(), torch.ones(self.num_envs), terminate, infos
