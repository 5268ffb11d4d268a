"""Where the corners of the feet are, and which of them slide."""

import math

import pytest
import torch

from amp_train import rotations
from amp_train.evaluation.feet import FootPoints, lowest_point_speed


def test_the_soles_of_a_standing_character_lie_in_one_plane_under_its_ankles(humanoid, kinematics):
    state = kinematics.default_state(1)
    feet = humanoid.body_ids(["right_foot", "left_foot"])
    body_pos, body_rot = kinematics.forward(state.root_pos, state.root_rot, state.joint_rot)
    points = FootPoints(humanoid, feet, torch.device("cpu"))(body_pos, body_rot)
    assert points.shape == (1, 2, 8, 3)
    heights = points[..., 2].sort(dim=-1)[0]
    # The foot box reaches 0.05 m under the ankle (physics notes).
    expected = (body_pos[:, list(feet), 2] - 0.05).unsqueeze(-1).expand(1, 2, 4)
    torch.testing.assert_close(heights[..., :4], expected, atol=2e-3, rtol=0)
    lowest = humanoid.geoms.lowest_height(body_pos, body_rot)
    assert heights.min().item() == pytest.approx(lowest.min().item(), abs=1e-5)


def test_a_box_that_tips_over_its_edge_does_not_slide_though_its_middle_moves():
    corners = torch.tensor([[-0.1, 0.0, 0.0], [0.1, 0.0, 0.0], [-0.1, 0.0, 0.05], [0.1, 0.0, 0.05]])
    edge = torch.tensor([0.1, 0.0, 0.0])
    angles = torch.linspace(0.05, 0.6, 12)
    pitch = rotations.quat_from_angle_axis(angles, torch.tensor([0.0, 1.0, 0.0]))
    points = edge + rotations.quat_rotate(pitch.unsqueeze(1), (corners - edge).expand(12, 4, 3))
    speed = lowest_point_speed(points.view(12, 1, 1, 4, 3), 1 / 30)
    assert speed.max().item() == pytest.approx(0.0, abs=1e-4)
    sideways = points + torch.linspace(0, 1.1, 12).view(12, 1, 1) * torch.tensor([0.3, 0.4, 0.0])
    speed = lowest_point_speed(sideways.view(12, 1, 1, 4, 3), 1 / 30)
    torch.testing.assert_close(speed, torch.full_like(speed, 0.1 * math.hypot(0.3, 0.4) * 30), atol=1e-3, rtol=0)
