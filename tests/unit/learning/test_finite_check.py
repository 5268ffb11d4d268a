"""Numbers that are not finite end a training before they reach a checkpoint."""

import pytest
import torch
from fake_env import PointMassVecEnv
from make_agent import CONFIG, make_agent

from amp_train.errors import UpdateError

MINIBATCHES = 2 * CONFIG["num_actors"] * CONFIG["horizon_length"] // CONFIG["minibatch_size"]


@pytest.fixture
def agent(tmp_path):
    made = make_agent(tmp_path, PointMassVecEnv(16, episode_length=5), max_epochs=5, save_best_after=1)
    made.config["save_frequency"] = made.save_freq = 1
    return made


def break_in(agent, iteration, do):
    """Do something to the agent just before the last minibatch's optimizer step of an iteration."""
    step, calls = agent.trancate_gradients_and_step, [0]

    def broken_step():
        calls[0] += 1
        if calls[0] == iteration * MINIBATCHES:
            do()
        step()

    agent.trancate_gradients_and_step = broken_step


def saved_files(tmp_path):
    return {path.name: path.read_bytes() for path in (tmp_path / "toy" / "nn").iterdir()}


def grad(agent):
    return agent.bare_model.a2c_network.mu.weight.grad


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_a_gradient_ends_the_training_and_leaves_the_checkpoints_of_before(agent, tmp_path, value):
    before = {}

    def poison():
        before.update(saved_files(tmp_path))
        grad(agent)[0, 0] = value

    break_in(agent, 3, poison)
    with pytest.raises(UpdateError) as caught:
        agent.train()
    assert before and saved_files(tmp_path) == before
    message = str(caught.value)
    assert "iteration 3" in message and "gradient of a2c_network.mu.weight" in message and "learning_rate" in message
    assert "\n" not in message


def test_all_checkpoints_stay_finite(agent, tmp_path):
    break_in(agent, 3, lambda: grad(agent).fill_(float("nan")))
    with pytest.raises(UpdateError):
        agent.train()
    policies = sorted((tmp_path / "toy" / "nn").glob("*.pth"))
    assert policies
    for path in policies:
        model = torch.load(path, weights_only=True)["model"]
        assert all(bool(torch.isfinite(tensor).all()) for tensor in model.values())


def test_the_first_loss_that_breaks_is_named_with_its_minibatch(agent, tmp_path, monkeypatch):
    loss_of, calls = agent.ppo_loss, [0]

    def broken(result, minibatch):
        loss, parts = loss_of(result, minibatch)
        calls[0] += 1
        if calls[0] == 2:
            parts["b_loss"] = parts["b_loss"] * float("inf")
            loss = loss + parts["b_loss"]
        return loss, parts

    monkeypatch.setattr(agent, "ppo_loss", broken)
    with pytest.raises(UpdateError, match=f"b_loss in minibatch 2 of {MINIBATCHES}"):
        agent.train()


def test_statistics_are_looked_at_too(agent):
    break_in(agent, 1, lambda: agent.discriminator.normalizer.running_mean.fill_(float("nan")))
    with pytest.raises(UpdateError, match="amp_input_mean_std.running_mean"):
        agent.train()


def test_what_is_needed_to_look_into_it_is_in_a_file_that_runs_nothing(agent, tmp_path):
    break_in(agent, 2, lambda: grad(agent).fill_(float("nan")))
    with pytest.raises(UpdateError, match="broken_update_ep_2.pt"):
        agent.train()
    dump = torch.load(tmp_path / "toy" / "broken_update_ep_2.pt", weights_only=True)
    assert dump["iteration"] == 2 and "a_loss" in dump["scalar_names"]
    assert dump["scalars"].shape == (MINIBATCHES, len(dump["scalar_names"]))
    assert len(dump["rollout"]["actions"]) == CONFIG["num_actors"] * CONFIG["horizon_length"]


def test_a_dump_that_cannot_be_written_hides_nothing(agent, tmp_path, caplog):
    break_in(agent, 1, lambda: grad(agent).fill_(float("nan")))
    (tmp_path / "toy" / "broken_update_ep_1.pt").mkdir()
    with pytest.raises(UpdateError, match="gradient of"):
        agent.train()
    assert "could not be written" in caplog.text


def test_a_healthy_training_is_left_alone(agent):
    agent.train()
    assert agent.epoch_num == 5
