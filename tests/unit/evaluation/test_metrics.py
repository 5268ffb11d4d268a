"""The pose error on cases worked out by hand."""

import math

import numpy as np
import pytest
import torch

from amp_train import rotations
from amp_train.evaluation import EvaluationError, dtw_path, dtw_pose_error, heading_local, pose_distances

NUM_BODIES = 5
# Sums of a few hundred float64 distances of float32 positions.
TOLERANCE_M = 1e-6


def cycle(num_frames: int, phase: float = 0.0) -> torch.Tensor:
    """A root that walks along x and limbs on circles of different radius; no two frames of a cycle are alike."""
    angle = 2 * math.pi * (torch.arange(num_frames) / num_frames + phase)
    radius = torch.linspace(0.0, 0.4, NUM_BODIES)
    body_pos = torch.zeros(num_frames, NUM_BODIES, 3)
    body_pos[..., 0] = torch.arange(num_frames).unsqueeze(-1) * 0.04 + radius * torch.cos(angle).unsqueeze(-1)
    body_pos[..., 2] = 1.0 + radius * torch.sin(angle).unsqueeze(-1)
    return body_pos


def test_identical_motions_have_no_error() -> None:
    assert dtw_pose_error(cycle(40), cycle(40)) == 0.0


def test_where_the_character_is_does_not_count() -> None:
    assert dtw_pose_error(cycle(40) + torch.tensor([3.0, -2.0, 0.5]), cycle(40)) == pytest.approx(0.0, abs=TOLERANCE_M)


def test_a_time_stretched_motion_has_no_error() -> None:
    stretched = cycle(40).repeat_interleave(3, dim=0)
    assert dtw_pose_error(stretched, cycle(40)) == 0.0
    assert dtw_pose_error(cycle(40), stretched) == 0.0


def test_a_shifted_limb_counts_its_distance_shared_among_the_bodies() -> None:
    shifted = cycle(40)
    shifted[:, 2, 1] += 0.3
    # Every frame is off by 0.3 m in one of five bodies, sideways, where no other frame is nearer.
    assert dtw_pose_error(shifted, cycle(40)) == pytest.approx(0.3 / NUM_BODIES, abs=TOLERANCE_M)


def test_the_distance_of_a_limb_is_euclidean() -> None:
    shifted = torch.zeros(1, NUM_BODIES, 3)
    shifted[0, 4] = torch.tensor([0.3, 0.0, 0.4])
    assert dtw_pose_error(shifted, torch.zeros(1, NUM_BODIES, 3)) == pytest.approx(0.5 / NUM_BODIES, abs=TOLERANCE_M)


def test_a_raised_root_moves_all_other_bodies_the_other_way() -> None:
    raised = cycle(40)
    raised[:, 0, 1] += 0.1
    # The root lies at its own origin and cannot be off: four bodies of five are.
    assert dtw_pose_error(raised, cycle(40)) == pytest.approx(0.1 * 4 / 5, abs=TOLERANCE_M)


def test_the_mean_is_over_the_pairs_of_the_alignment() -> None:
    still, moving = torch.zeros(1, 2, 3), torch.zeros(4, 2, 3)
    moving[:, 1, 1] = torch.tensor([0.0, 0.2, 0.4, 0.8])
    # One frame is paired with all four: (0 + 0.2 + 0.4 + 0.8) / 2 bodies / 4 pairs.
    assert dtw_pose_error(still, moving) == pytest.approx(1.4 / 2 / 4, abs=TOLERANCE_M)


def test_a_cycle_may_begin_in_any_phase_and_repeats() -> None:
    clip = cycle(40)
    three_and_a_half_cycles = clip[(torch.arange(140) + 17) % 40]
    assert dtw_pose_error(three_and_a_half_cycles, clip, cyclic=True) == 0.0
    assert dtw_pose_error(three_and_a_half_cycles, clip) > 0.02


