"""Behaviour cloning of the clips before the first rollout: a policy that starts near the motion.

A fresh policy drives every joint to the middle of its range and falls within a third of a second; PPO first learns to
stay up, by whatever motion. A cloned policy starts with the clip's motion and learns to balance it.
"""

from typing import Any, Callable, Tuple

import torch
from torch import Tensor

from amp_train.learning.normalizers import update_running_stats

ROWS, MINIBATCH = 65536, 1024
LEARNING_RATE = 1e-3
OBS_NOISE = 0.2  # standard deviations; near the clip, the way back to it is cloned too


def warm_start(model: Any, fetch_action_demo: Callable[[int], Tuple[Tensor, Tensor]], steps: int) -> float:
    """Fit the policy's mean to demonstrated actions by least squares.

    Args:
        model: the built rl_games model; its observation statistics begin with the clips'.
        fetch_action_demo: gives n observations (n, obs_dim) and actions (n, num_actions).
        steps: of Adam, on minibatches of observations with noise, at a rate that falls to 0.

    Returns:
        The mean square error of an action at the end.
    """
    obs, action = fetch_action_demo(ROWS)
    if model.normalize_input:
        update_running_stats(model.running_mean_std.eval(), obs)
    obs, network = model.norm_obs(obs), model.a2c_network
    optimizer = torch.optim.Adam([*network.actor_mlp.parameters(), *network.mu.parameters()], fused=True)
    loss = obs.new_zeros(())
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1.0 - step / steps)
        rows = torch.randint(ROWS, (MINIBATCH,), device=obs.device)
        noisy = obs[rows] + OBS_NOISE * torch.randn_like(obs[:MINIBATCH])
        loss = (network.mu_act(network.mu(network.actor_mlp(noisy))) - action[rows]).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return float(loss.detach())
