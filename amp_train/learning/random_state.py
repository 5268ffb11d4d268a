"""The state of every global random number generator, as plain values and tensors."""

import random
from typing import Any, Dict, List, Tuple

import numpy as np
import torch

MT19937_WORDS = 624


def random_state() -> Dict[str, Any]:
    """Return the state of Python's, numpy's, torch's and CUDA's generators."""
    version, words, gauss_next = random.getstate()
    name, keys, position, has_gauss, cached_gaussian = _numpy_state()
    return {
        "python": {"version": version, "words": list(words), "gauss_next": gauss_next},
        "numpy": {
            "name": name,
            "keys": keys,
            "position": position,
            "has_gauss": has_gauss,
            "cached_gaussian": cached_gaussian,
        },
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: Dict[str, Any]) -> None:
    """Continue every generator from `random_state()`; CUDA's only where there are as many devices."""
    python, numpy = state["python"], state["numpy"]
    random.setstate((python["version"], tuple(python["words"]), python["gauss_next"]))
    keys = np.array(numpy["keys"], dtype=np.uint32)
    if keys.shape != (MT19937_WORDS,) or not 0 <= numpy["position"] <= MT19937_WORDS:
        raise ValueError("numpy's generator cannot have that state")  # it would read beyond its words
    np.random.set_state((numpy["name"], keys, numpy["position"], numpy["has_gauss"], numpy["cached_gaussian"]))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


def _numpy_state() -> Tuple[str, List[int], int, int, float]:
    name, keys, position, has_gauss, cached_gaussian = np.random.get_state()
    return str(name), [int(key) for key in keys], int(position), int(has_gauss), float(cached_gaussian)