def test_standing_still_is_no_walk_however_the_cycle_is_laid() -> None:
    clip = cycle(40)
    # Repeats of one frame, from which half a cycle away every limb is up to 0.8 m: an error near the mean distance.
    standing = clip[:1].repeat(400, 1, 1)
    assert dtw_pose_error(standing, clip, cyclic=True) > 0.15


def test_the_heading_frame_takes_a_turn_out_and_a_lean_not() -> None:
    motion = cycle(40)
    root_rot = torch.tensor([0.0, 0.0, 0.0, 1.0]).repeat(40, 1)
    turn = rotations.yaw_quat(torch.full((40,), 1.1))
    turned = rotations.quat_rotate(turn.unsqueeze(1), motion)
    own = heading_local(motion, root_rot)
    torch.testing.assert_close(heading_local(turned, turn), own, atol=1e-6, rtol=0)
    assert dtw_pose_error(turned, motion) > 0.1
    lean = rotations.quat_from_angle_axis(torch.tensor(0.3), torch.tensor([1.0, 0.0, 0.0])).repeat(40, 1)
    leaning = rotations.quat_rotate(lean.unsqueeze(1), motion)
    assert dtw_pose_error(heading_local(leaning, lean), own) > 0.02


def test_the_alignment_is_the_cheapest_of_all() -> None:
    generator = np.random.default_rng(0)
    for rows, columns in ((1, 4), (4, 1), (5, 7), (9, 6)):
        cost = generator.random((rows, columns))
        path = dtw_path(cost)
        steps = np.diff(path, axis=0)
        assert path[0].tolist() == [0, 0] and path[-1].tolist() == [rows - 1, columns - 1]
        assert ((steps >= 0) & (steps <= 1)).all() and (steps.sum(axis=1) >= 1).all()
        assert cost[path[:, 0], path[:, 1]].sum() == pytest.approx(cheapest(cost))


def test_free_ends_leave_out_what_is_dearer_to_pair() -> None:
    generator = np.random.default_rng(1)
    for _ in range(5):
        cost = generator.random((6, 9))
        path = dtw_path(cost, free_ends=2)
        assert path[0, 0] == 0 and path[0, 1] <= 2 and path[-1, 0] == 5 and path[-1, 1] >= 6
        assert cost[path[:, 0], path[:, 1]].sum() == pytest.approx(cheapest(cost, free_ends=2))


def cheapest(cost: np.ndarray, free_ends: int = 0) -> float:
    """Dynamic time warping as its recurrence says."""
    total = np.full((cost.shape[0] + 1, cost.shape[1] + 1), np.inf)
    total[0, : free_ends + 1] = 0.0
    for i in range(cost.shape[0]):
        for j in range(cost.shape[1]):
            total[i + 1, j + 1] = cost[i, j] + min(total[i, j], total[i, j + 1], total[i + 1, j])
    return float(total[-1, -1 - free_ends :].min())


def test_every_pair_of_frames_is_compared() -> None:
    motion, reference = torch.randn(3, NUM_BODIES, 3), torch.randn(4, NUM_BODIES, 3)
    distances = pose_distances(motion, reference)
    for t in range(3):
        for s in range(4):
            difference = (motion[t] - motion[t, 0]) - (reference[s] - reference[s, 0])
            assert distances[t, s] == pytest.approx(difference.norm(dim=-1).mean().item(), abs=1e-6)


def test_what_cannot_be_measured_is_said_in_one_line() -> None:
    with pytest.raises(EvaluationError, match="motion has 5 bodies and the reference 4"):
        dtw_pose_error(cycle(3), cycle(3)[:, :4])
    with pytest.raises(EvaluationError, match=r"reference's body positions have shape \(0, 5, 3\)"):
        dtw_pose_error(cycle(3), cycle(3)[:0])
    broken = cycle(3)
    broken[1, 1, 1] = math.nan
    with pytest.raises(EvaluationError, match="motion's body positions are not all finite"):
        dtw_pose_error(broken, cycle(3))
