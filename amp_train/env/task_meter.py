"""Means of a task's measures, accumulated on the device."""

from typing import Dict, Optional

import torch
from torch import Tensor


class TaskMeter:
    """Sums over all environments and steps since the last reading; NaN is ignored."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._sums: Dict[str, Tensor] = {}  # (2,) sum and count by name

    def add(self, values: Dict[str, Tensor], diverged: Tensor) -> None:
        """Add a control step's values (N,) by name, except for the worlds that diverged (N,) bool."""
        if not values:
            return
        rows = torch.stack(list(values.values())).double()
        counts = ~(rows.isnan() | diverged)
        step = torch.stack((torch.where(counts, rows, torch.zeros_like(rows)).sum(-1), counts.sum(-1)), dim=-1)
        for name, pair in zip(values, step):
            self._sums[name] = self._sums[name] + pair if name in self._sums else pair

    def pop(self) -> Dict[str, Optional[float]]:
        """Return the means and reset; None where a name had no value."""
        sums = {name: pair.tolist() for name, pair in self._sums.items()}
        self._sums = {name: torch.zeros_like(pair) for name, pair in self._sums.items()}
        return {name: total / count if count else None for name, (total, count) in sums.items()}

    def get_state(self) -> Dict[str, Tensor]:
        """Return the sums, on the CPU."""
        return {name: pair.cpu().clone() for name, pair in self._sums.items()}

    def set_state(self, saved: Dict[str, Tensor]) -> None:
        """Continue from `get_state`."""
        self._sums = {name: pair.to(self._device) for name, pair in saved.items()}
