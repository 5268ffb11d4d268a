"""Running mean and variance of AMP observations, updated only where told to."""

import torch
from torch import Tensor, nn


class AmpObsNormalizer(nn.Module):
    """Normalise AMP observations by statistics that only `update` changes.

    All streams (agent, replay, demonstration) must be normalised alike: statistics that moved between them would tell
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

    @torch.no_grad()
    def update(self, amp_obs: Tensor) -> None:
        """Merge the rows (B, amp_obs_dim) into the statistics (parallel variance, Chan et al. 1983)."""
        batch_count = len(amp_obs)
        batch_mean = amp_obs.mean(dim=0)
        batch_var = (amp_obs - batch_mean).square_().mean(dim=0)  # several times faster than torch.var on CPU
        total = self.count + batch_count
        delta = batch_mean - self.running_mean
        squares = self.running_var * self.count + batch_var * batch_count
        squares = squares + delta.square() * self.count * batch_count / total
        self.running_mean.add_(delta * batch_count / total)
        self.running_var.copy_(squares / total)
        self.count.copy_(total)

    def forward(self, amp_obs: Tensor) -> Tensor:
        """Return (amp_obs - mean) / sqrt(var + epsilon), clamped to +-5, as a new tensor without a gradient."""
        with torch.no_grad():
            inverse_std = (self.running_var.float() + self.epsilon).rsqrt()
            return (amp_obs - self.running_mean.float()).mul_(inverse_std).clamp_(-self.max_abs, self.max_abs)
