"""Rows kept on the training device: a ring buffer for replay and demonstrations, and a rollout cut into minibatches."""

from typing import Any, Dict, Optional, Tuple, Union

import torch
from torch import Tensor

from amp_train.errors import ConfigError


class ReplayBuffer:
    """Keep the newest `capacity` rows and draw uniformly among them, with replacement.

    Everything happens on `device`; neither storing nor sampling waits for it.
    """

    def __init__(self, capacity: int, row_shape: Tuple[int, ...], device: Union[str, torch.device]) -> None:
        if capacity <= 0:
            raise ConfigError(f"A replay buffer needs room for at least one row, not {capacity}.")
        self._rows = torch.zeros((capacity,) + tuple(row_shape), device=device)
        self._next = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def capacity(self) -> int:
        """The largest number of rows held."""
        return len(self._rows)

    @property
    def is_full(self) -> bool:
        """Whether the next row stored replaces the oldest."""
        return self._size == self.capacity

    def store(self, rows: Tensor) -> None:
        """Append rows (n, ...), replacing the oldest; of more rows than fit, the last ones stay."""
        rows = rows[-self.capacity :]
        until_end = min(len(rows), self.capacity - self._next)
        self._rows[self._next : self._next + until_end] = rows[:until_end]
        self._rows[: len(rows) - until_end] = rows[until_end:]
        self._next = (self._next + len(rows)) % self.capacity
        self._size = min(self.capacity, self._size + len(rows))

    def sample(self, n: int) -> Tensor:
        """Return a copy (n, ...) of uniformly drawn rows."""
        if self._size == 0:
            raise RuntimeError("Cannot sample from an empty replay buffer: store rows first.")
        return self._rows.index_select(0, torch.randint(self._size, (n,), device=self._rows.device))

    def state_dict(self) -> Dict[str, Any]:
        """Return the rows held and the write position, as plain containers.

        A full buffer gives its own tensor, which later rows change: a copy would take as long as writing it to a disk.
        """
        rows = self._rows if self.is_full else self._rows[: self._size].clone()
        return {"rows": rows, "next": self._next}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue from `state_dict()` of a buffer of the same row shape and capacity at least its size."""
        rows = state["rows"]
        if rows.shape[1:] != self._rows.shape[1:] or len(rows) > self.capacity:
            raise ConfigError(f"Rows {tuple(rows.shape)} do not fit a replay buffer of {tuple(self._rows.shape)}.")
        self._rows[: len(rows)] = rows
        self._size = len(rows)
        self._next = int(state["next"]) % self.capacity


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
        """Gather minibatch `index`; `disc_obs` has only its first amp_minibatch_size rows."""
        if index == 0 or self._order is None:
            self._order = torch.randperm(self._batch_size, device=self._device)
        rows = self._order[index * self._minibatch_size : (index + 1) * self._minibatch_size]
        amp_rows = rows[: self._amp_minibatch_size]
        return {
            name: values.index_select(0, amp_rows if name == "disc_obs" else rows)
            for name, values in self.values_dict.items()
        }

    def update_values_dict(self, values: Optional[Dict[str, Any]]) -> None:
        """Take the rollout's tensors (batch_size, ...), or release them (None)."""
        self.values_dict = {} if values is None else {k: v for k, v in values.items() if isinstance(v, Tensor)}

    def update_mu_sigma(self, mu: Tensor, sigma: Tensor) -> None:
        """Do nothing: KL is measured against the policy that made the rollout, as in IsaacGymEnvs."""
