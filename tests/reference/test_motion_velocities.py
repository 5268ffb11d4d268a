"""The motion library's velocities at a clip's frames against differences of the states one frame either side."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterSpec, CharacterState
from amp_train.motion import MotionLibrary, find_motion, load_clip


class Around(NamedTuple):
    """States of every frame, and of the frames before and after it; of three cycles where the clip wraps."""

    before: CharacterState
    now: CharacterState
    after: CharacterState
    span_s: float


@pytest.fixture(scope="module", params=["walk", "run", "cartwheel", "backflip", "spin", "getup_faceup"])
def around(request: pytest.FixtureRequest, humanoid: CharacterSpec) -> Around:
    clip = load_clip(find_motion(request.param), humanoid)
    library = MotionLibrary([clip], spec=humanoid)
    cycle = clip.num_frames - 1
    frames = torch.arange(-cycle, 2 * cycle) if clip.loop == "wrap" else torch.arange(1, cycle)
    clip_ids = torch.zeros(len(frames), dtype=torch.long)
    states = [library.state_at(clip_ids, (frames + step) / clip.fps) for step in (-1, 0, 1)]
    return Around(states[0], states[1], states[2], 2.0 / clip.fps)


def _agrees(velocity: Tensor, difference: Tensor, tolerance: float) -> None:
    error = (velocity - difference).pow(2).mean().sqrt() / difference.pow(2).mean().sqrt()
    assert error < tolerance


def test_root_velocity_is_the_slope_of_the_root_position(around: Around) -> None:
    # Exact but for float32: 1e-6 m in several metres, over two frames.
    _agrees(around.now.root_vel, (around.after.root_pos - around.before.root_pos) / around.span_s, 1e-3)


def test_dof_velocity_of_a_hinge_is_the_slope_of_its_angle(around: Around, humanoid: CharacterSpec) -> None:
    dofs = humanoid.joint_dofs(1)[1].flatten()
    difference = (around.after.dof_pos[:, dofs] - around.before.dof_pos[:, dofs]) / around.span_s
    _agrees(around.now.dof_vel[:, dofs], difference, 1e-3)


def test_root_angular_velocity_turns_the_root_in_the_world(around: Around) -> None:
    turn = rotations.quat_mul(around.after.root_rot, rotations.quat_conjugate(around.before.root_rot))
    # The mean of two turns against the turn of both together: they differ where the axis moves between frames. The
    # body's frame instead of the world's would differ by 100 %.
    _agrees(around.now.root_ang_vel, rotations.quat_to_exp_map(turn) / around.span_s, 0.03)


def test_dof_velocity_turns_a_spherical_joint_in_the_childs_frame(around: Around, humanoid: CharacterSpec) -> None:
    joints, dofs = humanoid.joint_dofs(3)
    dof_vel = around.now.dof_vel[:, dofs]
    before, after = around.before.joint_rot[:, joints], around.after.joint_rot[:, joints]
    in_child = rotations.quat_to_exp_map(rotations.quat_mul(rotations.quat_conjugate(before), after)) / around.span_s
    in_parent = rotations.quat_to_exp_map(rotations.quat_mul(after, rotations.quat_conjugate(before))) / around.span_s
    # The backflip moves its shoulders by up to 1.9 rad between two frames, about changing axes; else it is below 0.1.
    _agrees(dof_vel, in_child, 0.2)
    assert (dof_vel - in_parent).pow(2).mean() > 4.0 * (dof_vel - in_child).pow(2).mean()
