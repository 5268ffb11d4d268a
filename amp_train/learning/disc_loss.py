"""The discriminator's whole loss: prediction, gradient penalty, logit regularisation, weight decay."""

from typing import Any, Dict, Tuple

import torch
from torch import Tensor

from amp_train.learning.losses import disc_accuracies, disc_objective, gradient_penalty, sum_of_squares
from amp_train.learning.settings import AmpSettings


def discriminator_loss(
    logits: Dict[str, Tensor], amp_obs_demo: Tensor, network: Any, settings: AmpSettings
) -> Tuple[Tensor, Dict[str, Tensor]]:
    """Return the loss of one minibatch and what to log of it.

    Args:
        logits: the model's `disc_agent_logit`, `disc_agent_replay_logit` and `disc_demo_logit`, (B, 1) each.
        amp_obs_demo: what the last came from, (B, amp_obs_dim), normalised, with requires_grad.
        network: an `AMPBuilder.Network`, for its weights.
    """
    agent_logit = torch.cat((logits["disc_agent_logit"], logits["disc_agent_replay_logit"]))
    demo_logit = logits["disc_demo_logit"]
    penalty = gradient_penalty(demo_logit, amp_obs_demo)
    logit_loss = sum_of_squares([network.disc_logit_weights()])
    loss = (
        disc_objective(settings.disc_loss).prediction_loss(agent_logit, demo_logit)
        + settings.disc_grad_penalty * penalty
        + settings.disc_logit_reg * logit_loss
        + settings.disc_weight_decay * sum_of_squares(network.disc_weights())
    )
    with torch.no_grad():
        agent_acc, demo_acc = disc_accuracies(agent_logit, demo_logit)
    return loss, {
        "disc_loss": loss,
        "disc_grad_penalty": penalty,
        "disc_logit_loss": logit_loss,
        "disc_agent_acc": agent_acc,
        "disc_demo_acc": demo_acc,
        "disc_agent_logit": agent_logit.mean(),
        "disc_demo_logit": demo_logit.mean(),
    }
