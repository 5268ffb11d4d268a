"""Diverged physics is counted on the device and the first worlds are kept as they were before the step."""

import numpy as np
import pytest
import torch
from test_amp_env import config, hold

from amp_train.env import make_env
from amp_train.env.divergence import KEPT, save_dump
from amp_train.sim.mujoco_state import MujocoState

pytestmark = pytest.mark.mujoco


@pytest.fixture
def env():
    made = make_env(config(num_envs=12))
    made.reset()
    return made


def diverge(env, monkeypatch, *env_ids):
    """Let the simulator say that these worlds diverge, and step."""
    mask = torch.zeros(env.num_envs, dtype=torch.bool)
    mask[list(env_ids)] = True
    monkeypatch.setattr(env.simulator, "diverged", lambda: mask)
    before, action = env.state.clone(), hold(env)
    env.step(action)
    return before, action


def test_without_divergence_only_steps_are_counted(env):
    for _ in range(3):
        env.step(hold(env))
        env.reset_done()
    found = env.pop_divergences()
    assert (found.num_diverged, found.num_steps, len(found.env_ids)) == (0, 36, 0)
    assert env.pop_divergences().num_steps == 0


def test_the_state_before_the_step_is_kept_with_its_action(env, monkeypatch):
    env.step(hold(env))
    env.reset_done()
    before, action = diverge(env, monkeypatch, 3, 7)
    found = env.pop_divergences()
    assert (found.num_diverged, found.env_ids.tolist()) == (2, [3, 7])
    assert torch.equal(found.actions, action[[3, 7]])
    assert torch.equal(found.before[:, :3], before.root_pos[[3, 7]])
    assert torch.equal(found.before[:, -28:], before.dof_vel[[3, 7]])
    assert torch.equal(found.after[:, :3], env.state.root_pos[[3, 7]])


def test_a_world_that_was_restarted_is_kept_as_it_began(env, monkeypatch):
    diverge(env, monkeypatch, 5)
    env.reset_done()
    began = env.state.root_pos[5].clone()
    env.pop_divergences()
    diverge(env, monkeypatch, 5)
    # The clip's state goes through the simulator's numbers.
    torch.testing.assert_close(env.pop_divergences().before[0, :3], began, atol=1e-6, rtol=0)


def test_the_first_few_worlds_are_kept_and_all_are_counted(env, monkeypatch):
    diverge(env, monkeypatch, 1, 2)
    env.reset_done()
    diverge(env, monkeypatch, *range(12))
    diverge(env, monkeypatch, *range(12))
    found = env.pop_divergences()
    assert found.num_diverged == 26 and KEPT == 8
    assert found.env_ids.tolist() == [1, 2, 0, 1, 2, 3, 4, 5]


def test_a_dump_puts_the_simulator_back_before_the_step(env, monkeypatch, tmp_path):
    env.step(hold(env))
    env.reset_done()
    layout = MujocoState(env.spec)
    qpos, qvel = layout.qpos(env.state)[4], layout.qvel(env.state)[4]
    _, action = diverge(env, monkeypatch, 4)
    save_dump(tmp_path / "dump.npz", env.pop_divergences(), env.spec, iteration=17)
    dump = np.load(tmp_path / "dump.npz")
    assert (int(dump["iteration"]), dump["env_id"].tolist()) == (17, [4])
    np.testing.assert_array_equal(dump["action"][0], action[4].numpy())
    # Joint rotations go through float32 exponential maps.
    np.testing.assert_allclose(dump["qpos"][0], qpos.numpy(), atol=2e-6)
    np.testing.assert_allclose(dump["qvel"][0], qvel.numpy(), atol=1e-5)
    assert {"before_root_rot", "after_dof_vel"} <= set(dump.files)


def test_a_continued_environment_knows_the_states_it_goes_on_from(env, monkeypatch):
    env.step(hold(env))
    env.reset_done()
    other = make_env(config(num_envs=12, seed=99))
    other.set_state(env.get_state())
    before, _ = diverge(other, monkeypatch, 2)
    assert torch.equal(other.pop_divergences().before[0, :3], before.root_pos[2])
