"""`HumanoidAMPStrike`: its reward near and far, what a hit is, what a failure, and where targets hang."""

import math
from typing import Any, List

import pytest
import torch
from still_simulator import StillSimulator
from test_heading import ALL, DT_S, TaskConfig, moved, standing

from amp_train.character import CharacterSpec, CharacterState, Kinematics
from amp_train.env.tasks import TaskSetup, make_task
from amp_train.env.tasks.strike import Strike


def strike(spec: CharacterSpec, num_envs: int = 4, **goal: Any) -> Strike:
    setup = TaskSetup(StillSimulator(spec, num_envs), torch.Generator().manual_seed(0))
    task = make_task(TaskConfig("HumanoidAMPStrike", **{"hit_before_prob": 0.0, **goal}), setup)
    assert isinstance(task, Strike)
    return task


def hand_of(spec: CharacterSpec) -> int:
    return spec.body_names.index("right_hand")


def with_hand(state: CharacterState, spec: CharacterSpec, pos: List[float], vel: List[float]) -> CharacterState:
    """The same characters one control step later, the hand at a place and moving at m/s; for `step`, from before it."""
    later = state.clone()
    later.body_pos[:, hand_of(spec)] = torch.tensor(pos)
    state.body_pos[:, hand_of(spec)] = torch.tensor(pos) - DT_S * torch.tensor(vel)
    return later


@pytest.mark.parametrize(
    "reward, speed, expected",
    [
        ("paper", 0.75, 0.3 + 0.3 * (0.2 * math.exp(-2 * 0.09) + 0.8 * 0.5)),  # half of 1.5 m/s, 0.3 m away
        ("code", 0.75, 0.3 + 0.3 * (0.2 * math.exp(-2 * 0.09) + 0.8 * 0.25)),
        ("paper", 3.0, 0.3 + 0.3 * (0.2 * math.exp(-2 * 0.09) + 0.8)),
        ("paper", -1.0, 0.3 + 0.3 * 0.2 * math.exp(-2 * 0.09)),
    ],
)
def test_near_the_target_the_reward_is_for_the_hand(
    reward: str, speed: float, expected: float, humanoid: CharacterSpec, kinematics: Kinematics
) -> None:
    task, before = strike(humanoid, reward=reward), standing(kinematics)
    after = with_hand(before, humanoid, [0.0, 0.7, 1.3], [9.0, speed, 9.0])  # sideways and upwards do not count
    task.begin(ALL, before)
    task.set_goal(x_m=0.0, y_m=1.0, z_m=1.3)
    task.step(after)
    torch.testing.assert_close(task.reward(after), torch.full((4,), expected), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    "reward, towards, expected",
    [
        ("paper", 1.2, 0.3 * (0.7 * math.exp(-0.5 * 0.36) + 0.3)),  # 2 m away, of which 1.4 m are near
        ("paper", 0.5, 0.3 * (0.7 * math.exp(-0.5 * 0.36) + 0.3 * math.exp(-4 * 0.25))),
        ("paper", -0.5, 0.3 * (0.7 * math.exp(-0.5 * 0.36) + 0.3 * math.exp(-4 * 2.25))),
        ("code", -0.5, 0.3 * 0.7 * math.exp(-0.5 * 0.36)),
    ],
)
def test_far_away_the_reward_is_for_the_way_there(
    reward: str, towards: float, expected: float, humanoid: CharacterSpec, kinematics: Kinematics
) -> None:
    task, state = strike(humanoid, reward=reward), standing(kinematics)
    task.begin(ALL, state)
    task.set_goal(x_m=-2.0, y_m=0.0, z_m=1.3)
    after = moved(state, -towards, 0.0)
    task.step(after)
    torch.testing.assert_close(task.reward(after), torch.full((4,), expected), atol=2e-3, rtol=0)


@pytest.mark.parametrize(
    "pos, vel, hits",
    [
        ([0.85, 0.0, 1.3], [1.6, 0.0, 0.0], True),
        ([0.85, 0.0, 1.3], [1.4, 0.0, 0.0], False),  # too slow
        ([0.85, 0.0, 1.3], [0.0, 5.0, 0.0], False),  # across
        ([0.75, 0.0, 1.3], [1.6, 0.0, 0.0], False),  # 0.25 m away
        ([1.0, 0.0, 1.48], [1.6, 0.0, 0.0], True),
    ],
)
def test_a_hit_is_a_hand_that_is_near_and_quick(
    pos: List[float], vel: List[float], hits: bool, humanoid: CharacterSpec, kinematics: Kinematics
) -> None:
    task, before = strike(humanoid), standing(kinematics)
    after = with_hand(before, humanoid, pos, vel)
    task.begin(ALL, before)
    task.set_goal(x_m=1.0, y_m=0.0, z_m=1.3)
    task.step(after)
    assert task.is_hit.tolist() == [hits] * 4
    assert bool((task.reward(after) == 1.0).all()) == hits


