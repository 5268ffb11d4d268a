"""ModelAMPContinuous: what rl_games returns, marked observations, and the critic alone."""

import copy

import pytest
import torch
from make_agent import NETWORK

from amp_train.learning import AMPBuilder, ModelAMPContinuous
from amp_train.learning.models import NormalizedObs


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
    }


def test_training_keeps_what_rl_games_returns(model, batch):
    assert {"prev_neglogp", "values", "entropy", "rnn_states", "mus", "sigmas"} <= set(model(dict(batch)))


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
