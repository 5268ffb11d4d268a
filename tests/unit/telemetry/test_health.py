"""The discriminator's health from the numbers of an iteration."""

import math

import pytest

from amp_train.telemetry.health import COLLAPSED, HEALTHY, SATURATED, STARVED, disc_health


def stats(agent_acc, demo_acc, agent_logit, demo_logit, spread):
    return {
        "disc_agent_acc": agent_acc,
        "disc_demo_acc": demo_acc,
        "disc_agent_logit": agent_logit,
        "disc_demo_logit": demo_logit,
        "style_reward_std": spread,
    }


@pytest.mark.parametrize(
    "numbers, verdict",
    [
        # Iterations 2, 7 and 67 of a run that learnt to walk, reward scale 2.
        (stats(0.72, 1.0, -0.54, 0.57, 0.60), HEALTHY),
        (stats(0.94, 1.0, -2.45, 0.81, 0.43), HEALTHY),
        (stats(0.91, 1.0, -1.78, 1.40, 0.52), HEALTHY),
        # A short clip told apart every time, while some motions still earn more than others.
        (stats(1.0, 1.0, -2.6, 1.6, 0.2), HEALTHY),
        # The perfect policy: a coin's accuracy, but motions differ.
        (stats(0.5, 0.5, 0.0, 0.02, 0.2), HEALTHY),
        (stats(1.0, 1.0, -6.0, 5.0, 0.01), SATURATED),
        (stats(0.6, 0.5, 0.01, 0.03, 0.001), COLLAPSED),
        (stats(1.0, 0.0, -0.5, -0.45, 0.0), COLLAPSED),
        (stats(0.17, 1.0, 0.72, 0.77, 1.29), STARVED),
        (stats(0.9, 0.1, -0.5, -0.2, 0.3), STARVED),
    ],
)
def test_a_discriminator_is_fit_while_it_rewards_some_motions_more_than_others(numbers, verdict):
    health = disc_health(numbers, reward_scale=2.0)
    assert health.verdict == verdict
    assert (health.advice == "") == (verdict == HEALTHY)


def test_the_reward_is_judged_in_units_of_its_scale():
    numbers = stats(1.0, 1.0, -4.0, 2.0, 0.05)
    assert disc_health(numbers, reward_scale=1.0).verdict == HEALTHY
    assert disc_health(numbers, reward_scale=2.0).verdict == SATURATED


def test_without_its_numbers_there_is_no_verdict():
    numbers = stats(1.0, 1.0, -4.0, 2.0, 0.05)
    assert disc_health({**numbers, "disc_agent_logit": math.nan}) is None
    assert disc_health({**numbers, "style_reward_std": None}) is None
    assert disc_health({}) is None
