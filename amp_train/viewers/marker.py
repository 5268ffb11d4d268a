"""A task's goals as something to draw."""

from dataclasses import dataclass
from typing import Any, Callable, List, Optional

import numpy as np
from torch import Tensor


@dataclass
class MarkerPose:
    """A marker at one time: kind `arrow`, `ball` or `flag`; pos and direction (N, 3) m, world."""

    kind: str
    pos: np.ndarray
    direction: Optional[np.ndarray] = None


def marker_poses(env: Any, num: int) -> List[MarkerPose]:
    """Read the markers of an environment's task, if it has one, for its first `num` characters."""
    markers: Callable[[], List[Any]] = getattr(getattr(env, "task", None), "markers", list)
    return [
        MarkerPose(m.kind, _numpy(m.pos[:num]), None if m.direction is None else _numpy(m.direction[:num]))
        for m in markers()
    ]


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().float().numpy().copy()
