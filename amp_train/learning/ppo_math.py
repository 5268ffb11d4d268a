"""PPO's arithmetic as pure functions: advantages, losses, and the normalising of a rollout.

With several ranks every statistic is of the rollouts of all of them.
"""

from typing import Any, Tuple

import torch
from torch import Tensor

from amp_train.distributed.ranks import ALONE, Ranks
from amp_train.learning.normalizers import update_running_stats

TRUST_REGION = 3.0  # a walk's iterations stay below 2.5 of what the learning rate aims at


def next_values_of(values: Tensor, last_values: Tensor, done: Tensor, timeout_values: Tensor) -> Tensor:
    """Return V of the state each step led to, before any reset, (T, N, 1).

    Within an episode that is the next step's value; a termination is worth 0; a time limit is worth V of the state the
    episode was cut off in.

    Args:
        values: V of the states acted in, (T, N, 1).
        last_values: V of the states after the last step, (N, 1).
        done: whether the episode ended with the step, (T, N, 1), 0 or 1.
        timeout_values: V of the state before the reset where a time limit ended the episode, 0 elsewhere, (T, N, 1).
    """
    following = torch.cat((values[1:], last_values.unsqueeze(0)))
    return torch.where(done.bool(), timeout_values, following)


def gae(rewards: Tensor, values: Tensor, next_values: Tensor, done: Tensor, gamma: float, tau: float) -> Tensor:
    """Return advantages (T, N, 1) (Schulman et al. 2016, Eq. 16; tau is lambda).

    delta_t = r_t + gamma V'_t - V_t and A_t = delta_t + gamma tau (1 - done_t) A_{t+1}, with V' from `next_values_of`.
    """
    advantages = torch.zeros_like(rewards)
    deltas = rewards + gamma * next_values - values
    carry = gamma * tau * (1.0 - done)
    following = torch.zeros_like(rewards[0])
    for t in reversed(range(len(rewards))):
        following = torch.addcmul(deltas[t], carry[t], following, out=advantages[t])
    return advantages


def gaussian_kl(mu: Tensor, sigma: Tensor, other_mu: Tensor, other_sigma: Tensor) -> Tensor:
    """Return the mean KL divergence (nats, scalar) of diagonal Gaussians (B, A) from others.

    rl_games' `policy_kl` adds 1e-5 to the variances and with it reads 0.0016 too little an action at sigma 0.055: 0.046
    for 28 actions, as much as an adaptive learning rate aims at.
    """
    ratio = sigma / other_sigma
    kl = 0.5 * (ratio.square() + ((mu - other_mu) / other_sigma).square() - 1.0) - ratio.log()
    return kl.sum(dim=-1).mean()


def trust_region_loss(kl: Tensor, aim: float) -> Tensor:
    """Return the excess (nats) of an update's mean KL divergence over `TRUST_REGION` times the aim of an adaptive rate.

    An adaptive rate reacts after a mini epoch, and the clipped surrogate does not limit actions that have become too
    likely: one update of a crawl reached 14 (docs/results.md). Below the limit it is 0 and so is its gradient.
    """
    return (kl - TRUST_REGION * aim).clamp(min=0.0)


def bound_loss(mu: Tensor, soft_bound: float = 1.0) -> Tensor:
    """Return the mean over rows of the squared excess of the policy mean (B, num_actions) beyond +-soft_bound."""
    return (mu.abs() - soft_bound).clamp(min=0.0).square().sum(dim=-1).mean()


def normalized_obs(model: Any, obs: Tensor, times: int, ranks: Ranks = ALONE) -> Tensor:
    """Normalise observations (B, obs_dim) as the acting policy saw them, then take them into its running statistics.

    In this order the old policy is exactly the one that acted: the first probability ratio is 1, and KL does not count
    the statistics' own drift, which in a first epoch would send an adaptive learning rate to its floor.

    Args:
        times: how often the rollout counts; rl_games takes it in once a mini epoch.
    """
    statistics = model.running_mean_std.eval()
    normalized = model.norm_obs(obs)
    update_running_stats(statistics, obs, times, ranks)
    return normalized


def normalized_values(
    statistics: Any, values: Tensor, returns: Tensor, is_frozen: bool = False, ranks: Ranks = ALONE
) -> Tuple[Tensor, Tensor]:
    """Normalise values, then returns (B, 1), taking each into the critic's statistics before, as rl_games does."""
    statistics.eval()
    normalized = []
    for rows in (values, returns):
        if not is_frozen:
            update_running_stats(statistics, rows, ranks=ranks)
        normalized.append(statistics(rows))
    return normalized[0], normalized[1]


def standardized(rows: Tensor, ranks: Ranks = ALONE) -> Tensor:
    """Return rows (B,) less their mean, divided by their (unbiased) standard deviation."""
    var, mean = torch.var_mean(rows, unbiased=False)
    count, mean, var = ranks.joined_moments(len(rows), mean, var)
    std = (var * (count / max(count - 1, 1))).sqrt()
    return (rows - mean.to(rows.dtype)) / (std.to(rows.dtype) + 1e-8)
