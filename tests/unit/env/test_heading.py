"""`HumanoidAMPHeading`: its reward, how its goals change, and that they are seen from the character."""

import math
from typing import Any

import pytest
import torch
from still_simulator import StillSimulator

from amp_train import rotations
from amp_train.character import CharacterSpec, CharacterState, Kinematics
from amp_train.env.tasks import TaskSetup, make_task
from amp_train.env.tasks.heading import Heading

DT_S = 1 / 30
ALL = torch.ones(4, dtype=torch.bool)


class TaskConfig:
    def __init__(self, name: str, **goal: Any) -> None:
        self.name, self.goal = name, goal


def heading(spec: CharacterSpec, seed: int = 0, num_envs: int = 4, **goal: Any) -> Heading:
    setup = TaskSetup(StillSimulator(spec, num_envs), torch.Generator().manual_seed(seed))
    task = make_task(TaskConfig("HumanoidAMPHeading", **goal), setup)
    assert isinstance(task, Heading)
    return task


def standing(kinematics: Kinematics, yaw: float = 0.0, num_envs: int = 4) -> CharacterState:
    state = kinematics.default_state(num_envs)
    state.root_rot = rotations.yaw_quat(torch.full((num_envs,), yaw))
    return state


def moved(state: CharacterState, x: float, y: float) -> CharacterState:
    """The same characters one control step later, having moved at x, y m/s."""
    later = state.clone()
    later.body_pos = state.body_pos + DT_S * torch.tensor([x, y, 0.0])
    return later


@pytest.mark.parametrize(
    "reward, velocity, expected",
    [
        ("paper", (2.0, 0.0), 1.0),  # 2 m/s along the direction, as asked for
        ("paper", (1.0, 5.0), math.exp(-0.25)),  # exp(-0.25 (2 - 1)^2): what is across does not count
        ("paper", (-1.0, 0.0), math.exp(-2.25)),  # exp(-0.25 (2 + 1)^2)
        ("code", (-1.0, 0.0), 0.0),
        ("code", (1.0, 0.0), math.exp(-0.25)),
    ],
)
def test_the_reward_is_for_the_speed_along_the_direction(
    reward: str, velocity: "tuple[float, float]", expected: float, humanoid: CharacterSpec, kinematics: Kinematics
) -> None:
    task, state = heading(humanoid, reward=reward), standing(kinematics)
    task.begin(ALL, state)
    task.set_goal(heading_deg=0.0, speed_m_s=2.0)
    state = moved(state, *velocity)
    task.step(state)
    torch.testing.assert_close(task.reward(state), torch.full((4,), expected), atol=1e-4, rtol=0)


