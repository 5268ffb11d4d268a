"""What the discriminator's judgement is worth as a reward."""

import math

from torch import Tensor
from torch.nn.functional import softplus

MIN_NOT_DEMO_PROBABILITY = 1e-4


def style_reward(disc_logit: Tensor, scale: float) -> Tensor:
    """Return scale * -log(max(1 - sigmoid(logit), 1e-4)), the reward of IsaacGymEnvs, same shape as the logit.

    From Eq. 5 of GAIL as used in AMP (Peng et al. 2021, Sec. 4.1); written as min(softplus(logit), -log 1e-4), which is
    the same and does not lose digits where the sigmoid saturates.
    """
    return scale * softplus(disc_logit).clamp(max=-math.log(MIN_NOT_DEMO_PROBABILITY))


def lsgan_style_reward(disc_logit: Tensor, scale: float) -> Tensor:
    """Return scale * max(0, 1 - 0.25 (d - 1)^2), AMP's least-squares reward (Peng et al. 2021, Eq. 7)."""
    return scale * (1.0 - 0.25 * (disc_logit - 1.0).square()).clamp(min=0.0)


def combine_rewards(task_reward: Tensor, style: Tensor, task_reward_w: float, disc_reward_w: float) -> Tensor:
    """Return the reward PPO maximises, the weighted sum of task and style (Peng et al. 2021, Eq. 4)."""
    return task_reward_w * task_reward + disc_reward_w * style
