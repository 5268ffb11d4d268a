"""`CharacterState`: the one convention for a batch of character poses and velocities in every layer."""

from dataclasses import dataclass, fields
from typing import Callable, Dict, Optional, Union

from torch import Tensor


@dataclass
class CharacterState:
    """The state of N characters; SI units, z up, quaternions xyzw and body to world.

    Attributes:
        root_pos: (N, 3) m, world.
        root_rot: (N, 4) unit quaternion.
        root_vel: (N, 3) m/s, world.
        root_ang_vel: (N, 3) rad/s, world.
        dof_pos: (N, num_dofs) rad; a 3-dof joint is an exponential map.
        dof_vel: (N, num_dofs) rad/s; a 3-dof joint's angular velocity is in the child body's frame.
        joint_rot: (N, num_joints, 4) local rotation of each joint.
        body_pos: (N, num_bodies, 3) m, world.
        body_rot: (N, num_bodies, 4) body to world, where needed.
        contact_force: (N, num_bodies, 3) N, world, net per body; only a simulator knows it.
    """

    root_pos: Tensor
    root_rot: Tensor
    root_vel: Tensor
    root_ang_vel: Tensor
    dof_pos: Tensor
    dof_vel: Tensor
    joint_rot: Tensor
    body_pos: Tensor
    body_rot: Optional[Tensor] = None
    contact_force: Optional[Tensor] = None

    def __len__(self) -> int:
        return self.root_pos.shape[0]

    def __getitem__(self, index: Union[int, slice, Tensor]) -> "CharacterState":
        """Select rows; every field is indexed alike."""
        return self._map(lambda tensor: tensor[index])

    def clone(self) -> "CharacterState":
        """Copy every tensor."""
        return self._map(lambda tensor: tensor.clone())

    def tensors(self) -> Dict[str, Tensor]:
        """Return the fields that are set, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}

    def _map(self, function: Callable[[Tensor], Tensor]) -> "CharacterState":
        return CharacterState(**{name: function(tensor) for name, tensor in self.tensors().items()})
