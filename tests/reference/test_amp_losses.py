"""The discriminator's losses against arithmetic written out and finite differences."""

import copy
import math
from types import SimpleNamespace

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from amp_train.errors import ConfigError
from amp_train.learning.discriminator import (
    DiscBatch,
    Discriminator,
    bce_prediction_loss,
    disc_accuracies,
    disc_objective,
    gradient_penalty,
    lsgan_prediction_loss,
    sum_of_squares,
)
from amp_train.learning.models import AMPBuilder
from amp_train.learning.ppo_math import bound_loss, gaussian_kl

NETWORK = {
    "separate": True,
    "space": {
        "continuous": {
            "mu_activation": "None",
            "sigma_activation": "None",
            "mu_init": {"name": "default"},
            "sigma_init": {"name": "const_initializer", "val": -1.0},
            "fixed_sigma": True,
        }
    },
    "mlp": {"units": [8], "activation": "relu", "initializer": {"name": "default"}},
    "disc": {"units": [16, 8], "activation": "tanh", "initializer": {"name": "default"}},
}


@pytest.fixture
def network():
    """A discriminator in float64 with a smooth activation, so that finite differences are exact to 1e-6."""
    builder = AMPBuilder()
    builder.load(copy.deepcopy(NETWORK))
    return builder.build("a2c", actions_num=2, input_shape=(4,), amp_input_shape=(5,)).double()


def test_bce_loss_against_written_out_logarithms():
    # sigmoid(ln 3) = 3/4. Agents at ln 3 and 0: -(ln 1/4 + ln 1/2) / 2; a demonstration at ln 3: -ln 3/4.
    agent, demo = torch.tensor([[math.log(3.0)], [0.0]]), torch.tensor([[math.log(3.0)]])
    expected = 0.5 * (-(math.log(0.25) + math.log(0.5)) / 2.0 - math.log(0.75))
    assert bce_prediction_loss(agent, demo).item() == pytest.approx(expected, rel=1e-6)


def test_bce_loss_equals_torchs_own():
    agent, demo = 3.0 * torch.randn(20, 1), 3.0 * torch.randn(10, 1)
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    expected = 0.5 * (bce(agent, torch.zeros_like(agent)) + bce(demo, torch.ones_like(demo)))
    torch.testing.assert_close(bce_prediction_loss(agent, demo), expected)


def test_lsgan_loss_against_written_out_squares():
    # Agents at -1 and 0 miss -1 by 0 and 1: mean 1/2. A demonstration at 3 misses 1 by 2: 4. Half the sum: 2.25.
    assert lsgan_prediction_loss(torch.tensor([[-1.0], [0.0]]), torch.tensor([[3.0]])).item() == pytest.approx(2.25)


def test_gradient_penalty_against_a_gradient_known_by_hand():
    # logit = x0^2 + 3 x1: gradient (2 x0, 3). Rows x0 = 1 and x0 = 2: |.|^2 = 4 + 9 and 16 + 9, mean 19.
    x = torch.tensor([[1.0, 5.0], [2.0, 7.0]], requires_grad=True)
    logit = x[:, :1].square() + 3.0 * x[:, 1:]
    assert gradient_penalty(logit, x).item() == pytest.approx(19.0)


def test_gradient_penalty_against_finite_differences(network):
    x = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    eps = 1e-6
    grads = torch.stack(
        [
            (network.eval_disc(x + eps * e) - network.eval_disc(x - eps * e)).squeeze(-1) / (2.0 * eps)
            for e in torch.eye(5, dtype=torch.float64)
        ],
        dim=-1,
    )
    expected = grads.square().sum(-1).mean()
    penalty = gradient_penalty(network.eval_disc(x), x)
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-6)


def test_weights_descend_the_gradient_penalty(network):
    x = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    weight = network._disc_mlp[0].weight

    def penalty():
        return gradient_penalty(network.eval_disc(x), x)

    (analytic,) = torch.autograd.grad(penalty(), weight)
    direction = torch.randn_like(weight)
    eps = 1e-4
    with torch.no_grad():
        weight += eps * direction
    above = penalty().item()
    with torch.no_grad():
        weight -= 2.0 * eps * direction
    below = penalty().item()
    assert (analytic * direction).sum().item() == pytest.approx((above - below) / (2.0 * eps), rel=1e-6)


