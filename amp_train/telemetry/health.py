"""Is the discriminator fit to teach? One verdict from what an iteration logs, and what to change.

The discriminator teaches by the differences in the style reward that it gives to the policy's own motions. It cannot
when it is certain of all of them (saturated), when it says the same of everything (collapsed), or when it lags behind
the policy and mistakes one for the other (starved). High accuracy alone is no illness: a short clip is told apart in 96
to 100 % of the frames while learning goes on.
"""

import math
from typing import Mapping, NamedTuple, Optional

HEALTHY, SATURATED, COLLAPSED, STARVED = "healthy", "saturated", "collapsed", "starved"

# Spreads are in units of the reward's scale, so that they hold for any disc_reward_scale. A run that learnt to walk had
# a spread of 0.3 that sank to 0.07, logits 1.1 to 4 apart, and accuracies of 0.90 to 1.
SATURATED_ACCURACY, SATURATED_SPREAD = 0.98, 0.03
COLLAPSED_GAP, COLLAPSED_SPREAD = 0.1, 0.01
STARVED_ACCURACY = 0.4  # below a coin's 0.5, which a perfect policy leads to

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
    """A verdict and one sentence of what to change, empty when there is nothing."""

    verdict: str
    advice: str


def disc_health(stats: Mapping[str, object], reward_scale: float = 1.0) -> Optional[DiscHealth]:
    """Judge the discriminator.

    Args:
        stats: `disc_agent_acc`, `disc_demo_acc` (shares judged rightly), `disc_agent_logit`, `disc_demo_logit` (means)
            and `style_reward_std` (over the policy's motions), as an iteration logs them.
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
