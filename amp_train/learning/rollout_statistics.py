"""Normalising a rollout: by running statistics, which move here and nowhere else, and by its own mean and deviation.

With several ranks every statistic is of the rollouts of all of them.
"""

from typing import Any, Tuple

import torch
from torch import Tensor

from amp_train.distributed.ranks import ALONE, Ranks
from amp_train.learning.normalizer import take_in


def normalized_obs(model: Any, obs: Tensor, times: int, ranks: Ranks = ALONE) -> Tensor:
    """Normalise observations (B, obs_dim) as the acting policy saw them, then take them into its running statistics.

    In this order the old policy is exactly the one that acted: the first probability ratio is 1, and KL does not count
    the statistics' own drift, which in a first epoch would send an adaptive learning rate to its floor.

    Args:
        times: how often the rollout counts; rl_games takes it in once a mini epoch.
    """
    statistics = model.running_mean_std.eval()
    normalized = model.norm_obs(obs)
    take_in(statistics, obs, times, ranks)
    return normalized


def normalized_values(
    statistics: Any, values: Tensor, returns: Tensor, is_frozen: bool = False, ranks: Ranks = ALONE
) -> Tuple[Tensor, Tensor]:
    """Normalise values, then returns (B, 1), taking each into the critic's statistics before, as rl_games does."""
    statistics.eval()
    normalized = []
    for rows in (values, returns):
        if not is_frozen:
            take_in(statistics, rows, ranks=ranks)
        normalized.append(statistics(rows))
    return normalized[0], normalized[1]


def standardized(rows: Tensor, ranks: Ranks = ALONE) -> Tensor:
    """Return rows (B,) less their mean, divided by their (unbiased) standard deviation."""
    var, mean = torch.var_mean(rows, unbiased=False)
    count, mean, var = ranks.joined_moments(len(rows), mean, var)
    std = (var * (count / max(count - 1, 1))).sqrt()
    return (rows - mean.to(rows.dtype)) / (std.to(rows.dtype) + 1e-8)
