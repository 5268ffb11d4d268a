"""Advantages against a hand-worked example with a time limit and a termination."""

import torch

from amp_train.learning.ppo_math import gae, next_values_of

GAMMA, TAU = 0.9, 0.5


def example():
    """Three steps, two environments; the second step ends both episodes: a time limit (V = 4 there), a termination."""
    values = torch.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]).unsqueeze(-1)
    done = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]).unsqueeze(-1)
    timeout_values = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 0.0]]).unsqueeze(-1)
    return values, torch.full((2, 1), 7.0), done, timeout_values


def test_a_time_limit_is_worth_its_state_and_a_termination_nothing():
    next_values = next_values_of(*example())
    expected = torch.tensor([[2.0, 2.0], [4.0, 0.0], [7.0, 7.0]])
    assert torch.equal(next_values.squeeze(-1), expected)


def test_advantages_against_arithmetic_by_hand():
    # delta = r + 0.9 V' - V with r = 1:
    #   time limit:   1 + 1.8 - 1 = 1.8    1 + 3.6 - 2 =  2.6    1 + 6.3 - 3 = 4.3
    #   termination:  1 + 1.8 - 1 = 1.8    1 + 0   - 2 = -1      1 + 6.3 - 3 = 4.3
    # A_2 = 4.3; the second step ended the episode, so A_1 = delta_1; A_0 = 1.8 + 0.45 A_1: 2.97 and 1.35.
    values, last_values, done, timeout_values = example()
    next_values = next_values_of(values, last_values, done, timeout_values)
    advantages = gae(torch.ones(3, 2, 1), values, next_values, done, GAMMA, TAU)
    expected = torch.tensor([[2.97, 1.35], [2.6, -1.0], [4.3, 4.3]])
    torch.testing.assert_close(advantages.squeeze(-1), expected)


def test_lambda_one_gives_discounted_returns_minus_values():
    rewards, values = torch.randn(5, 3, 1), torch.randn(5, 3, 1)
    done = torch.zeros(5, 3, 1)
    last_values = torch.randn(3, 1)
    next_values = next_values_of(values, last_values, done, torch.zeros(5, 3, 1))
    expected = last_values
    for t in reversed(range(5)):
        expected = rewards[t] + GAMMA * expected
    torch.testing.assert_close(gae(rewards, values, next_values, done, GAMMA, 1.0)[0], expected - values[0])
