"""`HumanoidAMPGetup`: who gets up, for how long, for what reward, and which falls end an episode."""

from typing import Any

import pytest
import torch
from still_simulator import StillSimulator
from test_amp_env import config, hold, lay_down
from test_heading import ALL, DT_S, TaskConfig, moved, standing

from amp_train import rotations
from amp_train.character import CharacterSpec, CharacterState, Kinematics
from amp_train.env import AmpEnv, make_env
from amp_train.env.tasks import TaskSetup, make_task
from amp_train.env.tasks.getup import Getup

NONE = torch.zeros(4, dtype=torch.bool)


def getup(spec: CharacterSpec, **goal: Any) -> Getup:
    setup = TaskSetup(StillSimulator(spec, 4), torch.Generator().manual_seed(0))
    task = make_task(TaskConfig("HumanoidAMPGetup", **goal), setup)
    assert isinstance(task, Getup)
    return task


def lowered(state: CharacterState, by_m: float) -> CharacterState:
    low = state.clone()
    low.root_pos[:, 2] -= by_m
    low.body_pos[..., 2] -= by_m
    return low


def test_who_begins_low_is_rewarded_for_height_until_the_time_is_up(
    humanoid: CharacterSpec, kinematics: Kinematics
) -> None:
    task, up = getup(humanoid, getup_s=0.2), standing(kinematics)
    low = lowered(up, 0.7)  # pelvis at 0.89 - 0.7, head at 1.35 - 0.7
    task.begin(torch.tensor([True, True, False, False]), low)
    task.begin(torch.tensor([False, False, True, True]), up)
    assert task.getting_up.tolist() == [True, True, False, False]
    assert task.goal_obs(up)[:, 3].tolist() == [1.0, 1.0, 0.0, 0.0]
    task.set_goal(heading_deg=0.0, speed_m_s=2.0)
    task.step(low)
    height_reward = 0.2 * (0.89 - 0.7) / 0.5 + 0.8 * (1.35 - 0.7) / 1.3
    assert task.reward(low)[:2].tolist() == pytest.approx([height_reward] * 2, abs=1e-3)
    later = moved(low, 2.0, 0.0)
    task.step(later)
    assert task.reward(later)[2:].tolist() == pytest.approx([1.0, 1.0], abs=1e-3)
    assert task.goal_obs(low)[0, 3] == pytest.approx(1.0 - 2 * DT_S / 0.2, abs=1e-4)
    for _ in range(4):
        task.step(low)
    assert not bool(task.getting_up.any())
    later = moved(low, 2.0, 0.0)
    task.step(later)
    assert task.reward(later).tolist() == pytest.approx([1.0] * 4, abs=1e-3)


