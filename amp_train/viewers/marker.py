"""Drawable markers: a task's goals, and the objects of its scene."""

from dataclasses import dataclass
from typing import Any, Callable, List, Optional, Tuple

import numpy as np
from torch import Tensor

Rgba = Tuple[float, float, float, float]
SOLIDS = ("sphere", "capsule", "box")
_TERRAIN_RGBA = (0.55, 0.57, 0.6, 1.0)


@dataclass
class MarkerPose:
    """One marker at one time, once for each of N characters.

    Attributes:
        kind: `arrow`, `ball` or `flag` of a goal, `bone` of another skeleton, or a solid: `sphere`, `capsule`, `box`.
        pos: (N, 3) m, world.
        direction: (N, 3) m, world, of an arrow or bone.
        rot: (N, 4) xyzw, of a solid.
        size: m, of a solid: radius, or radius and half length, or three half sizes.
        rgba: colour of a solid.
    """

    kind: str
    pos: np.ndarray
    direction: Optional[np.ndarray] = None
    rot: Optional[np.ndarray] = None
    size: Tuple[float, ...] = ()
    rgba: Rgba = (0.85, 0.4, 0.25, 1.0)


def marker_poses(env: Any, num: int) -> List[MarkerPose]:
    """Return the markers of the first `num` characters of an environment: objects, terrain, goals."""
    markers: Callable[[], List[Any]] = getattr(getattr(env, "task", None), "markers", list)
    goals = [
        MarkerPose(m.kind, _numpy(m.pos[:num]), None if m.direction is None else _numpy(m.direction[:num]))
        for m in markers()
    ]
    return _solids(env, num) + goals


def floor_height(env: Any) -> float:
    """Return the height of the floor, m; that of gaps in a terrain."""
    return float(getattr(_scene(env), "floor_height", 0.0))


def _scene(env: Any) -> Any:
    return getattr(getattr(env, "simulator", None), "scene", None)


def _solids(env: Any, num: int) -> List[MarkerPose]:
    scene = _scene(env)
    if not scene:
        return []
    solids = []
    if scene.objects:
        state = env.simulator.object_state()
        pos, rot = _numpy(state.pos[:num]), _numpy(state.rot[:num])
        for k, thing in enumerate(scene.objects):
            solids.append(MarkerPose(thing.shape, pos[:, k], None, rot[:, k], thing.size, thing.rgba))
    upright = np.tile(np.array((0.0, 0.0, 0.0, 1.0), dtype=np.float32), (num, 1))
    for box in scene.terrain:
        pos = np.tile(np.array(box.pos, dtype=np.float32), (num, 1))
        solids.append(MarkerPose("box", pos, None, upright, box.half_size, _TERRAIN_RGBA))
    return solids


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().float().numpy().copy()
