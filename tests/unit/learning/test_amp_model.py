"""ModelAMPContinuous: discriminator logits in training and only then."""

import copy

import pytest
import torch
from make_agent import NETWORK

from amp_train.learning import AMPBuilder, ModelAMPContinuous
from amp_train.learning.model import NormalizedObs

LOGITS = ("disc_agent_logit", "disc_agent_replay_logit", "disc_demo_logit")


@pytest.fixture
def model():
    builder = AMPBuilder()
    builder.load(copy.deepcopy(NETWORK))
    return ModelAMPContinuous(builder).build(
        {
            "actions_num": 2,
            "input_shape": (4,),
            "num_seqs": 1,
            "value_size": 1,
            "normalize_value": True,
            "normalize_input": True,
            "amp_input_shape": (6,),
        }
    )


@pytest.fixture
def batch():
    return {
        "is_train": True,
        "prev_actions": torch.randn(8, 2),
        "obs": torch.randn(8, 4),
        "amp_obs": torch.randn(3, 6),
        "amp_obs_replay": torch.randn(5, 6),
        "amp_obs_demo": torch.randn(4, 6),
    }


def test_training_adds_the_logit_of_each_stream(model, batch):
    result = model(dict(batch))
    for name, stream in zip(LOGITS, ("amp_obs", "amp_obs_replay", "amp_obs_demo")):
        torch.testing.assert_close(result[name], model.a2c_network.eval_disc(batch[stream]))


def test_training_keeps_what_rl_games_returns(model, batch):
    assert {"prev_neglogp", "values", "entropy", "rnn_states", "mus", "sigmas"} <= set(model(dict(batch)))


def test_acting_adds_no_logit_and_needs_no_amp_observation(model, batch):
    result = model({"is_train": False, "prev_actions": None, "obs": batch["obs"]})
    assert {"neglogpacs", "values", "actions", "mus", "sigmas"} <= set(result)
    assert not set(LOGITS) & set(result)


def test_demo_logit_can_be_differentiated_twice(model, batch):
    demo = batch["amp_obs_demo"].requires_grad_(True)
    logit = model(dict(batch))["disc_demo_logit"]
    (grad,) = torch.autograd.grad(logit.sum(), demo, create_graph=True)
    grad.square().sum().backward()
    assert model.a2c_network._disc_mlp[0].weight.grad.abs().sum() > 0


def test_marked_observations_are_not_normalised_again(model, batch):
    model.train()
    model.norm_obs(5.0 + 3.0 * torch.randn(256, 4))
    model.eval()
    normalized = model.norm_obs(batch["obs"])
    plain = model(dict(batch))["mus"]
    marked = model(dict(batch, obs=NormalizedObs(normalized)))["mus"]
    assert torch.equal(plain, marked)
    assert not torch.equal(plain, model(dict(batch, obs=NormalizedObs(batch["obs"])))["mus"])


def test_critic_value_is_in_reward_units(model, batch):
    model.train()
    model.value_mean_std(7.0 + 2.0 * torch.randn(256, 1))
    model.eval()
    acting = model({"is_train": False, "prev_actions": None, "obs": batch["obs"]})
    torch.testing.assert_close(model.eval_critic(batch["obs"]), acting["values"])
    assert acting["values"].mean() > 3.0
