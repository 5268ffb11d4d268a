"""What playing measures: the same number of episodes in every environment, however short."""

from types import SimpleNamespace

import pytest
import torch

from amp_train.runner.playback import PlayMeter


def flags(*values):
    return torch.tensor(values, dtype=torch.bool)


@pytest.fixture
def env():
    library = SimpleNamespace(mean_root_speed=torch.tensor([1.0, 3.0]), weights=torch.tensor([0.75, 0.25]))
    return SimpleNamespace(
        num_envs=2,
        device=torch.device("cpu"),
        control_dt_s=0.5,
        motion_library=library,
        task=SimpleNamespace(goal_size=1),
    )


def test_an_environment_stops_counting_when_its_episodes_are_done(env):
    meter = PlayMeter(quota=1)
    meter.on_start(env)

    def add(state, done, terminated, style_reward):
        step = SimpleNamespace(state=state, done=done, terminated=terminated, style_reward=style_reward)
        step.task_reward = 0.25 * style_reward
        meter.on_step(step)

    walking = SimpleNamespace(root_vel=torch.tensor([[3.0, 4.0, 100.0], [0.0, 1.0, 0.0]]))
    add(walking, flags(1, 0), flags(1, 0), torch.tensor([2.0, 4.0]))  # the first falls
    add(walking, flags(1, 0), flags(1, 0), torch.tensor([9.0, 4.0]))  # its second episode does not count
    add(walking, flags(0, 1), flags(0, 0), torch.tensor([9.0, 4.0]))  # the second reaches the time limit
    result = meter.result(env)
    assert (result.episodes, result.falls) == (2, 1)
    assert result.mean_episode_s == pytest.approx((1 + 3) / 2 * 0.5)
    assert result.root_speed_m_s == pytest.approx((5.0 + 3 * 1.0) / 4)  # horizontal
    assert result.clip_speed_m_s == pytest.approx(0.75 * 1.0 + 0.25 * 3.0)
    assert result.style_reward == pytest.approx((2.0 + 3 * 4.0) / 4)
    assert result.task_reward == pytest.approx(0.25 * result.style_reward)
