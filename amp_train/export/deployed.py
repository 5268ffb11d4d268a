"""The exported function."""

from typing import Any, Optional

import torch
from torch import Tensor, nn

from amp_train.env import AmpEnv
from amp_train.env.actions import PdActionMap
from amp_train.env.amp_observations import amp_obs_frame
from amp_train.sim.mujoco_state import MujocoState

OBS_CLIP = 5.0  # rl_games' RunningMeanStd clamps what it has normalised to +-5


class DeployedPolicy(nn.Module):
    """Maps qpos (N, nq), qvel (N, nv) and, for a task with a goal, goal (N, goal_size) to PD targets (N, num_dofs),
    rad. float32; qpos and qvel are those of the character alone, in MuJoCo's order."""

    def __init__(self, env: AmpEnv, model: nn.Module, local_root_obs: bool) -> None:
        """Take the noise-free policy out of a trained model.

        Args:
            env: gives the character, the layout of its state and the goal's size.
            model: rl_games' model, as `Policy.model` has it.
            local_root_obs: the task's setting.
        """
        super().__init__()
        self._spec, self._local_root_obs = env.spec, local_root_obs
        self.goal_size = int(env.obs_size - env.frame_size)
        cpu = torch.device("cpu")
        self._layout, self._pd_target = MujocoState(env.spec, cpu), PdActionMap(env.spec, cpu)
        self._normalizer = _Normalizer(model.running_mean_std) if model.normalize_input else nn.Identity()
        network: Any = model.a2c_network
        self._actor = nn.Sequential(network.actor_mlp, network.mu, network.mu_act).cpu()

    def forward(self, qpos: Tensor, qvel: Tensor, goal: Optional[Tensor] = None) -> Tensor:
        """Return PD targets (N, num_dofs), rad."""
        state = self._layout.from_mujoco(qpos, qvel)
        obs = amp_obs_frame(state, self._spec, self._local_root_obs)
        if goal is not None:
            obs = torch.cat((obs, goal), dim=-1)
        return self._pd_target(self._actor(self._normalizer(obs)))


class _Normalizer(nn.Module):
    """rl_games' RunningMeanStd, frozen: that one is compiled by TorchScript and cannot be traced."""

    mean: Tensor
    std: Tensor

    def __init__(self, statistics: Any) -> None:
        super().__init__()
        self.register_buffer("mean", statistics.running_mean.detach().cpu().float().clone())
        variance = statistics.running_var.detach().cpu().float()
        self.register_buffer("std", torch.sqrt(variance + statistics.epsilon))

    def forward(self, obs: Tensor) -> Tensor:
        return torch.clamp((obs - self.mean) / self.std, -OBS_CLIP, OBS_CLIP)
