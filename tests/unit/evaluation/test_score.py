"""Scores of hand-made episodes, each worked out beside its test."""

import math

import pytest
import torch
from make_episodes import DT_S, NUM_BODIES, clip, episodes, poses

from amp_train import rotations
from amp_train.evaluation import dtw_pose_error
from amp_train.evaluation.alignment import align, world_job
from amp_train.evaluation.episodes import TIME_LIMIT
from amp_train.evaluation.metrics import pose_distances
from amp_train.evaluation.report import _shares
from amp_train.evaluation.score import score_episodes, summarize, tempo

# Float32 positions of a metre or two.
TOLERANCE_M = 1e-6


def measures(run, clips, world=False):
    return summarize([run], score_episodes([run], clips, world_runs=int(world)), clips, body_mass_kg=50.0)


def test_a_policy_that_does_the_clip_from_any_phase_on_has_no_error_and_its_tempo():
    walk = clip("walk", 0.3)
    found = measures(episodes([poses(0.3, 20, passes=3.0, phase=k) for k in (0, 7)]), [walk], world=True)
    assert found["dtw_pose_error_m"] == pytest.approx(0.0, abs=TOLERANCE_M)
    assert found["dtw_pose_error_world_m"] == pytest.approx(0.0, abs=TOLERANCE_M)
    assert found["tempo"] == pytest.approx(1.0)
    assert found["clip_frames_covered"] == {"walk": 1.0}


def test_a_turned_policy_has_an_error_in_world_axes_only():
    turn = rotations.yaw_quat(torch.tensor(1.2)).expand(60, 1, 4)
    run = episodes([rotations.quat_rotate(turn, poses(0.3, 20, passes=3.0))])
    run.root_rot = turn.clone()
    found = measures(run, [clip("walk", 0.3)], world=True)
    assert found["dtw_pose_error_m"] == pytest.approx(0.0, abs=TOLERANCE_M)
    assert found["dtw_pose_error_world_m"] > 0.03


def test_a_limb_that_is_off_counts_only_until_the_episode_ends():
    shifted, good = poses(0.3, 20, passes=3.0), poses(0.3, 20, passes=3.0)
    shifted[:, 2, 0] += 0.3
    good[40:, 2] = 1e3  # after the fall
    found = measures(episodes([shifted, good], lengths=[60, 40], ends=[TIME_LIMIT, "head sank"]), [clip("walk", 0.3)])
    # One episode is off by 0.3 m in one body of three, the other by nothing.
    assert found["dtw_pose_error_m"] == pytest.approx(0.5 * 0.3 / NUM_BODIES, abs=TOLERANCE_M)
    assert found["dtw_pose_error_std_m"] == pytest.approx(0.5 * 0.3 / NUM_BODIES, abs=TOLERANCE_M)
    assert found["fall_rate"] == 0.5 and found["ends"] == {TIME_LIMIT: 1, "head sank": 1}
    assert found["mean_episode_s"] == pytest.approx(50 * DT_S)


def test_an_alignment_is_the_pose_error_with_its_path():
    torch.manual_seed(3)
    motion, reference = torch.randn(30, 4, 3), torch.randn(7, 4, 3)
    job = (pose_distances(motion, reference), 7)
    expected = dtw_pose_error(motion, reference, cyclic=True)
    assert align(job).error_m == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("turn_rad", [math.pi / 2, 1.0, -1.0])
def test_a_clip_that_turns_with_every_pass_is_followed_around_the_corner(turn_rad):
    turning = clip("turn", 0.3, num_frames=10)
    turning.turn_rad = turn_rad
    turns = [rotations.yaw_quat(torch.tensor(k * turn_rad)) for k in range(9)]
    passes = [rotations.quat_rotate(turn.expand(10, 1, 4), turning.body_pos) for turn in turns]
    for first in range(math.ceil(2 * math.pi / abs(turn_rad))):  # an episode may begin in any pass
        motion, root_rot = torch.cat(passes[first : first + 3]), torch.stack(turns[first : first + 3])
        job = world_job(motion, root_rot.repeat_interleave(10, 0), turning)
        assert align(job).error_m == pytest.approx(0.0, abs=TOLERANCE_M)
    turning.turn_rad = 0.0
    assert align(world_job(motion, root_rot.repeat_interleave(10, 0), turning)).error_m > 0.03


@pytest.mark.parametrize("speed_up", [2, 0.5])
def test_tempo_is_passes_in_the_time_of_one(speed_up):
    walk = clip("walk", 0.3, num_frames=40)
    ((score,),) = score_episodes([episodes([poses(0.3, int(40 / speed_up), passes=4.0)])], [walk])
    assert tempo(score, [walk]) == pytest.approx(speed_up, rel=0.03)


def test_motion_that_collapsed_to_one_clip_shows_as_a_number():
    clips = [clip("small", 0.1, weight=0.25), clip("large", 0.5, weight=0.75)]
    motions = [poses(0.1, 20, passes=2.0), poses(0.5, 20, passes=2.0)]
    collapsed = measures(episodes([motions[0], motions[0]]), clips)
    assert collapsed["clip_share"] == {"small": 1.0, "large": 0.0}
    assert collapsed["clip_balance"] == pytest.approx(0.25)
    assert collapsed["clip_frames_covered"] == {"small": 1.0, "large": 0.0}
    both = measures(episodes(motions), clips)
    assert both["clip_share"] == {"small": 0.5, "large": 0.5}
    assert both["clip_balance"] == pytest.approx(0.75)
    assert both["dtw_pose_error_m"] == pytest.approx(0.0, abs=TOLERANCE_M)  # each against the clip it does


