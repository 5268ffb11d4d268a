"""Conversion between `CharacterState` and MuJoCo's qpos and qvel: wxyz quaternions, root angular velocity in the
body's frame."""

from typing import List, Optional

import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterSpec, CharacterState, Kinematics


class MujocoState:
    """The layout of one character's qpos (nq) and qvel (nv), which are the first of its model's."""

    def __init__(self, spec: CharacterSpec, device: "torch.device | str" = "cpu") -> None:
        self.kinematics = Kinematics(spec, device)
        balls: List[int] = []
        hinges: List[int] = []
        address = 7
        for size in spec.joint_sizes:
            (balls if size == 3 else hinges).append(address)
            address += 4 if size == 3 else 1
        self.nq, self.nv, self._num_balls = address, 6 + spec.num_dofs, len(balls)
        self._ball_joints = spec.joint_dofs(3)[0].to(device)
        self._hinge_dofs = spec.joint_dofs(1)[1].reshape(-1).to(device)
        # qpos as root position, root rotation xyzw, x of every ball, y of every ball, z, w, and the hinge angles.
        order = [0, 1, 2, 4, 5, 6, 3] + [ball + k for k in (1, 2, 3, 0) for ball in balls] + hinges
        self._ordered = torch.tensor(order, dtype=torch.long, device=device)
        self._qpos_order = torch.argsort(self._ordered)

    def from_mujoco(self, qpos: Tensor, qvel: Tensor, contact_force: Optional[Tensor] = None) -> CharacterState:
        """Read N characters from qpos (N, nq or more) and qvel (N, nv or more), and place their bodies."""
        rows, velocity = qpos.t().float().index_select(0, self._ordered), qvel.t().float()
        ball_rows = 4 * self._num_balls
        ball_rot = rows[7 : 7 + ball_rows].unflatten(0, (4, self._num_balls)).movedim(0, -1)
        angle = rows[7 + ball_rows :]
        root_pos, root_rot = rows[:3].t(), rows[3:7].t()
        joint_rot = self.kinematics.joint_rot_of(ball_rot, angle)
        body_pos, body_rot = self.kinematics.forward(root_pos, root_rot, joint_rot)
        return CharacterState(
            root_pos=root_pos,
            root_rot=root_rot,
            root_vel=velocity[:3].t(),
            root_ang_vel=rotations.quat_rotate(root_rot, velocity[3:6].t()),
            dof_pos=self.kinematics.dof_pos_of(ball_rot, angle),
            dof_vel=velocity[6 : self.nv].t(),
            joint_rot=joint_rot,
            body_pos=body_pos,
            body_rot=body_rot,
            contact_force=contact_force,
        )

    def qpos(self, state: CharacterState) -> Tensor:
        """Write N poses as qpos (N, nq), float64."""
        balls = state.joint_rot[:, self._ball_joints].movedim(-1, 1).flatten(1)
        parts = (state.root_pos, state.root_rot, balls, state.dof_pos[:, self._hinge_dofs])
        return torch.cat(parts, dim=-1).double()[:, self._qpos_order]

    def qvel(self, state: CharacterState) -> Tensor:
        """Write N velocities as qvel (N, nv), float64."""
        spin = rotations.quat_rotate_inverse(state.root_rot, state.root_ang_vel)
        return torch.cat((state.root_vel, spin, state.dof_vel), dim=-1).double()
