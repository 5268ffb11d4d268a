"""The discriminator's losses and the action bound loss, as pure functions.

AMP: Adversarial Motion Priors, Peng et al. 2021. Weights and semantics are those of IsaacGymEnvs.
"""

from typing import Callable, NamedTuple, Sequence, Tuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from amp_train.errors import unknown_choice
from amp_train.learning.style_reward import lsgan_style_reward, style_reward

TRUST_REGION = 3.0  # a walk's iterations stay below 2.5 of what the learning rate aims at


def bce_prediction_loss(agent_logit: Tensor, demo_logit: Tensor) -> Tensor:
    """Return the mean of the binary cross-entropies of agent (label 0) and demonstration (label 1) rows.

    -log(1 - sigmoid(x)) = softplus(x) and -log(sigmoid(x)) = softplus(-x).
    """
    return 0.5 * (softplus(agent_logit).mean() + softplus(-demo_logit).mean())


def lsgan_prediction_loss(agent_logit: Tensor, demo_logit: Tensor) -> Tensor:
    """Return the least-squares loss with targets -1 (agent) and +1 (demonstration) (Peng et al. 2021, Eq. 6)."""
    return 0.5 * ((agent_logit + 1.0).square().mean() + (demo_logit - 1.0).square().mean())


class DiscObjective(NamedTuple):
    """A discriminator loss and the style reward that belongs to it."""

    prediction_loss: Callable[[Tensor, Tensor], Tensor]
    reward: Callable[[Tensor, float], Tensor]


DISC_OBJECTIVES = {
    "bce": DiscObjective(bce_prediction_loss, style_reward),
    "lsgan": DiscObjective(lsgan_prediction_loss, lsgan_style_reward),
}


def disc_objective(name: str) -> DiscObjective:
    """Look up the objective that `disc_loss` names.

    Raises:
        ConfigError: if there is none of that name.
    """
    if name not in DISC_OBJECTIVES:
        raise unknown_choice("disc_loss", name, DISC_OBJECTIVES)
    return DISC_OBJECTIVES[name]


def gradient_penalty(demo_logit: Tensor, amp_obs_demo: Tensor) -> Tensor:
    """Return the mean over rows of ||d logit / d amp_obs||^2 on demonstrations (Peng et al. 2021, Eq. 8).

    Args:
        demo_logit: (B, 1), computed from `amp_obs_demo`.
        amp_obs_demo: (B, amp_obs_dim), normalised, with requires_grad.
    """
    (grad,) = torch.autograd.grad(demo_logit.sum(), amp_obs_demo, create_graph=True)
    return grad.square().sum(dim=-1).mean()


def sum_of_squares(weights: Sequence[Tensor]) -> Tensor:
    """Return the squared L2 norm of all given weights: logit regularisation or weight decay, without coefficient."""
    return torch.stack([weight.square().sum() for weight in weights]).sum()


def disc_accuracies(agent_logit: Tensor, demo_logit: Tensor) -> Tuple[Tensor, Tensor]:
    """Return the fractions of agent rows judged "agent" and of demonstration rows judged "demonstration"."""
    return (agent_logit < 0).float().mean(), (demo_logit > 0).float().mean()


def gaussian_kl(mu: Tensor, sigma: Tensor, other_mu: Tensor, other_sigma: Tensor) -> Tensor:
    """Return the mean KL divergence (nats, scalar) of diagonal Gaussians (B, A) from others.

    rl_games' `policy_kl` adds 1e-5 to the variances and with it reads 0.0016 too little an action at sigma 0.055: 0.046
    for 28 actions, as much as an adaptive learning rate aims at.
    """
    ratio = sigma / other_sigma
    kl = 0.5 * (ratio.square() + ((mu - other_mu) / other_sigma).square() - 1.0) - ratio.log()
    return kl.sum(dim=-1).mean()


def trust_region_loss(kl: Tensor, aim: float) -> Tensor:
    """Return the excess (nats) of an update's mean KL divergence over `TRUST_REGION` times the aim of an adaptive rate.

    An adaptive rate answers after a mini epoch, and the clipped surrogate does not hold actions that have become too
    likely: one update of a crawl reached 14 (docs/results.md). Below the limit it is 0 and so is its gradient.
    """
    return (kl - TRUST_REGION * aim).clamp(min=0.0)


def bound_loss(mu: Tensor, soft_bound: float = 1.0) -> Tensor:
    """Return the mean over rows of the squared excess of the policy mean (B, num_actions) beyond +-soft_bound."""
    return (mu.abs() - soft_bound).clamp(min=0.0).square().sum(dim=-1).mean()