def test_standing_covers_a_single_frame():
    standing = poses(0.3, 20)[5:6].repeat(60, 1, 1)
    found = measures(episodes([standing]), [clip("walk", 0.3)])
    assert found["clip_frames_covered"] == {"walk": 1 / 20}
    assert found["tempo"] == 0.0 and found["dtw_pose_error_m"] > 0.05


def test_means_are_over_all_steps_of_all_episodes():
    motions = [poses(0.3, 20)[:4]] * 2
    velocity = torch.zeros(4, 2, 3)
    velocity[:, 0] = torch.tensor([3.0, 4.0, 100.0])
    power, reward = torch.zeros(4, 2), torch.zeros(4, 2)
    power[:, 1], reward[:, 0] = 300.0, 1.0
    power[2:, 1] = 1e6  # after the fall
    run = episodes(
        motions, ["x", TIME_LIMIT][::-1], lengths=[4, 2], root_vel=velocity, power_w=power, style_reward=reward
    )
    found = measures(run, [clip("walk", 0.3)])
    assert found["root_speed_m_s"] == pytest.approx(4 * 5.0 / 6)  # horizontal
    assert found["power_w"] == pytest.approx(2 * 300.0 / 6)
    assert found["power_w_per_kg"] == pytest.approx(2.0)
    assert found["style_reward"] == pytest.approx(4.0 / 6)
    assert found["clip_speed_m_s"] == pytest.approx(0.2)


def test_a_fall_counts_in_the_phase_half_a_second_before_it():
    # 0.5 s are one step here; the last step is frame 16, the one before frame 15 of 20: the seventh eighth.
    run = episodes([poses(0.3, 20)[:17]], ["head sank"])
    assert measures(run, [clip("walk", 0.3)])["falls_by_phase"] == [0, 0, 0, 0, 0, 0, 1, 0]


def test_a_foot_slides_by_its_lowest_point_while_it_touches_the_ground():
    points = torch.zeros(3, 1, 1, 2, 3)
    points[..., 1, 2] = 0.1  # the second point is above the first ...
    points[:, 0, 0, 1, 0] = torch.tensor([0.0, 5.0, 10.0])  # ... and may move
    points[:, 0, 0, 0, 0] = torch.tensor([0.0, 0.1, 0.4])
    contact = torch.ones(3, 1, 1, dtype=torch.bool)
    motions = [poses(0.3, 20)[:3]]
    run = episodes(motions, foot_points=points, foot_contact=contact)
    assert measures(run, [clip("walk", 0.3)])["foot_slide_m_s"] == pytest.approx(0.5 * (0.1 + 0.3) / DT_S)
    contact[2] = False  # the second step lifts the foot
    run = episodes(motions, foot_points=points, foot_contact=contact)
    assert measures(run, [clip("walk", 0.3)])["foot_slide_m_s"] == pytest.approx(0.1 / DT_S)
    run = episodes(motions, foot_points=points)
    assert measures(run, [clip("walk", 0.3)])["foot_slide_m_s"] == 0.0


def test_a_return_is_that_of_an_episode_of_full_length_and_measures_are_of_the_steps_that_have_one():
    nan = float("nan")
    reward = torch.tensor([[1.0, 0.5], [1.0, 0.5], [0.0, 100.0], [1.0, 100.0]])  # the second has fallen after two
    errors = torch.tensor([[1.0, 2.0], [nan, 4.0], [3.0, 100.0], [nan, nan]])
    task_metrics = {"error_m": errors, "time_s": torch.full((4, 2), nan)}
    run = episodes(
        [poses(0.3, 20)[:4]] * 2, [TIME_LIMIT, "head sank"], [4, 2],
        task_reward=reward, task_metrics=task_metrics, full_length=4,
    )  # fmt: skip
    found = measures(run, [clip("walk", 0.3)])
    # 3 of 4 and 1 of 4.
    assert found["task_return"] == pytest.approx(0.5) and found["task_return_std"] == pytest.approx(0.25)
    assert found["task"] == {"error_m": pytest.approx(10.0 / 4), "time_s": None}


def test_without_a_goal_there_is_no_return():
    found = measures(episodes([poses(0.3, 20)[:4]], full_length=4), [clip("walk", 0.3)])
    assert "task_return" not in found and "task" not in found


def test_the_nearest_frame_is_as_far_as_the_limb_is_off():
    # A limb that circles at 0.5 m instead of 0.3 m, one of three bodies, is 0.2 m / 3 off.
    found = measures(episodes([poses(0.5, 20)]), [clip("walk", 0.3)])
    assert found["nearest_frame_m"] == pytest.approx(0.2 / 3, abs=1e-6)


def test_the_table_names_the_clips_with_the_largest_shares_and_sums_the_others():
    shares = {f"clip {n}": 0.01 * n for n in range(1, 14)}
    shown = _shares(shares)
    assert shown.startswith("clip 13 13%, clip 12 12%") and shown.endswith("clip 6 6%, 5 others 15%")
    assert _shares({"walk": 0.25, "run": 0.75}) == "walk 25%, run 75%"
