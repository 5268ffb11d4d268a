"""Style reward: the formula of IsaacGymEnvs without its loss of digits."""

import math

import pytest
import torch

from amp_train.learning import style_reward
from amp_train.learning.discriminator import combine_rewards, lsgan_style_reward


def test_style_reward_equals_the_formula_of_isaacgymenvs():
    logit = torch.linspace(-8.0, 8.0, 33, dtype=torch.float64).unsqueeze(-1)
    probability = 1.0 / (1.0 + torch.exp(-logit))
    naive = -torch.log(torch.clamp(1.0 - probability, min=1e-4)) * 2.0
    torch.testing.assert_close(style_reward(logit, 2.0), naive, atol=1e-12, rtol=1e-9)  # float64


def test_style_reward_of_an_undecided_discriminator_is_log_two():
    assert style_reward(torch.zeros(1, 1), 1.0).item() == pytest.approx(math.log(2.0), rel=1e-6)


def test_style_reward_is_capped_and_finite_however_sure_the_discriminator():
    reward = style_reward(torch.tensor([[-200.0], [200.0]]), 2.0)
    assert reward[0].item() == pytest.approx(0.0, abs=1e-30)
    assert reward[1].item() == pytest.approx(-2.0 * math.log(1e-4), rel=1e-6)


def test_lsgan_reward_is_one_at_the_demonstrations_target_and_zero_at_the_agents():
    # 1 - 0.25 (d - 1)^2 at d = 1, 0, -1, -3: 1, 0.75, 0, below 0 and so cut off.
    reward = lsgan_style_reward(torch.tensor([1.0, 0.0, -1.0, -3.0]), 2.0)
    torch.testing.assert_close(reward, torch.tensor([2.0, 1.5, 0.0, 0.0]))


def test_rewards_are_weighted_each_with_its_own_weight():
    combined = combine_rewards(torch.tensor([[1.0]]), torch.tensor([[10.0]]), task_reward_w=0.3, disc_reward_w=0.7)
    assert combined.item() == pytest.approx(0.3 * 1.0 + 0.7 * 10.0)
