"""Generalised advantage estimation with exact bootstrapping at time limits."""

import torch
from torch import Tensor


def next_values_of(values: Tensor, last_values: Tensor, done: Tensor, timeout_values: Tensor) -> Tensor:
    """Return V of the state each step led to, before any reset, (T, N, 1).

    Within an episode that is the next step's value; a termination is worth 0; a time limit is worth V of the state the
    episode was cut off in.

    Args:
        values: V of the states acted in, (T, N, 1).
        last_values: V of the states after the last step, (N, 1).
        done: whether the episode ended with the step, (T, N, 1), 0 or 1.
        timeout_values: V of the state before the reset where a time limit ended the episode, 0 elsewhere, (T, N, 1).
    """
    following = torch.cat((values[1:], last_values.unsqueeze(0)))
    return torch.where(done.bool(), timeout_values, following)


def gae(rewards: Tensor, values: Tensor, next_values: Tensor, done: Tensor, gamma: float, tau: float) -> Tensor:
    """Return advantages (T, N, 1) (Schulman et al. 2016, Eq. 16; tau is lambda).

    delta_t = r_t + gamma V'_t - V_t and A_t = delta_t + gamma tau (1 - done_t) A_{t+1}, with V' from `next_values_of`.
    """
    advantages = torch.zeros_like(rewards)
    deltas = rewards + gamma * next_values - values
    carry = gamma * tau * (1.0 - done)
    following = torch.zeros_like(rewards[0])
    for t in reversed(range(len(rewards))):
        following = torch.addcmul(deltas[t], carry[t], following, out=advantages[t])
    return advantages