def test_sum_of_squares_runs_over_all_weights():
    assert sum_of_squares([torch.tensor([1.0, -2.0]), torch.tensor([3.0])]).item() == pytest.approx(1.0 + 4.0 + 9.0)


def test_accuracies_count_agents_below_and_demonstrations_above_zero():
    agent_acc, demo_acc = disc_accuracies(
        torch.tensor([[-1.0], [-2.0], [-0.1], [3.0]]), torch.tensor([[1.0], [-1.0], [2.0]])
    )
    assert agent_acc.item() == pytest.approx(3 / 4)
    assert demo_acc.item() == pytest.approx(2 / 3)


def test_bound_loss_begins_at_one_on_both_sides():
    # Row 1: 0.5 above and 1 below the bounds: 0.25 + 1. Row 2 is within: 0. Mean 0.625.
    mu = torch.tensor([[1.5, -2.0], [1.0, -0.9]])
    assert bound_loss(mu).item() == pytest.approx(0.625)


def test_whole_discriminator_loss_adds_each_part_with_its_coefficient(network):
    batch = DiscBatch(*(torch.randn(4, 5, dtype=torch.float64, requires_grad=True) for _ in range(3)))

    def loss(**coefficients):
        zero = {"disc_loss": "bce", "disc_grad_penalty": 0.0, "disc_logit_reg": 0.0, "disc_weight_decay": 0.0}
        settings = SimpleNamespace(discriminator_settings={}, **{**zero, **coefficients})
        return Discriminator(settings, network, 5, None, "cpu").loss(batch)[0].item()

    # Agent and replay count as one stream of eight rows.
    agent_logit, demo_logit = network.eval_disc(torch.cat((batch.agent, batch.replay))), network.eval_disc(batch.demo)
    prediction = bce_prediction_loss(agent_logit, demo_logit).item()
    penalty = gradient_penalty(demo_logit, batch.demo).item()
    first, second, last = network._disc_mlp[0].weight, network._disc_mlp[2].weight, network._disc_logits.weight
    logit_squares = last.square().sum().item()
    all_squares = logit_squares + first.square().sum().item() + second.square().sum().item()

    assert loss() == pytest.approx(prediction, rel=1e-5)
    assert loss(disc_grad_penalty=5.0) == pytest.approx(prediction + 5.0 * penalty, rel=1e-5)
    assert loss(disc_logit_reg=0.05) == pytest.approx(prediction + 0.05 * logit_squares, rel=1e-5)
    assert loss(disc_weight_decay=0.1) == pytest.approx(prediction + 0.1 * all_squares, rel=1e-5)


def test_each_objective_pairs_a_loss_with_its_reward():
    for name in ("bce", "lsgan"):
        objective = disc_objective(name)
        logit = torch.tensor([[-1.0], [1.0]])
        low, high = objective.reward(logit, 1.0)
        assert low < high  # what looks like a demonstration is rewarded
        assert objective.prediction_loss(-logit[1:], logit[1:]) < objective.prediction_loss(logit[1:], -logit[1:])
    with pytest.raises(ConfigError, match="Unknown disc_loss 'gan'"):
        disc_objective("gan")


@pytest.mark.parametrize("log_sigma", [-2.9, -1.0])
def test_the_kl_divergence_is_that_of_torch_distributions(log_sigma):
    generator = torch.Generator().manual_seed(1)
    sigma = torch.full((64, 28), log_sigma).exp()
    other_sigma = sigma * (1.0 + 0.2 * torch.rand(64, 28, generator=generator))
    mu, other_mu = (0.1 * sigma * torch.randn(64, 28, generator=generator) for _ in range(2))
    expected = kl_divergence(Normal(mu, sigma), Normal(other_mu, other_sigma)).sum(-1).mean()
    assert gaussian_kl(mu, sigma, other_mu, other_sigma).item() == pytest.approx(expected.item(), rel=1e-4)
    assert gaussian_kl(mu, sigma, mu, sigma).item() == pytest.approx(0.0, abs=1e-6)
