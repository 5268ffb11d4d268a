"""`HumanoidAMPObstacles`: the strip, how it is seen, and that heights count from the ground."""

import math
from typing import Any

import pytest
import torch
from still_simulator import StillSimulator
from test_amp_env import config, hold
from test_heading import ALL, TaskConfig, moved, standing
from test_location import at

from amp_train.character import CharacterSpec, Kinematics
from amp_train.env import AmpEnv, make_env
from amp_train.env.tasks import TaskSetup, make_task, scene_of
from amp_train.env.tasks.obstacles import Obstacles, strip
from amp_train.errors import ConfigError


def obstacles(spec: CharacterSpec, **goal: Any) -> Obstacles:
    cfg = TaskConfig("HumanoidAMPObstacles", **goal)
    task = make_task(cfg, TaskSetup(StillSimulator(spec, 4, scene=scene_of(cfg)), torch.Generator().manual_seed(0)))
    assert isinstance(task, Obstacles)
    return task


def test_the_strip_is_whole_and_as_is_said(humanoid: CharacterSpec) -> None:
    stretches = list(strip(obstacles(humanoid).settings))
    assert [s.end for s in stretches[:-1]] == [s.begin for s in stretches[1:]], "no hole and no overlap"
    drawn = stretches[1:-1:2]
    assert len(drawn) == 16 and drawn[0].begin == 6.0
    gaps = [s for s in drawn if s.height == -math.inf]
    steps = [s for s in drawn if s.end - s.begin > 2.9]
    hurdles = [s for s in drawn if s not in gaps and s not in steps]
    assert gaps and steps and hurdles
    assert all(0.2 <= s.end - s.begin <= 0.6 for s in gaps)
    assert all(0.05 <= s.height <= 0.2 for s in steps) and all(0.1 <= s.height <= 0.3 for s in hurdles)
    assert list(strip(obstacles(humanoid, seed=2).settings)) != stretches
    assert list(strip(obstacles(humanoid).settings)) == stretches


def test_what_is_seen_ahead_is_the_ground_that_is_there(humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    task = obstacles(humanoid)
    scene = task.simulator.scene
    for x in (0.0, 7.3, 20.0, 41.7):
        state = at(standing(kinematics), x, 0.0)
        task.begin(ALL, state)
        ahead = torch.stack((x + torch.linspace(0.0, 10.0, 100), torch.zeros(100)), dim=-1)
        below = max(0.0, float(scene.height(torch.tensor([x, 0.0]))))
        seen, there = task.goal_obs(state)[0, 2:], scene.height(ahead) - below
        # Ground is known to the centimetre: a sample at an edge may be of the other side.
        assert int(((seen - there).abs() > 1e-4).sum()) <= 4 and bool((seen != 0).any())
        assert float(task.ground_height(state)[0]) == pytest.approx(below)


def test_the_direction_is_that_of_the_strip(humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    task = obstacles(humanoid)
    seen = task.goal_obs(standing(kinematics, math.pi / 2))  # facing y, the strip is to the right
    torch.testing.assert_close(seen[:, :2], torch.tensor([[0.0, -1.0]] * 4), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "reward, x_m_s, expected", [("paper", 1.5, math.exp(-0.25)), ("paper", -0.5, math.exp(-2.25)), ("code", -0.5, 0.0)]
)
def test_the_reward_is_for_speed_along_the_strip(
    reward: str, x_m_s: float, expected: float, humanoid: CharacterSpec, kinematics: Kinematics
) -> None:
    task, state = obstacles(humanoid, reward=reward), standing(kinematics)
    task.begin(ALL, state)
    after = moved(state, x_m_s, 4.0)
    task.step(after)
    torch.testing.assert_close(task.reward(after), torch.full((4,), expected), atol=1e-4, rtol=0)


def env_of(**goal: Any) -> AmpEnv:
    cfg = config(state_init="Default", contact_bodies=["right_foot", "left_foot", "right_shin", "left_shin"])
    cfg.task.name, cfg.task.goal = "HumanoidAMPObstacles", goal
    return make_env(cfg)


@pytest.mark.mujoco
def test_who_stands_on_a_step_is_observed_as_on_the_floor_and_who_stands_over_a_gap_falls() -> None:
    env = env_of()
    level = env.reset()
    stretches = list(strip(env.task.settings))
    step = next(s for s in stretches if 0.05 <= s.height <= 0.2 and s.end - s.begin > 2.9)
    gap = next(s for s in stretches if s.height == -math.inf)
    state = env.state.clone()
    for n, (x, height) in enumerate([(0.5 * (step.begin + step.end), step.height), (0.5 * (gap.begin + gap.end), 0.0)]):
        offset = torch.tensor([x, 0.0, height]) - state.root_pos[n] * torch.tensor([1.0, 1.0, 0.0])
        state.root_pos[n] += offset
        state.body_pos[n] += offset
    env.simulator.set_state(torch.arange(6), state)
    obs, _, _, infos = env.step(hold(env))
    torch.testing.assert_close(obs[0, :105], obs[2, :105], atol=1e-3, rtol=0)
    assert abs(float(obs[0, 0] - level[2, 0])) < 0.02 and float(env.state.root_pos[0, 2]) > 0.9
    fell = []
    for _ in range(30):
        fell.append(infos["terminate"].tolist())
        infos = env.step(hold(env))[3]
        env._done[:] = False
    assert any(row[1] for row in fell) and not any(row[0] for row in fell[:5])


@pytest.mark.parametrize(
    "goal, says", [({"first_m": 2.0}, "first_m 4 to 100 m"), ({"gap_m": [0.6, 0.2]}, "gap_m must")]
)
def test_a_strip_that_cannot_be_is_refused(goal: Any, says: str, humanoid: CharacterSpec) -> None:
    with pytest.raises(ConfigError, match=says):
        obstacles(humanoid, **goal)
