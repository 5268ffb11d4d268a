"""AMPBuilder: discriminator, critic, frozen sigma, and what it refuses."""

import copy

import pytest
import torch
from make_agent import NETWORK

from amp_train.errors import ConfigError
from amp_train.learning import AMPBuilder
from amp_train.learning.models import check_network_params


def build(network=None, amp_input_shape=(6,), **kwargs):
    builder = AMPBuilder()
    builder.load(network or copy.deepcopy(NETWORK))
    return builder.build("a2c", actions_num=2, input_shape=(4,), amp_input_shape=amp_input_shape, **kwargs)


def changed(path, value):
    network = copy.deepcopy(NETWORK)
    node = network
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return network


def test_discriminator_logit_is_its_mlp_written_out():
    network, amp_obs = build(), torch.randn(5, 6)
    weights = dict(network.named_parameters())
    hidden = amp_obs
    for layer in ("0", "2"):
        hidden = torch.relu(hidden @ weights[f"_disc_mlp.{layer}.weight"].T + weights[f"_disc_mlp.{layer}.bias"])
    logit = hidden @ weights["_disc_logits.weight"].T + weights["_disc_logits.bias"]
    torch.testing.assert_close(network.eval_disc(amp_obs), logit)


def test_discriminator_parameters_come_last_so_that_isaacgymenvs_optimizer_states_fit():
    network = build()
    last_six = [name for name, _ in network.named_parameters()][-6:]
    assert last_six == [
        "_disc_mlp.0.weight",
        "_disc_mlp.0.bias",
        "_disc_mlp.2.weight",
        "_disc_mlp.2.bias",
        "_disc_logits.weight",
        "_disc_logits.bias",
    ]
    assert [p.shape for p in network.disc_parameters()] == [p.shape for p in list(network.parameters())[-6:]]


def test_disc_weights_are_all_weight_matrices_and_no_bias():
    network = build()
    assert [len(w) for w in network.disc_weights()] == [6 * 32, 32 * 16, 16]
    assert torch.equal(network.disc_logit_weights(), network._disc_logits.weight.flatten())


@pytest.mark.parametrize("separate", [True, False])
def test_eval_critic_equals_the_value_of_a_whole_forward(separate):
    network, obs = build(changed(["separate"], separate)), torch.randn(5, 4)
    _, _, value, _ = network({"obs": obs})
    torch.testing.assert_close(network.eval_critic(obs), value)


def test_forward_equals_rl_games_own():
    network, obs = build(), torch.randn(5, 4)
    ours = network({"obs": obs})
    theirs = super(AMPBuilder.Network, network).forward({"obs": obs})
    for mine, reference in zip(ours[:3], theirs[:3]):
        torch.testing.assert_close(mine, reference)


def test_sigma_is_learned_unless_told_otherwise():
    network = copy.deepcopy(NETWORK)
    del network["space"]["continuous"]["learn_sigma"]
    assert build(network).sigma.requires_grad
    assert not build(NETWORK).sigma.requires_grad


def test_mixed_precision_leaves_the_policy_in_full_precision():
    torch.manual_seed(0)
    full = build(mixed_precision=False)
    mixed = build(mixed_precision=True)
    mixed.load_state_dict(full.state_dict())
    obs = torch.randn(64, 4)
    mu, _, value, _ = full({"obs": obs})
    mu_mixed, _, value_mixed, _ = mixed({"obs": obs})
    assert torch.equal(mu, mu_mixed)
    assert not torch.equal(value, value_mixed) and value_mixed.dtype == torch.float32
    torch.testing.assert_close(value, value_mixed, atol=0.02, rtol=0.02)  # bf16 has 8 bits of mantissa


def test_the_policy_is_not_multiplied_in_tf32():
    network, seen = build(), {}

    def note(name):
        return lambda *_: seen.update({name: torch.get_float32_matmul_precision()})

    network.actor_mlp.register_forward_hook(note("actor"))
    network.mu.register_forward_hook(note("mu"))
    network.critic_mlp.register_forward_hook(note("critic"))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        network({"obs": torch.randn(3, 4)})
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
    assert seen == {"actor": "highest", "mu": "highest", "critic": "high"}


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (["disc"], None, "network.disc lacks"),
        (["disc"], {"units": [8], "activation": "relu"}, "initializer"),
        (["disc", "units"], [], "units"),
        (["disc", "activation"], "rellu", "Did you mean 'relu'"),
        (["space"], {"discrete": {}}, "continuous"),
        (["rnn"], {"name": "lstm"}, "network.rnn"),
        (["space", "continuous", "fixed_sigma"], False, "fixed_sigma"),
    ],
)
def test_networks_that_amp_cannot_train_are_refused(path, value, says):
    with pytest.raises(ConfigError, match=says):
        check_network_params(changed(path, value))


def test_a_missing_amp_observation_shape_is_refused():
    with pytest.raises(ConfigError, match="amp_input_shape"):
        build(amp_input_shape=None)
