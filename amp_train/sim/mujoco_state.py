"""Conversion between `CharacterState` and MuJoCo's qpos and qvel: wxyz quaternions, root angular velocity in the
body's frame."""

from typing import List, Optional, Tuple

import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterSpec, CharacterState, Kinematics


class MujocoState:
    """The layout of one character's qpos (nq) and qvel (nv) in a model that holds nothing else that moves."""

    def __init__(self, spec: CharacterSpec, device: "torch.device | str" = "cpu") -> None:
        self.kinematics = Kinematics(spec, device)
        balls: List[int] = []
        hinges: List[int] = []
        address = 7
        for size in spec.joint_sizes:
            (balls if size == 3 else hinges).append(address)
            address += 4 if size == 3 else 1
        self.nq, self.nv = address, 6 + spec.num_dofs
        self._num_balls = len(balls)
        self._ball_joints, self._ball_dofs = (t.to(device) for t in spec.joint_dofs(3))
        self._hinge_joints, hinge_dofs = (t.to(device) for t in spec.joint_dofs(1))
        self._hinge_dofs = hinge_dofs.reshape(-1)
        self._hinge_axis = spec.joint_axis.to(device)[self._hinge_joints]
        self._xyzw, self._scatter = _orders(balls, hinges, device)

    def from_mujoco(self, qpos: Tensor, qvel: Tensor, contact_force: Optional[Tensor] = None) -> CharacterState:
        """Read N characters from qpos (N, nq) and qvel (N, nv), and place their bodies."""
        ordered = qpos[:, self._xyzw].float()
        root_rot = ordered[:, 3:7]
        ball_rot = ordered[:, 7 : 7 + 4 * self._num_balls].unflatten(-1, (self._num_balls, 4))
        angle = ordered[:, 7 + 4 * self._num_balls :]
        spec, velocity = self.kinematics.spec, qvel.float()
        joint_rot = ordered.new_empty(len(qpos), spec.num_joints, 4)
        joint_rot[:, self._ball_joints] = ball_rot
        joint_rot[:, self._hinge_joints] = rotations.quat_from_angle_axis(angle, self._hinge_axis)
        dof_pos = ordered.new_empty(len(qpos), spec.num_dofs)
        dof_pos[:, self._ball_dofs] = rotations.quat_to_exp_map(ball_rot)
        dof_pos[:, self._hinge_dofs] = angle
        body_pos, body_rot = self.kinematics.forward(ordered[:, :3], root_rot, joint_rot)
        return CharacterState(
            root_pos=ordered[:, :3],
            root_rot=root_rot,
            root_vel=velocity[:, :3],
            root_ang_vel=rotations.quat_rotate(root_rot, velocity[:, 3:6]),
            dof_pos=dof_pos,
            dof_vel=velocity[:, 6:],
            joint_rot=joint_rot,
            body_pos=body_pos,
            body_rot=body_rot,
            contact_force=contact_force,
        )

    def qpos(self, state: CharacterState) -> Tensor:
        """Write N poses as qpos (N, nq), float64."""
        balls = state.joint_rot[:, self._ball_joints].flatten(1)
        parts = (state.root_pos, state.root_rot, balls, state.dof_pos[:, self._hinge_dofs])
        return torch.cat(parts, dim=-1).double()[:, self._scatter]

    def qvel(self, state: CharacterState) -> Tensor:
        """Write N velocities as qvel (N, nv), float64."""
        spin = rotations.quat_rotate_inverse(state.root_rot, state.root_ang_vel)
        return torch.cat((state.root_vel, spin, state.dof_vel), dim=-1).double()


def _orders(balls: List[int], hinges: List[int], device: "torch.device | str") -> Tuple[Tensor, Tensor]:
    """Index qpos into (root pos, root xyzw, all balls xyzw, all hinge angles), and back."""
    order = [0, 1, 2] + [a + k for a in [3] + balls for k in (1, 2, 3, 0)] + hinges
    forward = torch.tensor(order, dtype=torch.long, device=device)
    return forward, torch.argsort(forward)
