"""A rollout cut into shuffled minibatches, in the form rl_games' training loop reads."""

from typing import Any, Dict, Optional, Union

import torch
from torch import Tensor


class ShuffledMinibatches:
    """Stand in for rl_games' PPODataset, which never shuffles.

    Asking for minibatch 0 begins a mini epoch and draws a new order on the device.
    """

    def __init__(
        self, batch_size: int, minibatch_size: int, amp_minibatch_size: int, device: Union[str, torch.device]
    ) -> None:
        self._batch_size = batch_size
        self._minibatch_size = minibatch_size
        self._amp_minibatch_size = amp_minibatch_size
        self._device = device
        self._order: Optional[Tensor] = None
        self.values_dict: Dict[str, Tensor] = {}

    def __len__(self) -> int:
        return self._batch_size // self._minibatch_size

    def __getitem__(self, index: int) -> Dict[str, Tensor]:
        """Gather minibatch `index`; `amp_obs` has only its first amp_minibatch_size rows."""
        if index == 0 or self._order is None:
            self._order = torch.randperm(self._batch_size, device=self._device)
        rows = self._order[index * self._minibatch_size : (index + 1) * self._minibatch_size]
        amp_rows = rows[: self._amp_minibatch_size]
        return {
            name: values.index_select(0, amp_rows if name == "amp_obs" else rows)
            for name, values in self.values_dict.items()
        }

    def update_values_dict(self, values: Optional[Dict[str, Any]]) -> None:
        """Take the rollout's tensors (batch_size, ...), or release them (None)."""
        self.values_dict = {} if values is None else {k: v for k, v in values.items() if isinstance(v, Tensor)}

    def update_mu_sigma(self, mu: Tensor, sigma: Tensor) -> None:
        """Do nothing: KL is measured against the policy that made the rollout, as in IsaacGymEnvs."""
