"""Objects and terrain in the worlds, in addition to the character and the floor."""

from dataclasses import dataclass, fields
from typing import Dict, Optional, Tuple

import torch
from torch import Tensor

from amp_train.errors import ConfigError

SHAPES = {"sphere": 1, "capsule": 2, "box": 3}  # number of sizes of each
KINDS = ("free", "mocap")


@dataclass(frozen=True)
class SceneObject:
    """A body of one shape. Its friction applies to all its contacts, instead of the other body's.

    Attributes:
        name: of the object, different from the character's bodies.
        shape: `sphere` (radius), `capsule` (radius, half length along z) or `box` (three half sizes).
        size: m, as its shape requires.
        kind: `free` moves by itself; `mocap` stays where `Simulator.set_object_state` places it.
        mass: kg, of a free object.
        pos, rot: (3,) m, world; (4,) xyzw: initial pose.
        friction: sliding coefficient.
        rolling_friction: m; rolling takes the torque rolling_friction * normal force, so that a sphere of radius r
            slows down by about 5/7 * g * rolling_friction / r (MuJoCo's soft friction: a tenth less).
        damping: 1/s; a free object slows down by damping * velocity, as in air, linear and angular alike.
        collides: whether it has contacts; a goal marker has none.
        rgba: colour.
    """

    name: str
    shape: str
    size: Tuple[float, ...]
    kind: str = "free"
    mass: float = 1.0
    pos: Tuple[float, float, float] = (0.0, 0.0, 0.0)
    rot: Tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0)
    friction: float = 1.0
    rolling_friction: float = 0.0
    damping: float = 0.0
    collides: bool = True
    rgba: Tuple[float, float, float, float] = (0.85, 0.4, 0.25, 1.0)

    def __post_init__(self) -> None:
        if SHAPES.get(self.shape) != len(self.size) or self.kind not in KINDS or not min(self.size) > 0.0:
            raise ConfigError(
                f"Object '{self.name}' must be a sphere (radius), capsule (radius, half length) or box (three half "
                f"sizes), of kind {' or '.join(KINDS)}; it is a {self.kind} {self.shape} of sizes {self.size}."
            )


@dataclass(frozen=True)
class TerrainBox:
    """A fixed box: a step, a hurdle, ground between two gaps.

    Attributes:
        pos: (3,) m, world, its centre.
        half_size: (3,) m.
    """

    pos: Tuple[float, float, float]
    half_size: Tuple[float, float, float]


@dataclass(frozen=True)
class Scene:
    """A scene, equal in all worlds.

    Attributes:
        objects: bodies in addition to the character.
        terrain: boxes of ground.
        floor_height: m, of the plane; below the terrain, it is the depth of the gaps.
    """

    objects: Tuple[SceneObject, ...] = ()
    terrain: Tuple[TerrainBox, ...] = ()
    floor_height: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.objects or self.terrain or self.floor_height)

    def height(self, points: Tensor) -> Tensor:
        """Return the height (...,) m of the ground below points (..., 2 or 3) m, world."""
        if not self.terrain:
            return torch.full(points.shape[:-1], self.floor_height, device=points.device)
        centre = torch.tensor([box.pos for box in self.terrain], device=points.device)
        half_size = torch.tensor([box.half_size for box in self.terrain], device=points.device)
        above = ((points[..., None, :2] - centre[:, :2]).abs() <= half_size[:, :2]).all(-1)
        tops = torch.where(above, centre[:, 2] + half_size[:, 2], torch.full_like(centre[:, 2], self.floor_height))
        return tops.amax(-1)


@dataclass
class ObjectState:
    """The state of the K objects of N worlds; SI units, z up, quaternions xyzw and body to world.

    Attributes:
        pos: (N, K, 3) m, world.
        rot: (N, K, 4) unit quaternion.
        vel: (N, K, 3) m/s, world; 0 for a mocap object.
        ang_vel: (N, K, 3) rad/s, world; 0 for a mocap object.
        contact_force: (N, K, 3) N, world, total contact force on the object; set by simulators only.
    """

    pos: Tensor
    rot: Tensor
    vel: Tensor
    ang_vel: Tensor
    contact_force: Optional[Tensor] = None

    @classmethod
    def default(cls, scene: Scene, num_envs: int, device: "torch.device | str" = "cpu") -> "ObjectState":
        """Return the objects of N worlds at rest in their initial pose."""
        pos = torch.tensor([o.pos for o in scene.objects], device=device).reshape(-1, 3).repeat(num_envs, 1, 1)
        rot = torch.tensor([o.rot for o in scene.objects], device=device).reshape(-1, 4).repeat(num_envs, 1, 1)
        return cls(pos, rot, torch.zeros_like(pos), torch.zeros_like(pos))

    def __getitem__(self, index: Tensor) -> "ObjectState":
        """Select worlds; every field is indexed alike."""
        return ObjectState(**{name: tensor[index] for name, tensor in self.tensors().items()})

    def clone(self) -> "ObjectState":
        """Copy every tensor."""
        return ObjectState(**{name: tensor.clone() for name, tensor in self.tensors().items()})

    def tensors(self) -> Dict[str, Tensor]:
        """Return the fields that are set, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
