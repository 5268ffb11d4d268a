"""`HumanoidAMPLocation`: its reward, what is seen of a place, and when a place is reached, left and lost."""

import math
from typing import Any

import pytest
import torch
from still_simulator import StillSimulator
from test_heading import ALL, DT_S, TaskConfig, moved, standing

from amp_train.character import CharacterSpec, CharacterState, Kinematics
from amp_train.env.tasks import TaskSetup, make_task
from amp_train.env.tasks.location import Location


def location(spec: CharacterSpec, seed: int = 0, num_envs: int = 4, **goal: Any) -> Location:
    setup = TaskSetup(StillSimulator(spec, num_envs), torch.Generator().manual_seed(seed))
    task = make_task(TaskConfig("HumanoidAMPLocation", **goal), setup)
    assert isinstance(task, Location)
    return task


def at(state: CharacterState, x: float, y: float) -> CharacterState:
    there = state.clone()
    offset = torch.tensor([x, y, 0.0]) - state.root_pos * torch.tensor([1.0, 1.0, 0.0])
    there.root_pos, there.body_pos = state.root_pos + offset, state.body_pos + offset.unsqueeze(1)
    return there


@pytest.mark.parametrize(
    "reward, distance, towards, expected",
    [
        ("paper", 2.0, 1.5, 0.7 * math.exp(-0.5 * 4) + 0.3),  # faster than 1 m/s is as good
        ("paper", 2.0, 0.4, 0.7 * math.exp(-0.5 * 4) + 0.3 * math.exp(-0.36)),
        ("paper", 2.0, -1.0, 0.7 * math.exp(-0.5 * 4) + 0.3 * math.exp(-4.0)),
        ("code", 2.0, 0.4, 0.6 * math.exp(-0.5 * 4) + 0.4 * math.exp(-4 * 0.36)),
        ("code", 2.0, -1.0, 0.6 * math.exp(-0.5 * 4)),
        ("code", 0.4, -1.0, 0.6 * math.exp(-0.5 * 0.16) + 0.4),
    ],
)
def test_the_reward_is_for_being_near_and_for_coming_nearer(
    reward: str, distance: float, towards: float, expected: float, humanoid: CharacterSpec, kinematics: Kinematics
) -> None:
    task, state = location(humanoid, reward=reward), at(standing(kinematics), 1.0, -2.0)
    task.begin(ALL, state)
    task.set_goal(x_m=1.0, y_m=-2.0 - distance)
    state = moved(state, 0.0, -towards)
    task.step(state)
    # The centre of mass is not quite above the root, so the direction is off by little.
    torch.testing.assert_close(task.reward(state), torch.full((4,), expected), atol=5e-3, rtol=0)


def test_the_place_is_seen_from_the_character(humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    task = location(humanoid)
    task.begin(ALL, standing(kinematics))
    task.set_goal(x_m=3.0, y_m=4.0)
    # From (3, 1), facing y: 3 m ahead. Facing -x: to the right, which is -y.
    for yaw, expected in ((math.pi / 2, [1.0, 0.0, 3.0]), (math.pi, [0.0, -1.0, 3.0])):
        seen = task.goal_obs(at(standing(kinematics, yaw), 3.0, 1.0))
        torch.testing.assert_close(seen, torch.tensor([expected] * 4), atol=1e-5, rtol=0)
    here = task.goal_obs(at(standing(kinematics), 3.0, 4.0))
    torch.testing.assert_close(here, torch.tensor([[1.0, 0.0, 0.0]] * 4), atol=1e-5, rtol=0)


def test_places_lie_around_the_character_and_change_in_time(humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    n = 4000
    task, state = location(humanoid, num_envs=n), at(standing(kinematics, num_envs=n), 20.0, 0.0)
    task.begin(torch.ones(n, dtype=torch.bool), state)
    offset = task.place - torch.tensor([20.0, 0.0])
    distance = offset.norm(dim=-1)
    assert float(distance.mean()) == pytest.approx(5.0, abs=0.2) and 9.9 < float(distance.max()) <= 10.001
    assert float((offset[:, 1] > 0).float().mean()) == pytest.approx(0.5, abs=0.03)
    changes, places = torch.zeros(n), task.place
    for _ in range(round(60 / DT_S)):
        task.step(state)
        task.change_goals(state)
        changes += (task.place != places).any(-1)
        places = task.place
    # 7.5 s on the average, and half a step.
    assert float(changes.mean()) == pytest.approx(60 / 7.5, rel=0.08)


def test_a_place_is_reached_once_and_counts_when_it_is_left(humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    task, state = location(humanoid, interval_s=[1.0, 1.0]), standing(kinematics)
    task.begin(ALL, state)
    task.place = torch.tensor([[5.0, 0.0]]).repeat(4, 1)
    far, near = at(state, 4.0, 0.0), at(state, 4.7, 0.0)
    reached, left = [], []
    for step in range(30):
        task.step(near if step in (9, 10, 12) else far)
        measured = task.metrics(far)
        reached += [(step, float(measured["time_to_reach_s"][0]))] if measured["time_to_reach_s"][0] > 0 else []
        left += [float(measured["reached_share"][0])]
        task.change_goals(far)
    assert reached == [(9, pytest.approx(10 * DT_S))]
    assert left[-1] == 1.0 and all(math.isnan(share) for share in left[:-1])
    for _ in range(29):
        task.step(at(far, 500.0, 0.0))
        task.change_goals(far)
    task.step(at(far, 500.0, 0.0))
    assert float(task.metrics(far)["reached_share"][0]) == 0.0


def test_who_strays_too_far_has_lost_the_place(humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    task = location(humanoid)
    task.begin(ALL, standing(kinematics))
    task.set_goal(x_m=0.0, y_m=0.0)
    assert not bool(task.failed(at(standing(kinematics), 14.9, 0.0)).any())
    assert bool(task.failed(at(standing(kinematics), 0.0, -15.1)).all())
    (flag,) = task.markers()
    assert flag.kind == "flag" and flag.pos.tolist() == [[0.0, 0.0, 0.0]] * 4


def test_clips_go_where_their_goals_are(humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    state = standing(kinematics, math.pi / 2)
    state.root_vel = torch.tensor([[-2.0, 0.0, 0.0]] * 4)  # to the left of who faces y
    goal = location(humanoid).demo_goal(state)
    torch.testing.assert_close(goal[:, :2], torch.tensor([[0.0, 1.0]] * 4), atol=1e-5, rtol=0)
    assert bool((goal[:, 2] <= 10.0).all()) and len(set(goal[:, 2].tolist())) == 4
