"""What is recorded of episodes, and the clips they are compared with."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from amp_train.config import compose, resolve
from amp_train.env import make_env
from amp_train.evaluation.episodes import TIME_LIMIT
from amp_train.motion import MotionLibrary, load_clip
from amp_train.paths import MOTIONS_DIR
from amp_train.runner.episodes import (
    clip_references,
    fall_cause,
    power_w,
    record_episodes,
    recorded_library,
    set_up_episodes,
)
from amp_train.runner.vec_env import AMPVecEnv


def test_power_is_torque_times_velocity_with_the_drive_limited(humanoid, kinematics):
    state = kinematics.default_state(2)
    target = torch.zeros(2, humanoid.num_dofs)
    knee = humanoid.dof_offsets[humanoid.joint_names.index("right_knee")]
    state.dof_pos[:, knee] = torch.tensor([0.1, 2.0])
    state.dof_vel[:, knee] = 2.0
    # 300 N m/rad, 30 N m s/rad, at most 100 N m: |-30 - 60| * 2 and |-600 - 60| limited.
    torch.testing.assert_close(power_w(state, target, humanoid), torch.tensor([180.0, 200.0]), atol=1e-2, rtol=0)


def test_a_reference_is_one_pass_of_the_clip_at_the_control_rate(humanoid):
    clips = [load_clip(MOTIONS_DIR / name) for name in ("walk.npz", "kick.npz")]
    library = MotionLibrary(clips, [3.0, 1.0], spec=humanoid)
    walk, kick = clip_references(library, 1 / 30)
    assert (walk.name, walk.weight, len(walk), len(kick)) == ("walk", 0.75, 38, 46)
    state = library.state_at(torch.tensor([0, 1]), torch.zeros(2))
    torch.testing.assert_close(walk.body_pos[0], state.body_pos[0])
    torch.testing.assert_close(kick.dof_pos[0], state.dof_pos[1])
    assert walk.turn_rad == pytest.approx(0.0, abs=1e-4) and kick.turn_rad == 0.0
    assert walk.speed_m_s == pytest.approx(0.98, abs=0.01)


def test_a_clip_that_turns_says_by_how_much_a_pass(humanoid):
    walk = load_clip(MOTIONS_DIR / "walk.npz")
    library = MotionLibrary([walk], spec=humanoid)
    library._turn = torch.tensor([0.4])
    (reference,) = clip_references(library, 1 / 30)
    assert reference.turn_rad == pytest.approx(0.4, abs=1e-4)


@pytest.mark.mujoco
def test_episodes_of_a_retimed_clip_begin_evenly_in_it_and_are_measured_by_the_recorded_one():
    cfg = set_up_episodes(resolve(compose(["num_threads=1", "motion=spin"])), 2, 0.5, seed=1)
    env = make_env(cfg)
    (reference,) = clip_references(recorded_library(cfg, env), env.control_dt_s)
    assert len(reference) == 132 and float(env.motion_library.durations_s[0]) == pytest.approx(4.18, abs=0.02)
    assert env._resets.adaptive is None
    env.close()


@pytest.fixture(scope="module")
def recorded():
    cfg = set_up_episodes(resolve(compose(["num_threads=1", "motion=walk"])), 3, 0.5, seed=1)
    env = make_env(cfg)
    seen = []

    def act(obs):
        # Environment 0 goes limp to one side and falls; the others are put back into their clip at every step.
        action = torch.zeros(3, env.num_actions)
        seen.append(env.state.clone())
        others = torch.tensor([1, 2])
        env.simulator.set_state(others, env.motion_library.state_at(torch.zeros(2, dtype=torch.long), torch.zeros(2)))
        if len(seen) == 5:
            lying = env.state[:1].clone()
            lying.root_pos[:, 2] = 0.3
            env.simulator.set_state(torch.tensor([0]), lying)
        return action

    episodes = record_episodes(cfg, AMPVecEnv(env, "cpu"), act, lambda amp_obs: (amp_obs[:, 0], amp_obs[:, 0] * 2))
    env.close()
    return cfg, episodes, seen


@pytest.mark.mujoco
def test_episodes_last_until_the_fall_or_the_time_limit(recorded):
    _, episodes, _ = recorded
    assert episodes.lengths.tolist() == [5, 15, 15]
    assert episodes.ends[1:] == (TIME_LIMIT, TIME_LIMIT) and "sank" in episodes.ends[0]
    assert episodes.num_falls == 1 and episodes.valid.sum().item() == 35
    assert episodes.control_dt_s == pytest.approx(1 / 30)


@pytest.mark.mujoco
def test_rows_are_what_the_environment_showed_after_each_step(recorded):
    _, episodes, seen = recorded
    torch.testing.assert_close(episodes.body_pos[0, 0], seen[1].body_pos[0])
    torch.testing.assert_close(episodes.disc_logit * 2, episodes.style_reward)
    torch.testing.assert_close(episodes.disc_logit[0, 0], seen[1].root_pos[0, 2])  # the observation begins with it


@pytest.mark.mujoco
def test_episodes_begin_in_different_phases(recorded):
    _, _, seen = recorded
    assert (seen[0].dof_pos[0] - seen[0].dof_pos[1]).abs().max() > 0.05


def test_a_fall_is_named_after_the_body(humanoid, kinematics):
    state = kinematics.default_state(1)
    state.contact_force = torch.zeros(1, humanoid.num_bodies, 3)
    library = SimpleNamespace(min_body_height=state.body_pos[..., 2].clone())
    env = SimpleNamespace(spec=replace(humanoid), motion_library=library)
    cfg = compose([])
    hand = humanoid.body_names.index("left_hand")
    state.contact_force[0, hand, 2] = 5.0
    assert fall_cause(cfg, env, state, 0) == "left_hand touched"
    state.body_pos[0, humanoid.body_names.index("head"), 2] *= 0.5
    assert fall_cause(cfg, env, state, 0) == "head sank"
    env.spec = replace(humanoid, contact_body_ids=range(humanoid.num_bodies))
    upright = kinematics.default_state(1)
    upright.contact_force = state.contact_force
    assert fall_cause(compose(["motion=roll"]), env, upright, 0) == "diverged"
    upright.root_pos[0, 2] = 0.2
    assert fall_cause(compose(["motion=roll"]), env, upright, 0) == "stayed low"
    state.body_pos[0, 3] = float("nan")
    assert fall_cause(cfg, env, state, 0) == "diverged"
