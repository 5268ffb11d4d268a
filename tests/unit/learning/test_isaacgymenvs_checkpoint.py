"""Checkpoints of IsaacGymEnvs' HumanoidAMP load for playing and for continuing.

The table is what IsaacGymEnvs 1.5.1 writes for networks of [1024, 512]; the checkpoint is made up to it, with what
rl_games adds: a numpy scalar, and torch.compile's prefix.
"""

import copy

import numpy as np
import pytest
import torch
from fake_env import RandomVecEnv
from make_agent import NETWORK, make_agent, make_player

NUM_OBS, NUM_ACTIONS, NUM_AMP_OBS = 105, 28, 210
NET = "a2c_network."
PARAMETERS = {  # in the order of the optimizer's numbering
    NET + "sigma": (28,),
    NET + "actor_mlp.0.weight": (1024, 105),
    NET + "actor_mlp.0.bias": (1024,),
    NET + "actor_mlp.2.weight": (512, 1024),
    NET + "actor_mlp.2.bias": (512,),
    NET + "critic_mlp.0.weight": (1024, 105),
    NET + "critic_mlp.0.bias": (1024,),
    NET + "critic_mlp.2.weight": (512, 1024),
    NET + "critic_mlp.2.bias": (512,),
    NET + "value.weight": (1, 512),
    NET + "value.bias": (1,),
    NET + "mu.weight": (28, 512),
    NET + "mu.bias": (28,),
    NET + "_disc_mlp.0.weight": (1024, 210),
    NET + "_disc_mlp.0.bias": (1024,),
    NET + "_disc_mlp.2.weight": (512, 1024),
    NET + "_disc_mlp.2.bias": (512,),
    NET + "_disc_logits.weight": (1, 512),
    NET + "_disc_logits.bias": (1,),
}
STATISTICS = {
    "value_mean_std.running_mean": (1,),
    "value_mean_std.running_var": (1,),
    "value_mean_std.count": (),
    "running_mean_std.running_mean": (105,),
    "running_mean_std.running_var": (105,),
    "running_mean_std.count": (),
}


@pytest.fixture(scope="module")
def network():
    network = copy.deepcopy(NETWORK)
    network["mlp"]["units"] = network["disc"]["units"] = [1024, 512]
    network["space"]["continuous"]["sigma_init"]["val"] = -2.9
    return network


@pytest.fixture(scope="module")
def checkpoint():
    generator = torch.Generator().manual_seed(0)

    def small(shape):
        return 0.02 * torch.randn(shape, generator=generator)

    model = {name: small(shape) for name, shape in PARAMETERS.items()}
    model.update({name: torch.full(shape, 2.0, dtype=torch.float64) for name, shape in STATISTICS.items()})
    moments = {
        i: {"step": torch.tensor(60.0), "exp_avg": small(shape), "exp_avg_sq": small(shape).square()}
        for i, shape in enumerate(PARAMETERS.values())
        if i > 0  # sigma is frozen
    }
    group = {"lr": 5e-5, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "amsgrad": False}
    return {
        "amp_input_mean_std": {
            "running_mean": torch.full((210,), 0.5, dtype=torch.float64),
            "running_var": torch.full((210,), 4.0, dtype=torch.float64),
            "count": torch.tensor(1000.0, dtype=torch.float64),
        },
        "model": model,
        "epoch": 5,
        "frame": 327680,
        "optimizer": {"state": moments, "param_groups": [{**group, "params": list(range(len(PARAMETERS)))}]},
        "last_mean_rewards": np.float32(271.5),
        "env_state": None,
    }


@pytest.fixture(params=["", "_orig_mod."])
def path(request, checkpoint, tmp_path):
    prefixed = {request.param + name: value for name, value in checkpoint["model"].items()}
    torch.save({**checkpoint, "model": prefixed}, tmp_path / "HumanoidAMP.pth")
    return str(tmp_path / "HumanoidAMP.pth")


@pytest.fixture
def agent(tmp_path, network):
    env = RandomVecEnv(16, NUM_OBS, NUM_ACTIONS, NUM_AMP_OBS)
    return make_agent(tmp_path, env, network=network, learning_rate=5e-5, mini_epochs=1)


def test_our_model_has_exactly_the_tables_keys_shapes_and_types(agent):
    ours = {name: (tuple(value.shape), value.dtype) for name, value in agent.model.state_dict().items()}
    table = {name: (shape, torch.float32) for name, shape in PARAMETERS.items()}
    table.update({name: (shape, torch.float64) for name, shape in STATISTICS.items()})
    assert ours == table
    assert sum(parameter.numel() for parameter in agent.model.parameters()) == 2_022_970


def test_our_checkpoint_has_the_tables_top_level(agent):
    state = agent.get_full_state_weights()
    assert set(state) == {
        "amp_input_mean_std", "model", "epoch", "frame", "optimizer", "last_mean_rewards", "env_state"
    }  # fmt: skip
    statistics = {name: (tuple(value.shape), value.dtype) for name, value in state["amp_input_mean_std"].items()}
    assert statistics == {
        "running_mean": ((210,), torch.float64),
        "running_var": ((210,), torch.float64),
        "count": ((), torch.float64),
    }


def test_our_optimizer_numbers_parameters_in_the_tables_order(agent):
    named = {id(parameter): name for name, parameter in agent.model.named_parameters()}
    assert [named[id(p)] for p in agent.optimizer.param_groups[0]["params"]] == list(PARAMETERS)
    assert len(agent.optimizer.param_groups) == 1
    assert not agent.model.a2c_network.sigma.requires_grad


def test_it_continues_with_model_statistics_and_moments(agent, path, checkpoint):
    agent.restore(path)
    for name, value in agent.model.state_dict().items():
        assert torch.equal(value, checkpoint["model"][name]), name
    assert agent.discriminator.normalizer.running_var[0].item() == 4.0
    assert (agent.epoch_num, agent.frame, agent.last_mean_rewards) == (5, 327680, 271.5)

    named = dict(agent.model.named_parameters())
    for i, moments in checkpoint["optimizer"]["state"].items():
        parameter = named[list(PARAMETERS)[i]]
        assert torch.equal(agent.optimizer.state[parameter]["exp_avg"], moments["exp_avg"])
    assert agent.optimizer.param_groups[0]["fused"]

    agent.init_tensors()
    agent.obs = agent.env_reset()
    before = named[NET + "mu.weight"].clone()
    agent.train_epoch()
    assert not torch.equal(before, named[NET + "mu.weight"])
    assert agent.optimizer.state[named[NET + "mu.weight"]]["step"].item() == 62  # two minibatches more


def test_it_plays(tmp_path, network, path, checkpoint):
    player = make_player(tmp_path, RandomVecEnv(16, NUM_OBS, NUM_ACTIONS, NUM_AMP_OBS), network=network)
    player.restore(path)
    player.has_batch_dimension = True
    obs = torch.randn(3, NUM_OBS)
    action = player.get_action(obs, is_deterministic=True)

    model = checkpoint["model"]
    hidden = ((obs - 2.0) / (2.0 + 1e-5) ** 0.5).clamp(-5.0, 5.0)
    for layer in ("0", "2"):
        weight, bias = model[f"{NET}actor_mlp.{layer}.weight"], model[f"{NET}actor_mlp.{layer}.bias"]
        hidden = torch.relu(hidden @ weight.T + bias)
    expected = (hidden @ model[NET + "mu.weight"].T + model[NET + "mu.bias"]).clamp(-1.0, 1.0)
    torch.testing.assert_close(action, expected, atol=1e-5, rtol=1e-4)