@pytest.mark.parametrize("again", [True, False])
def test_after_a_hit_the_time_is_seen_and_then_there_is_a_new_target_or_not(
    again: bool, humanoid: CharacterSpec, kinematics: Kinematics
) -> None:
    task, before = strike(humanoid, again=again, after_hit_s=0.5), standing(kinematics)
    after = with_hand(before, humanoid, [1.0, 0.0, 1.3], [2.0, 0.0, 0.0])
    task.begin(ALL, before)
    task.set_goal(x_m=1.0, y_m=0.0, z_m=1.3)
    task.step(after)
    assert task.metrics(after)["time_to_hit_s"].tolist() == pytest.approx([DT_S] * 4)
    phases = []
    for _ in range(20):
        task.step(after)
        task.change_goals(after)
        phases.append(float(task.goal_obs(after)[0, 4]))
    rising = [pytest.approx((n + 1) * DT_S / 0.5, abs=1e-4) for n in range(13)]
    assert phases[:13] == rising and phases[-1] == (0.0 if again else 1.0)
    assert bool((task.target[:, 0] == 1.0).all()) != again
    assert bool(task.is_hit.any()) != again


@pytest.mark.parametrize(("hit_after_s", "rate"), [(5.0, 1.0), (10.0, 1.0), (12.0, 0.0), (99.0, 0.0)])
def test_a_target_counts_once_and_as_hit_if_it_is_within_ten_seconds(
    humanoid: CharacterSpec, kinematics: Kinematics, hit_after_s: float, rate: float
) -> None:
    task, before = strike(humanoid, again=False), standing(kinematics)
    after = with_hand(before, humanoid, [0.0, 0.9, 1.3], [0.0, 2.0, 0.0])
    task.begin(ALL, before)
    task.set_goal(x_m=0.0, y_m=1.0, z_m=1.3)
    rates = []
    for step in range(1, round(15.0 / DT_S) + 1):
        task.step(after if step == round(hit_after_s / DT_S) else before)
        rates += [value for value in task.metrics(before)["hit_rate"].tolist() if value == value]
    assert rates == [rate] * 4


def test_the_target_is_seen_from_the_character(humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    task = strike(humanoid)
    task.begin(ALL, standing(kinematics))
    task.set_goal(x_m=0.0, y_m=2.0, z_m=1.25)
    for yaw, (x, y) in {0.0: (0.0, 1.0), math.pi / 2: (1.0, 0.0), math.pi: (0.0, -1.0)}.items():
        seen = task.goal_obs(standing(kinematics, yaw))
        torch.testing.assert_close(seen, torch.tensor([[x, y, 2.0, 1.25, 0.0]] * 4), atol=1e-5, rtol=0)


def test_targets_hang_near_before_the_character_or_far_in_any_direction(
    humanoid: CharacterSpec, kinematics: Kinematics
) -> None:
    n = 4000
    task = strike(humanoid, num_envs=n, hit_before_prob=0.1)
    task.begin(torch.ones(n, dtype=torch.bool), standing(kinematics, math.pi / 2, n))
    distance = task.target[:, :2].norm(dim=-1)
    angle = torch.atan2(-task.target[:, 0], task.target[:, 1])  # from the y axis, which it faces
    far = distance > 1.1
    # 0.4 far, of them (10 - 1.1) of (10 - 0.6) beyond 1.1 m.
    assert float(far.float().mean()) == pytest.approx(0.4 * 8.9 / 9.4, abs=0.03)
    assert float((angle[~far].abs() < 0.5001).float().mean()) > 0.9 and float(angle[far].abs().max()) > 3.0
    assert 0.6 <= float(distance.min()) and 9.9 < float(distance.max()) <= 10.001
    assert 1.2 <= float(task.target[:, 2].min()) and float(task.target[:, 2].max()) <= 1.4
    assert float(task.is_hit.float().mean()) == pytest.approx(0.1, abs=0.02)


def test_who_touches_the_target_with_the_trunk_or_strays_has_failed(
    humanoid: CharacterSpec, kinematics: Kinematics
) -> None:
    task, state = strike(humanoid), standing(kinematics)
    task.begin(ALL, state)
    for x_m, fails in ((0.1, True), (0.3, False), (14.9, False), (15.1, True)):
        task.set_goal(x_m=x_m, y_m=0.0, z_m=1.35)  # the head's height
        assert task.failed(state).tolist() == [fails] * 4, x_m


def test_clips_that_walk_have_targets_ahead_and_those_that_stand_near_ones(
    humanoid: CharacterSpec, kinematics: Kinematics
) -> None:
    state = standing(kinematics, math.pi / 2)
    state.root_vel = torch.tensor([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.1, 0.0], [0.0, 0.0, 0.0]])
    goal = strike(humanoid).demo_goal(state)
    # Facing y: ahead, to the left, and the standing ones before them.
    expected = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    torch.testing.assert_close(goal[:, :2], expected, atol=1e-5, rtol=0)
    assert bool((goal[2:, 2] <= 1.1).all()) and bool((goal[2:, 2] >= 0.6).all())
    assert bool((goal[:, 4] == 0.0).all())
