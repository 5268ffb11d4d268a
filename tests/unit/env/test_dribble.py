"""`HumanoidAMPDribble`: its reward, what is seen of the ball, and a ball that is kicked in the simulator."""

import math
from typing import Any, Tuple

import pytest
import torch
from still_simulator import StillSimulator
from test_amp_env import config, hold, lay_down, rollout
from test_heading import ALL, TaskConfig, moved, standing

from amp_train import rotations
from amp_train.character import CharacterSpec, Kinematics
from amp_train.env import AmpEnv, make_env
from amp_train.env.tasks import TaskSetup, make_task, scene_of
from amp_train.env.tasks.dribble import Dribble


def dribble(spec: CharacterSpec, num_envs: int = 4, **goal: Any) -> Tuple[Dribble, StillSimulator]:
    cfg = TaskConfig("HumanoidAMPDribble", **goal)
    simulator = StillSimulator(spec, num_envs, scene=scene_of(cfg))
    task = make_task(cfg, TaskSetup(simulator, torch.Generator().manual_seed(0)))
    assert isinstance(task, Dribble)
    return task, simulator


# Ball 1 m ahead along x, place 3 m beyond it; the character's centre is at the origin within a centimetre.
@pytest.mark.parametrize(
    "reward, character_m_s, ball_m_s, expected",
    [
        ("code", 1.5, 2.0, 0.1 + 0.1 * math.exp(-0.5) + 0.3 + 0.5 * math.exp(-1.5)),
        ("code", 0.5, 0.0, 0.1 * math.exp(-1.5 / 4) + 0.1 * math.exp(-0.5) + 0.3 / math.e + 0.5 * math.exp(-1.5)),
        ("code", 1.0, -1.0, 0.1 + 0.1 * math.exp(-0.5) + 0.3 * math.exp(-4) + 0.5 * math.exp(-1.5)),
        ("paper", 1.5, 2.0, 0.1 + 0.1 * math.exp(-0.5) + 0.3 + 0.5 * math.exp(-8)),
    ],
)
def test_the_reward_is_for_reaching_the_ball_and_bringing_it_on(
    reward: str, character_m_s: float, ball_m_s: float, expected: float, humanoid: CharacterSpec, kinematics: Kinematics
) -> None:
    task, simulator = dribble(humanoid, reward=reward)
    before = standing(kinematics)
    after = moved(before, character_m_s, 0.0)
    task.begin(ALL, before)
    task.set_goal(x_m=4.0, y_m=0.0)
    simulator.objects.pos[:] = torch.tensor([1.0, 0.0, 0.2])
    simulator.objects.vel[:] = torch.tensor([ball_m_s, 3.0, 0.0])
    task.step(after)
    torch.testing.assert_close(task.reward(after), torch.full((4,), expected), atol=0.02, rtol=0)


def test_it_is_done_with_ball_and_character_at_the_place(humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    task, simulator = dribble(humanoid)
    state = standing(kinematics)
    task.begin(ALL, state)
    for place_m, ball_m, is_done in ((1.4, 1.0, True), (1.6, 1.0, False), (2.5, 2.1, False)):
        task.set_goal(x_m=place_m, y_m=0.0)
        simulator.objects.pos[:] = torch.tensor([ball_m, 0.0, 0.2])
        task.step(state)
        assert bool((task.reward(state) == 1.0).all()) == is_done, (place_m, ball_m)


def test_ball_and_place_are_seen_from_the_character(humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    task, simulator = dribble(humanoid)
    state = standing(kinematics, math.pi / 2)  # facing y, so x is to the right
    task.begin(ALL, state)
    task.set_goal(x_m=1.0, y_m=4.0)
    simulator.objects.pos[:] = torch.tensor([1.0, 2.0, 0.3])
    simulator.objects.vel[:] = torch.tensor([0.0, 3.0, 1.0])
    simulator.objects.ang_vel[:] = torch.tensor([5.0, 0.0, 7.0])
    simulator.objects.rot[:] = rotations.yaw_quat(torch.tensor(math.pi / 2))
    task.step(state)
    expected = [2 / 5**0.5, -1 / 5**0.5, 5**0.5, 1, 0, 2, 0.3, 1, 0, 0, 0, 0, 1, 3, 0, 1, 0, -5, 7]
    seen = task.goal_obs(state)
    torch.testing.assert_close(seen, torch.tensor([expected] * 4, dtype=torch.float32), atol=1e-5, rtol=0)


def test_balls_and_places_lie_where_is_said(humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    n = 3000
    task, simulator = dribble(humanoid, num_envs=n, ball_distance_m=[1.0, 4.0], place_distance_m=[2.0, 3.0])
    chosen = torch.arange(n) % 2 == 0
    task.begin(chosen, standing(kinematics, num_envs=n))
    ball, place = simulator.objects.pos[chosen, 0], task.place[chosen]
    distance = ball[:, :2].norm(dim=-1)
    assert 1.0 <= float(distance.min()) < 1.05 and 3.95 < float(distance.max()) <= 4.001
    assert abs(float(ball[:, 0].mean())) < 0.2 and ball[:, 2].unique().tolist() == [pytest.approx(0.2)]
    apart = (place - ball[:, :2]).norm(dim=-1)
    assert 2.0 <= float(apart.min()) and float(apart.max()) <= 3.001
    assert bool((simulator.objects.pos[~chosen, 0] == torch.tensor([1.0, 1.0, 0.2])).all())


def test_a_ball_too_far_away_is_lost(humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    task, simulator = dribble(humanoid)
    state = standing(kinematics)
    task.begin(ALL, state)
    for ball_m, place_m, lost in ((19.9, 10.0, False), (20.1, 10.0, True), (5.0, 25.5, True)):
        task.set_goal(x_m=place_m, y_m=0.0)
        simulator.objects.pos[:] = torch.tensor([ball_m, 0.0, 0.2])
        task.step(state)
        assert task.failed(state).tolist() == [lost] * 4, (ball_m, place_m)


def env_of(seed: int = 3) -> AmpEnv:
    legs = ["right_foot", "left_foot", "right_shin", "left_shin", "right_thigh", "left_thigh"]
    cfg = config(seed=seed, contact_bodies=legs)
    cfg.task.name, cfg.task.goal = "HumanoidAMPDribble", {"ball_distance_m": [0.5, 1.0]}
    return make_env(cfg)


@pytest.mark.mujoco
def test_a_moving_ball_is_seen_and_only_its_own_world_begins_with_a_new_one() -> None:
    env = env_of()
    obs = env.reset()
    assert obs.shape == (6, 124)
    objects = env.simulator.object_state().clone()
    objects.vel[:, 0] = torch.tensor([3.0, 0.0, 0.0])
    env.simulator.set_object_state_where(torch.ones(6, dtype=torch.bool), objects)
    lay_down(env, 2)
    seen, _, done, infos = env.step(hold(env))
    assert bool(infos["terminate"][2])
    ball = env.simulator.object_state()
    assert bool((ball.pos[:, 0, 0] > objects.pos[:, 0, 0] + 0.05).all())
    torch.testing.assert_close(seen[:, 118:121], rotations.rotate_to_heading(env.state.root_rot, ball.vel)[:, 0])
    env.reset_done()
    after = env.simulator.object_state().pos[:, 0]
    assert torch.equal((after != ball.pos[:, 0]).any(-1), done)


@pytest.mark.mujoco
def test_a_ball_continues_bit_for_bit() -> None:
    env, other = env_of(), env_of(seed=99)
    env.reset()
    rollout(env, 10)
    other.set_state(env.get_state())
    assert torch.equal(rollout(env, 40), rollout(other, 40))
