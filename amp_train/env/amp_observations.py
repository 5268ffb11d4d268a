"""Observations as IsaacGymEnvs' HumanoidAMP lays them out. The policy sees the newest frame and the task's
goal; the discriminator sees the newest `num_amp_obs_steps` frames and no goal."""

from functools import lru_cache
from typing import Tuple

import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterSpec, CharacterState


def frame_size(spec: CharacterSpec) -> int:
    """Return the length of one observation frame: 13 root, 6 a spherical joint or 1 a hinge, the dof velocities, 3 a
    key body."""
    return 13 + sum(6 if s == 3 else 1 for s in spec.joint_sizes) + spec.num_dofs + 3 * len(spec.key_body_ids)


def amp_obs_frame(state: CharacterState, spec: CharacterSpec, local_root_obs: bool) -> Tensor:
    """Observe N characters. All but the height is independent of their place and, if local, of their heading.

    Layout (IsaacGymEnvs `build_amp_observations`): root height 1, root rotation 6 (tangent and normal), root
    velocity 3, root angular velocity 3 (both in the heading frame), joints in dof order (spherical: 6, hinge: its
    angle), dof_vel, key body positions relative to the root in the heading frame.

    Args:
        state: needs everything but body_rot and contact_force.
        spec: the character.
        local_root_obs: whether the root rotation is in the heading frame too.

    Returns:
        (N, frame_size(spec)), 105 for the humanoid.
    """
    layout, key_bodies, balls, hinge_dofs = _layout(spec, state.root_pos.device)
    root_axes = rotations.quat_to_tan_norm(state.root_rot).unflatten(-1, (2, 3))
    reach = state.body_pos[:, key_bodies] - state.root_pos.unsqueeze(1)
    vectors = torch.cat((root_axes, state.root_vel.unsqueeze(1), state.root_ang_vel.unsqueeze(1), reach), dim=1)
    local = rotations.rotate_to_heading(state.root_rot, vectors)
    if not local_root_obs:
        local[:, :2] = root_axes
    joints = rotations.quat_to_tan_norm(state.joint_rot[:, balls]).flatten(1)
    parts = (state.root_pos[:, 2:3], local.flatten(1), joints, state.dof_pos[:, hinge_dofs], state.dof_vel)
    return torch.cat(parts, dim=-1)[:, layout]


@lru_cache(maxsize=8)  # a sweep makes a new character for every job
def _layout(spec: CharacterSpec, device: torch.device) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
    """The position of each observed number among the computed parts; key bodies, ball joints and hinge dofs."""
    balls, hinge_dofs = spec.joint_dofs(3)[0], spec.joint_dofs(1)[1].reshape(-1)
    root_size, key_size = 13, 3 * len(spec.key_body_ids)
    ball_start = root_size + key_size
    hinge_start = ball_start + 6 * len(balls)
    order, ball, hinge = list(range(root_size)), 0, 0
    for size in spec.joint_sizes:
        if size == 3:
            order += range(ball_start + 6 * ball, ball_start + 6 * (ball + 1))
            ball += 1
        else:
            order.append(hinge_start + hinge)
            hinge += 1
    dof_vel_start = hinge_start + len(hinge_dofs)
    order += range(dof_vel_start, dof_vel_start + spec.num_dofs)
    order += range(root_size, root_size + key_size)
    key_bodies = torch.tensor(spec.key_body_ids, dtype=torch.long)
    layout = torch.tensor(order, dtype=torch.long)
    return layout.to(device), key_bodies.to(device), balls.to(device), hinge_dofs.to(device)


class AmpHistory:
    """The last few frames of every environment: the discriminator's observation.

    Attributes:
        frames: (N, num_steps, frame_size), newest first.
    """

    def __init__(self, num_envs: int, num_steps: int, frame_size: int, device: torch.device) -> None:
        self.frames = torch.zeros(num_envs, num_steps, frame_size, device=device)

    def push(self, frame: Tensor) -> None:
        """Put (N, frame_size) in front and drop the oldest; an earlier `amp_obs` does not change."""
        self.frames = torch.cat((frame.unsqueeze(1), self.frames[:, :-1]), dim=1)

    def fill(self, env_ids: Tensor, frames: Tensor) -> None:
        """Set the whole history of K environments, (K, num_steps, frame_size); an earlier `amp_obs` does not
        change."""
        self.frames = self.frames.index_copy(0, env_ids, frames)

    def fill_where(self, chosen: Tensor, frames: Tensor) -> None:
        """As `fill`, for the environments `chosen` (N,) bool, from (N, num_steps, frame_size)."""
        self.frames = torch.where(chosen.view(-1, 1, 1), frames, self.frames)

    @property
    def amp_obs(self) -> Tensor:
        """(N, num_steps * frame_size)."""
        return self.frames.flatten(1)
