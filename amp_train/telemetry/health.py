"""Health of the discriminator: one verdict per iteration, and what to change.

The policy learns from differences in the style reward between its own motions. There are none if the discriminator is
certain about all of them (saturated), scores everything alike (collapsed), or lags behind the policy and confuses its
motion with the clip's (starved). High accuracy alone is not a problem: for a short clip it is 96 to 100 % while
learning continues.
"""

import math
from typing import Mapping, NamedTuple, Optional

HEALTHY, SATURATED, COLLAPSED, STARVED = "healthy", "saturated", "collapsed", "starved"

# Spreads are in units of the reward's scale, independent of disc_reward_scale. A run that learnt to walk had a spread
# that fell from 0.3 to 0.07, logits 1.1 to 4 apart, and accuracies of 0.90 to 1.
SATURATED_ACCURACY, SATURATED_SPREAD = 0.98, 0.03
COLLAPSED_GAP, COLLAPSED_SPREAD = 0.1, 0.01
STARVED_ACCURACY = 0.4  # below 0.5, the value for a perfect policy

_ADVICE = {
    HEALTHY: "",
    SATURATED: "The discriminator is certain about every motion and no longer says which is better: lower "
    "disc_learning_rate or raise disc_grad_penalty.",
    COLLAPSED: "The discriminator scores all motions alike: raise disc_learning_rate or lower disc_grad_penalty, "
    "and check that the clip and the character match.",
    STARVED: "The discriminator confuses the policy's motion with the clip's, it lags behind: raise "
    "disc_learning_rate or amp_minibatch_size.",
}
NEEDED = (
    "disc_agent_acc", "disc_demo_acc", "disc_agent_logit", "disc_demo_logit", "style_reward_std",
)  # fmt: skip


class DiscHealth(NamedTuple):
    """A verdict and one sentence on what to change, or ""."""

    verdict: str
    advice: str


def disc_health(stats: Mapping[str, object], reward_scale: float = 1.0) -> Optional[DiscHealth]:
    """Judge the discriminator.

    Args:
        stats: `disc_agent_acc`, `disc_demo_acc` (shares correct), `disc_agent_logit`, `disc_demo_logit` (means)
            and `style_reward_std` (over the policy's motions), as logged per iteration.
        reward_scale: the run's disc_reward_scale.

    Returns:
        The verdict; None where a number is missing or not finite.
    """
    numbers = [stats.get(name) for name in NEEDED]
    finite = [float(x) for x in numbers if isinstance(x, (int, float)) and math.isfinite(x)]
    if len(finite) < len(NEEDED):
        return None
    agent_acc, demo_acc, agent_logit, demo_logit, spread = finite
    gap, spread = demo_logit - agent_logit, spread / reward_scale
    if abs(gap) < COLLAPSED_GAP and spread < COLLAPSED_SPREAD:
        verdict = COLLAPSED
    elif min(agent_acc, demo_acc) >= SATURATED_ACCURACY and spread < SATURATED_SPREAD:
        verdict = SATURATED
    elif min(agent_acc, demo_acc) < STARVED_ACCURACY:
        verdict = STARVED
    else:
        verdict = HEALTHY
    return DiscHealth(verdict, _ADVICE[verdict])
