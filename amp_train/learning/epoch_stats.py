"""Statistics of an epoch, gathered on the device and read back once."""

from typing import Dict, List, Tuple

import torch
from torch import Tensor

# epoch_stats key -> tensorboard tag of IsaacGymEnvs; rl_games itself writes the PPO losses, KL and learning rate.
TENSORBOARD_TAGS = {
    "disc_loss": "losses/disc_loss",
    "disc_agent_acc": "info/disc_agent_acc",
    "disc_demo_acc": "info/disc_demo_acc",
    "disc_agent_logit": "info/disc_agent_logit",
    "disc_demo_logit": "info/disc_demo_logit",
    "disc_grad_penalty": "info/disc_grad_penalty",
    "disc_logit_loss": "info/disc_logit_loss",
    "style_reward_mean": "info/disc_reward_mean",
    "style_reward_std": "info/disc_reward_std",
    "clip_frac": "info/clip_frac",
}


class MinibatchStats:
    """Average named scalars over minibatches without waiting for the device."""

    def __init__(self) -> None:
        self.names: Tuple[str, ...] = ()
        self._rows: List[Tensor] = []

    @property
    def rows(self) -> Tensor:
        """The scalars since the last `pop_means`, a row a minibatch and a column a name."""
        return torch.stack(self._rows)

    def add(self, **scalars: Tensor) -> Tensor:
        """Note one minibatch: 0-d tensors, always of the same names.

        Returns:
            The row that is kept, in the order given, for averaging over ranks in place.
        """
        self.names = tuple(scalars)
        self._rows.append(torch.stack([scalar.detach() for scalar in scalars.values()]))
        return self._rows[-1]

    def pop_means(self, **epoch_scalars: Tensor) -> Dict[str, float]:
        """Return the means since the last call beside 0-d tensors of the whole epoch, and start anew."""
        scalars = torch.cat((self.rows.mean(dim=0), torch.stack(list(epoch_scalars.values()))))
        self._rows = []
        return dict(zip(self.names + tuple(epoch_scalars), scalars.tolist()))
