"""The observation frame against IsaacGymEnvs' own numbers, and against the same formula written with plain
quaternion maths."""

from pathlib import Path

import numpy as np
import pytest
import torch

from amp_train import rotations
from amp_train.character import CharacterSpec, CharacterState, Kinematics
from amp_train.env.amp_observations import amp_obs_frame


@pytest.mark.parametrize("clip", ["walk", "run", "backflip", "dance"])
@pytest.mark.parametrize("local_root_obs", [False, True])
def test_frame_equals_isaacgymenvs(
    clip: str, local_root_obs: bool, humanoid: CharacterSpec, kinematics: Kinematics, shared: Path
) -> None:
    golden = np.load(shared / "golden" / "isaacgymenvs_motion_states.npz")

    def field(name: str) -> torch.Tensor:
        return torch.from_numpy(golden[clip + "/" + name]).float()

    body_pos = torch.zeros(len(field("times")), humanoid.num_bodies, 3)
    body_pos[:, list(humanoid.key_body_ids)] = field("key_pos")
    state = CharacterState(
        field("root_pos"),
        field("root_rot"),
        field("root_vel"),
        field("root_ang_vel"),
        field("dof_pos"),
        field("dof_vel"),
        kinematics.joint_rot(field("dof_pos")),
        body_pos,
    )
    expected = field("amp_obs_local" if local_root_obs else "amp_obs_world")
    # The reference's interpolated quaternions are unit to 4e-5 only, and its formulas carry that four times over.
    torch.testing.assert_close(amp_obs_frame(state, humanoid, local_root_obs), expected, atol=2e-4, rtol=3e-5)


def test_rotate_to_heading_equals_the_quaternion_form() -> None:
    q, v = rotations.normalize(torch.randn(200, 4)), torch.randn(200, 5, 3)
    expected = rotations.quat_rotate(rotations.heading_rot_inv(q).unsqueeze(1), v)
    torch.testing.assert_close(rotations.rotate_to_heading(q, v), expected, atol=1e-5, rtol=0)


def test_frame_is_unchanged_by_a_move_and_a_turn_of_the_character(
    humanoid: CharacterSpec, kinematics: Kinematics
) -> None:
    state = kinematics.default_state(6)
    state.root_rot = rotations.normalize(torch.randn(6, 4))
    state.dof_pos = 0.5 * torch.randn(6, 28)
    state.joint_rot = kinematics.joint_rot(state.dof_pos)
    state.root_vel, state.root_ang_vel = torch.randn(6, 3), torch.randn(6, 3)
    state.body_pos, _ = kinematics.forward(state.root_pos, state.root_rot, state.joint_rot)
    turn = rotations.yaw_quat(torch.rand(6) * 6)
    moved = state.clone()
    moved.root_pos = state.root_pos + torch.tensor([3.0, -2.0, 0.0])
    moved.root_rot = rotations.quat_mul(turn, state.root_rot)
    moved.root_vel, moved.root_ang_vel = (rotations.quat_rotate(turn, x) for x in (state.root_vel, state.root_ang_vel))
    moved.body_pos, _ = kinematics.forward(moved.root_pos, moved.root_rot, state.joint_rot)
    local = [amp_obs_frame(s, humanoid, True) for s in (state, moved)]
    torch.testing.assert_close(local[0], local[1], atol=1e-4, rtol=0)
    seen_from_world = amp_obs_frame(moved, humanoid, False)
    assert float((seen_from_world - local[1])[:, 1:7].abs().max()) > 0.1
