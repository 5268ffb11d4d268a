"""A clip is fitted to a character: joints by name, hinges, the loop."""

import math
from dataclasses import replace
from typing import Tuple

import pytest
import torch
from make_clip import circling_clip, random_clip, standing_clip

from amp_train import rotations
from amp_train.character import CharacterSpec
from amp_train.errors import MotionError
from amp_train.motion import MotionClip, close_loop, match_joints
from amp_train.motion.velocities import cycle_of


def test_joints_in_another_order_are_mapped_by_name(humanoid: CharacterSpec) -> None:
    clip = random_clip(humanoid)
    order = torch.randperm(humanoid.num_joints)
    shuffled = replace(clip, joint_names=tuple(clip.joint_names[i] for i in order), joint_rot=clip.joint_rot[:, order])
    assert torch.allclose(match_joints(shuffled, humanoid).joint_rot, clip.joint_rot, atol=1e-6)


def test_missing_and_unknown_joints_are_both_named(humanoid: CharacterSpec) -> None:
    names = tuple("tail" if name == "neck" else name for name in humanoid.joint_names)
    with pytest.raises(MotionError, match="it lacks neck; the character lacks tail"):
        match_joints(standing_clip(humanoid, joint_names=names), humanoid)


def test_a_hinge_keeps_only_its_turn_about_its_axis(humanoid: CharacterSpec) -> None:
    knee = humanoid.joint_names.index("right_knee")
    swing = rotations.exp_map_to_quat(torch.tensor([0.2, 0.0, 0.0]))
    twist = rotations.exp_map_to_quat(torch.tensor([0.0, 0.7, 0.0]))
    joint_rot = torch.tensor([0.0, 0.0, 0.0, 1.0]).repeat(4, humanoid.num_joints, 1)
    joint_rot[:, knee] = rotations.quat_mul(swing, twist)
    fitted = match_joints(standing_clip(humanoid, joint_rot=joint_rot), humanoid)
    assert torch.allclose(fitted.joint_rot[:, knee], twist.expand(4, 4), atol=1e-6)


def _seam(clip: MotionClip) -> Tuple[float, float]:
    """The angle (rad) between the last and the first pose: of the joint where it is largest, and of the root's tilt."""
    joints = rotations.quat_mul(rotations.quat_conjugate(clip.joint_rot[0]), clip.joint_rot[-1])
    first = rotations.quat_mul(rotations.yaw_quat(cycle_of(clip).turn), clip.root_rot[0])
    root = rotations.quat_mul(rotations.quat_conjugate(first), clip.root_rot[-1])
    angles = [rotations.quat_to_exp_map(rot).norm(dim=-1).max() for rot in (joints, root)]
    return float(angles[0]), float(angles[1])


def test_closing_the_loop_closes_every_joint_the_root_and_the_height(humanoid: CharacterSpec) -> None:
    clip = random_clip(humanoid, 60, loop="wrap")
    joints, root = _seam(clip)
    assert joints > 0.3 and root > 0.1
    closed = close_loop(clip)
    joints, root = _seam(closed)
    assert joints < 1e-5 and root < 1e-5
    assert (closed.root_pos[-1, 2] - closed.root_pos[0, 2]).abs() < 1e-5


def test_closing_the_loop_leaves_the_middle_and_the_path_along_the_ground(humanoid: CharacterSpec) -> None:
    clip = random_clip(humanoid, 60, loop="wrap")
    closed = close_loop(clip)
    middle = slice(8, 52)
    assert torch.allclose(closed.joint_rot[:, :][middle], clip.joint_rot[middle], atol=1e-6)
    assert torch.equal(closed.root_pos[:, :2], clip.root_pos[:, :2])


def test_closing_the_loop_halves_the_gap_between_both_ends(humanoid: CharacterSpec) -> None:
    yaw = torch.zeros(60)
    yaw[-30:] = 0.2
    closed = close_loop(standing_clip(humanoid, 60, root_rot=rotations.yaw_quat(yaw), loop="wrap"))
    assert rotations.heading(closed.root_rot)[[0, -1]].tolist() == pytest.approx([0.1, 0.1], abs=1e-5)


def test_a_turn_that_is_meant_stays(humanoid: CharacterSpec) -> None:
    clip = circling_clip(humanoid, 0.5 * math.pi)
    assert torch.allclose(close_loop(clip).root_rot, clip.root_rot, atol=1e-6)


def test_a_clip_that_does_not_loop_is_left_alone(humanoid: CharacterSpec) -> None:
    clip = random_clip(humanoid)
    assert close_loop(clip) is clip
