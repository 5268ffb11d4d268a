"""The last few observation frames of every environment: what the discriminator judges."""

import torch
from torch import Tensor


class AmpHistory:
    """(N, num_steps, frame_size), newest frame first."""

    def __init__(self, num_envs: int, num_steps: int, frame_size: int, device: torch.device) -> None:
        self.frames = torch.zeros(num_envs, num_steps, frame_size, device=device)

    def push(self, frame: Tensor) -> None:
        """Put (N, frame_size) in front and drop the oldest; an `amp_obs` handed out before stays as it was."""
        self.frames = torch.cat((frame.unsqueeze(1), self.frames[:, :-1]), dim=1)

    def fill(self, env_ids: Tensor, frames: Tensor) -> None:
        """Set the whole history of K environments, (K, num_steps, frame_size); an `amp_obs` handed out before stays
        as it was."""
        self.frames = self.frames.index_copy(0, env_ids, frames)

    def fill_where(self, chosen: Tensor, frames: Tensor) -> None:
        """As `fill`, for the environments `chosen` (N,) bool, from (N, num_steps, frame_size)."""
        self.frames = torch.where(chosen.view(-1, 1, 1), frames, self.frames)

    @property
    def amp_obs(self) -> Tensor:
        """(N, num_steps * frame_size)."""
        return self.frames.flatten(1)
