"""The environment as rl_games sees it, and AMP as rl_games knows it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from amp_train.runner.rl_games import make_runner
from amp_train.runner.vec_env import AMPVecEnv


class CountingEnv:
    """Stands in for AmpEnv: what passes through the adapter is told apart by its value."""

    num_envs, obs_size, amp_obs_size, num_actions = 3, 5, 10, 2
    device = torch.device("cpu")

    def reset(self):
        return torch.full((3, 5), 1.0)

    def reset_done(self):
        return torch.full((3, 5), 2.0)

    def spread_episodes(self):
        self.are_spread = True

    def step(self, action):
        self.action = action
        infos = {"amp_obs": torch.full((3, 10), 4.0), "terminate": torch.tensor([True, False, False])}
        return torch.full((3, 5), 3.0), torch.ones(3), torch.tensor([True, True, False]), infos

    def fetch_amp_obs_demo(self, n):
        return torch.full((n, 10), 5.0)


@pytest.fixture
def vec_env():
    return AMPVecEnv(CountingEnv(), "cpu")


def test_spaces_are_those_of_the_environment(vec_env):
    info = vec_env.get_env_info()
    assert info["observation_space"].shape == (5,)
    assert info["amp_observation_space"].shape == (10,)
    assert info["action_space"].shape == (2,)
    assert np.all(info["action_space"].low == -1) and np.all(info["action_space"].high == 1)
    assert vec_env.get_number_of_agents() == 1


def test_a_step_returns_the_states_before_any_reset(vec_env):
    action = torch.rand(3, 2)
    obs, rewards, dones, infos = vec_env.step(action)
    assert torch.equal(vec_env.env.action, action)
    assert obs.eq(3).all() and infos["amp_obs"].eq(4).all() and rewards.eq(1).all()
    assert dones.tolist() == [True, True, False] and infos["terminate"].tolist() == [True, False, False]
    assert vec_env.reset_done().eq(2).all()
    assert vec_env.reset().eq(1).all()
    assert vec_env.fetch_amp_obs_demo(4).shape == (4, 10)


def test_the_episodes_of_a_training_alone_are_spread(vec_env):
    training = AMPVecEnv(CountingEnv(), "cpu", spread_episodes=True)
    assert training.reset().eq(1).all() and training.env.are_spread
    vec_env.reset()
    assert not hasattr(vec_env.env, "are_spread")


def test_tensors_arrive_on_the_learners_device():
    vec_env = AMPVecEnv(CountingEnv(), "meta")  # a device that every machine has
    obs, rewards, dones, infos = vec_env.step(torch.rand(3, 2))
    tensors = [
        obs,
        rewards,
        dones,
        *infos.values(),
        vec_env.reset(),
        vec_env.reset_done(),
        vec_env.fetch_amp_obs_demo(2),
    ]
    assert {tensor.device.type for tensor in tensors} == {"meta"}


def test_a_runner_knows_amp_by_the_names_of_isaacgymenvs():
    runner = make_runner()
    assert "amp_continuous" in runner.algo_factory._builders and "amp_continuous" in runner.player_factory._builders


def test_the_end_of_an_iteration_is_told_as_the_next_one_begins():
    ended = []
    vec_env = AMPVecEnv(SimpleNamespace(num_envs=1), "cpu", ended.append)
    vec_env.set_train_info(1024, SimpleNamespace(epoch_num=5))
    AMPVecEnv(SimpleNamespace(num_envs=1), "cpu").set_train_info(1024, SimpleNamespace(epoch_num=5))
    assert ended == [4]
