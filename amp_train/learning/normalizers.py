"""Running mean and variance of observations, updated only on request."""

from typing import Any

import torch
from torch import Tensor, nn

from amp_train.distributed.ranks import ALONE, Ranks


class AmpObsNormalizer(nn.Module):
    """Normalise AMP observations by statistics that only `update` changes.

    All streams (agent, replay, demonstration) must be normalised alike: statistics that changed between them would tell
    the discriminator which is which. Buffers have the names, shapes and dtypes of rl_games' RunningMeanStd, so that the
    checkpoint entry `amp_input_mean_std` of IsaacGymEnvs loads.
    """

    running_mean: Tensor
    running_var: Tensor
    count: Tensor
    epsilon = 1e-5
    max_abs = 5.0

    def __init__(self, amp_obs_dim: int) -> None:
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(amp_obs_dim, dtype=torch.float64))
        self.register_buffer("running_var", torch.ones(amp_obs_dim, dtype=torch.float64))
        self.register_buffer("count", torch.ones((), dtype=torch.float64))

    def update(self, amp_obs: Tensor, ranks: Ranks = ALONE) -> None:
        """Take rows (B, amp_obs_dim) of every rank into the statistics."""
        update_running_stats(self, amp_obs, ranks=ranks)

    def forward(self, amp_obs: Tensor) -> Tensor:
        """Return (amp_obs - mean) / sqrt(var + epsilon), clamped to +-5, as a new tensor without a gradient."""
        with torch.no_grad():
            inverse_std = (self.running_var.float() + self.epsilon).rsqrt()
            return (amp_obs - self.running_mean.float()).mul_(inverse_std).clamp_(-self.max_abs, self.max_abs)


@torch.no_grad()
def update_running_stats(statistics: Any, rows: Tensor, times: int = 1, ranks: Ranks = ALONE) -> None:
    """Merge rows (B, dim), counted `times` times, into `statistics` in place (parallel variance, Chan et al. 1983).

    With several ranks, all of them take in the rows of all, so that statistics that were equal stay equal.

    Args:
        statistics: anything with `running_mean`, `running_var` and `count`; rl_games' RunningMeanStd too, which by
            itself cannot move without also normalising.
    """
    row_mean = rows.mean(dim=0)
    row_var = (rows - row_mean).square_().mean(dim=0)  # several times faster than torch.var on CPU
    row_count, batch_mean, batch_var = ranks.joined_moments(len(rows), row_mean, row_var)
    batch_count = times * row_count
    total = statistics.count + batch_count
    delta = batch_mean - statistics.running_mean
    squares = statistics.running_var * statistics.count + batch_var * batch_count
    squares = squares + delta.square() * statistics.count * batch_count / total
    statistics.running_mean.add_(delta * batch_count / total)
    statistics.running_var.copy_(squares / total)
    statistics.count.copy_(total)