def test_the_goal_is_seen_from_the_character(humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    task = heading(humanoid)
    task.begin(ALL, standing(kinematics))
    task.set_goal(heading_deg=90.0, speed_m_s=1.5)  # along the world's y axis
    # Facing x, y is to the left (+y of the heading frame); facing y, ahead; facing -y, behind; at 45 deg, between.
    half = math.sqrt(0.5)
    for yaw, (x, y) in {0.0: (0, 1), math.pi / 2: (1, 0), -math.pi / 2: (-1, 0), math.pi / 4: (half, half)}.items():
        seen = task.goal_obs(standing(kinematics, yaw))
        torch.testing.assert_close(seen, torch.tensor([[x, y, 1.5]] * 4), atol=1e-5, rtol=0)


def test_goals_of_the_clips_are_what_they_do(humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    state = standing(kinematics, math.pi / 2)
    state.root_vel = torch.tensor([[0.0, 2.0, 0.3], [1.5, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    # Facing y: y is ahead, x to the right.
    expected = torch.tensor([[1.0, 0.0, 2.0], [0.0, -1.0, 1.5], [1.0, 0.0, 0.0], [-1.0, 0.0, 1.0]])
    torch.testing.assert_close(heading(humanoid).demo_goal(state), expected, atol=1e-5, rtol=0)


def test_goals_change_as_often_and_as_far_as_is_said(humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    n = 2000
    task, state = heading(humanoid, num_envs=n), standing(kinematics, num_envs=n)
    task.begin(torch.ones(n, dtype=torch.bool), state)
    assert 1.0 <= float(task.speed.min()) < 1.01 and 4.98 < float(task.speed.max()) <= 5.0
    assert abs(float(torch.cos(task.heading).mean())) < 0.05, "any direction"
    small, sharp, speeds, steps = [], 0, 0, 300
    for _ in range(steps):
        before = task.heading, task.speed
        task.step(state)
        task.change_goals(state)
        turn = task.heading - before[0]
        small.append(turn[(turn != 0) & (turn.abs() < 0.6)])
        sharp += int((turn.abs() >= 0.6).sum())
        speeds += int((task.speed != before[1]).sum())
    turns = len(torch.cat(small)) + sharp
    # An interval is on the average 0.35 s, and ends with the step after: 0.35 + 0.5 / 30.
    assert turns == pytest.approx(n * steps * DT_S / (0.35 + 0.5 * DT_S), rel=0.03)
    assert float(torch.cat(small).std()) == pytest.approx(0.15, rel=0.05)
    # Of 1 % any turn, 0.81 are beyond 0.6 rad.
    assert sharp / turns == pytest.approx(0.01 * (1 - 0.6 / math.pi), rel=0.2)
    assert speeds / turns == pytest.approx(0.02, rel=0.15)


def test_steered_goals_change_by_hand_only_and_stay_over_episodes(
    humanoid: CharacterSpec, kinematics: Kinematics
) -> None:
    task, state = heading(humanoid), standing(kinematics)
    task.begin(ALL, state)
    task.set_goal(heading_deg=30.0)
    speed = task.speed
    for _ in range(100):
        task.step(state)
        task.change_goals(state)
    task.begin(ALL, state)
    torch.testing.assert_close(task.heading, torch.full((4,), math.radians(30.0)))
    assert torch.equal(task.speed, speed)


@pytest.mark.parametrize(
    "goal, says", [({"sped": 1.0}, "Unknown goal.*speed_m_s"), ({"speed_m_s": 9.0}, "from 1 to 5")]
)
def test_a_goal_that_cannot_be_is_refused(goal: Any, says: str, humanoid: CharacterSpec) -> None:
    with pytest.raises(Exception, match=says):
        heading(humanoid).set_goal(**goal)


def test_the_arrow_points_where_the_character_is_to_go(humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    task, state = heading(humanoid), standing(kinematics)
    state.body_pos = state.body_pos + torch.tensor([3.0, -1.0, 0.0])
    task.begin(ALL, state)
    task.set_goal(heading_deg=180.0, speed_m_s=2.0)
    (arrow,) = task.markers()
    assert arrow.kind == "arrow" and arrow.direction is not None
    torch.testing.assert_close(arrow.pos[0], torch.tensor([3.0, -1.0, 0.9]), atol=0.1, rtol=0)
    torch.testing.assert_close(arrow.direction[0], torch.tensor([-2.0, 0.0, 0.0]), atol=1e-5, rtol=0)


def test_errors_are_of_the_speed_and_of_the_direction_of_motion(
    humanoid: CharacterSpec, kinematics: Kinematics
) -> None:
    task, state = heading(humanoid), standing(kinematics)
    task.begin(ALL, state)
    task.set_goal(heading_deg=170.0, speed_m_s=3.0)
    state = moved(state, -1.0, 0.0)  # 180 deg at 1 m/s
    task.step(state)
    measured = task.metrics(state)
    torch.testing.assert_close(measured["speed_error_m_s"], torch.full((4,), 2.0), atol=1e-4, rtol=0)
    torch.testing.assert_close(measured["heading_error_deg"], torch.full((4,), 10.0), atol=1e-2, rtol=0)
    task.set_goal(heading_deg=-170.0)
    torch.testing.assert_close(task.metrics(state)["heading_error_deg"], torch.full((4,), 10.0), atol=1e-2, rtol=0)


def test_a_task_goes_on_from_its_state_bit_for_bit(humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    one, other, state = heading(humanoid), heading(humanoid, seed=7), standing(kinematics)
    one.begin(ALL, state)
    one.step(moved(state, 1.0, 0.0))
    other.set_state(one.get_state())
    other.generator.set_state(one.generator.get_state())
    for task in (one, other):
        for _ in range(40):
            task.step(state)
            task.change_goals(state)
    assert torch.equal(one.goal_obs(state), other.goal_obs(state)) and torch.equal(
        one.reward(state), other.reward(state)
    )
