"""Seeing on a CPU what would make the host wait for a GPU: operations whose result's shape, or a Python number, depends
on what tensors hold."""

from typing import Any, Dict, Sequence, Tuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode

WAITING = ("nonzero", "_local_scalar_dense", "masked_select", "is_nonzero", "equal", "_unique", "_unique2")


class NoWaiting(TorchDispatchMode):
    """Within it, such an operation is an AssertionError."""

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Tuple[Any, ...] = (), kwargs: "Dict[str, Any] | None" = None
    ) -> Any:
        name = func.overloadpacket.__name__
        by_mask = name in ("index", "index_put", "index_put_", "_index_put_impl_") and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if name in WAITING or by_mask:
            raise AssertionError(f"{func} would wait for the GPU")
        return func(*args, **(kwargs or {}))