def test_a_fall_counts_after_the_time_for_getting_up_only(humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    task, up = getup(humanoid, getup_s=0.1), standing(kinematics)
    task.begin(ALL, lowered(up, 0.7))
    assert task.forgives(up, ALL).tolist() == [True] * 4
    for _ in range(4):
        task.step(up)
    assert task.forgives(up, ALL).tolist() == [False] * 4


def test_where_falls_end_nothing_they_begin_a_get_up(humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    task, up = getup(humanoid, fall_ends=False), standing(kinematics)
    task.begin(ALL, up)
    fallen = torch.tensor([False, True, False, False])
    assert task.forgives(up, fallen).tolist() == [True] * 4
    assert torch.equal(task.getting_up, fallen)
    task.step(up)
    left = task.goal_obs(up)[1, 3]
    task.forgives(up, fallen)
    assert task.goal_obs(up)[1, 3] == left, "who lies does not begin anew at each step"


def test_success_is_to_stand_before_the_time_is_up(humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    task, up = getup(humanoid, getup_s=0.5), standing(kinematics)
    low = lowered(up, 0.7)
    task.begin(ALL, low)
    risen = up.clone()
    risen.body_pos[2:] = low.body_pos[2:]  # two stay down
    said = []
    for step in range(20):
        task.step(low if step < 6 else risen)
        said.append({name: value.tolist() for name, value in task.metrics(risen).items()})
    stood = [(s, v) for s, m in enumerate(said) for v in m["time_to_stand_s"] if v == v]
    assert stood == [(6, pytest.approx(7 * DT_S))] * 2
    shares = [(s, m["stood_up_share"]) for s, m in enumerate(said) if m["stood_up_share"][0] == m["stood_up_share"][0]]
    assert len(shares) == 1 and shares[0][0] in (14, 15) and shares[0][1] == [1.0, 1.0, 0.0, 0.0]
    assert said[5]["speed_error_m_s"][0] != said[5]["speed_error_m_s"][0], "no heading is followed meanwhile"
    assert said[19]["speed_error_m_s"][0] >= 0.0


def test_a_get_up_is_judged_after_three_seconds_though_its_time_is_not_up(
    humanoid: CharacterSpec, kinematics: Kinematics
) -> None:
    task, up = getup(humanoid, getup_s=3.8), standing(kinematics)
    low = lowered(up, 0.7)
    task.begin(ALL, low)
    judged = []
    for step in range(round(3.8 / DT_S)):
        task.step(low if step * DT_S < 3.2 else up)  # too late
        share = task.metrics(up)["stood_up_share"]
        if not share.isnan().any():
            judged.append((step + 1, share.tolist()))
    assert judged == [(round(3.0 / DT_S), [0.0] * len(ALL))]


def env_of(**goal: Any) -> AmpEnv:
    cfg = config(state_init="Default")
    cfg.task.name, cfg.task.goal = "HumanoidAMPGetup", goal
    return make_env(cfg)


@pytest.mark.mujoco
@pytest.mark.parametrize("go_on_prob", [0.0, 1.0])
def test_an_episode_after_a_fall_begins_anew_or_where_it_lies(go_on_prob: float) -> None:
    env = env_of(go_on_prob=go_on_prob)
    env.reset()
    lay_down(env, 2)
    obs, _, done, infos = env.step(hold(env))
    assert done.tolist() == infos["terminate"].tolist() == [False, False, True, False, False, False]
    before, frames = env.state.root_pos[2].clone(), env._history.frames[2].clone()
    again = env.reset_done()
    assert env._progress.tolist() == [1, 1, 0, 1, 1, 1]
    lies = bool(torch.equal(env.state.root_pos[2], before))
    assert lies == bool(go_on_prob) == bool(torch.equal(env._history.frames[2], frames))
    assert bool(env.task.getting_up[2]) == lies and again[2, -1] == float(lies)
    if lies:
        for _ in range(20):  # no fall is judged now
            assert not bool(env.step(hold(env))[3]["terminate"][2])
            env.reset_done()


@pytest.mark.mujoco
def test_what_was_to_go_on_from_its_fall_does_so_after_a_restart() -> None:
    env, other = env_of(go_on_prob=1.0), env_of(go_on_prob=1.0)
    env.reset()
    lay_down(env, 2)
    env.step(hold(env))
    other.set_state(env.get_state())
    assert torch.equal(env.reset_done(), other.reset_done())
    assert torch.equal(env.state.root_pos, other.state.root_pos) and bool(other.task.getting_up[2])


def test_only_failures_go_on(humanoid: CharacterSpec) -> None:
    going_on = getup(humanoid, go_on_prob=1.0).goes_on(torch.tensor([True, False, True, False]))
    assert going_on is not None and going_on.tolist() == [True, False, True, False]


@pytest.mark.mujoco
def test_dropped_characters_begin_anywhere_near_the_ground_and_get_up() -> None:
    env = env_of(drop_prob=1.0)
    obs = env.reset()
    state = env.state
    assert state.body_pos[..., 2].amin(-1).tolist() == pytest.approx([0.2] * 6, abs=1e-3)
    assert float(state.dof_vel.abs().max()) == 0.0 and float(state.root_vel.abs().max()) == 0.0
    up = torch.tensor([0.0, 0.0, 1.0]).expand(6, 3)
    upright = rotations.quat_rotate(state.root_rot, up)[:, 2]
    assert float(upright.min()) < 0.0 < float(upright.max()), "turned in all directions"
    assert bool(env.task.getting_up.all())
    torch.testing.assert_close(obs[:, :105], env._demos.observe(state), atol=2e-4, rtol=0)
    assert torch.equal(env._history.frames[:, 0], env._history.frames[:, 1])


def test_the_head_of_a_dropped_character_is_low(humanoid: CharacterSpec) -> None:
    task, rows = getup(humanoid, drop_prob=1.0), torch.zeros(2000, 3)
    spec = humanoid
    some = CharacterState(
        rows,
        rows.new_zeros(2000, 4),
        rows,
        rows,
        *(rows.new_zeros(2000, spec.num_dofs) for _ in range(2)),
        *(rows.new_zeros(2000, spec.num_bodies, n) for n in (4, 3, 4)),
    )
    put = task.put(some)
    assert put is not None
    state, _ = put
    heights = state.body_pos[..., 2]
    assert float(heights[:, task._head].max()) < 1.0, "or its fall would end the episode"
    torch.testing.assert_close(heights.amin(-1), torch.full((2000,), 0.2), atol=1e-4, rtol=0)
    upright = rotations.quat_rotate(state.root_rot, torch.tensor([0.0, 0.0, 1.0]).expand(2000, 3))[:, 2]
    assert float(upright.min()) < -0.95 and 0.3 < float(upright.max()), "turned in all directions"


@pytest.mark.mujoco
def test_a_share_of_the_episodes_begins_dropped() -> None:
    cfg = config(state_init="Default", num_envs=200)
    cfg.task.name, cfg.task.goal = "HumanoidAMPGetup", {"drop_prob": 0.25}
    env = make_env(cfg)
    env.reset()
    standing_still = env.state.dof_pos.abs().amax(-1) == 0.0
    # Binomial(200, 0.75): five standard deviations are 31.
    assert 119 <= int(standing_still.sum()) <= 181
