"""Checkpoints of the agent: plain, exact to resume from, and those of IsaacGymEnvs as well."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from fake_env import PointMassVecEnv
from make_agent import CONFIG, NETWORK, make_agent

from amp_train.errors import CheckpointError

BATCH = CONFIG["num_actors"] * CONFIG["horizon_length"]


@pytest.fixture
def trained(tmp_path):
    agent = make_agent(tmp_path, lr_schedule="adaptive", kl_threshold=1e9, max_epochs=2)
    agent.train()
    return agent


def save(agent, tmp_path):
    agent.save(str(tmp_path / "saved"))
    return str(tmp_path / "saved.pth")


def outputs(agent, obs):
    agent.model.eval()
    return agent.model({"is_train": False, "prev_actions": None, "obs": obs.clone()})


def test_a_checkpoint_loads_without_any_allow_list(trained, tmp_path):
    loaded = torch.load(save(trained, tmp_path), weights_only=True)
    assert type(loaded["last_mean_rewards"]) is float
    assert (type(loaded["epoch"]), type(loaded["frame"])) == (int, int)


def test_a_restored_agent_acts_values_and_judges_identically(trained, tmp_path):
    path, obs, amp_obs = save(trained, tmp_path), torch.randn(9, 4), torch.randn(9, 4)
    restored = make_agent(tmp_path)
    restored.restore(path)
    before, after = outputs(trained, obs), outputs(restored, obs)
    assert torch.equal(before["mus"], after["mus"]) and torch.equal(before["values"], after["values"])
    assert torch.equal(trained.discriminator.style_reward(amp_obs), restored.discriminator.style_reward(amp_obs))


def test_a_restored_agent_continues_where_it_stopped(trained, tmp_path):
    path = save(trained, tmp_path)
    restored = make_agent(tmp_path, lr_schedule="adaptive", kl_threshold=1e9, max_epochs=3)
    restored.restore(path)
    assert (restored.epoch_num, restored.frame) == (2, 2 * BATCH)
    assert restored.last_lr == trained.last_lr != CONFIG["learning_rate"]
    for mine, theirs in zip(restored.optimizer.state.values(), trained.optimizer.state.values()):
        assert torch.equal(mine["exp_avg"], theirs["exp_avg"]) and torch.equal(mine["step"], theirs["step"])
    restored.train()
    assert (restored.epoch_num, restored.frame) == (3, 3 * BATCH)


def test_the_same_seed_and_checkpoint_give_the_same_next_epoch(trained, tmp_path):
    path = save(trained, tmp_path)
    results = []
    for run in ("a", "b"):
        agent = make_agent(tmp_path / run, max_epochs=3)
        agent.restore(path)
        torch.manual_seed(3)
        agent.train()
        results.append(agent.epoch_stats)
    assert results[0] == results[1]


def test_a_constant_rate_is_that_of_the_config_and_not_of_the_checkpoint(trained, tmp_path):
    agent = make_agent(tmp_path, lr_schedule="constant", learning_rate=3e-4)
    agent.restore(save(trained, tmp_path))
    assert agent.last_lr == agent.optimizer.param_groups[0]["lr"] == 3e-4


def test_resuming_does_not_overwrite_a_better_checkpoint(tmp_path):
    first = make_agent(tmp_path, PointMassVecEnv(16, episode_length=5), save_best_after=1)
    first.train()
    best = tmp_path / "toy" / "nn" / "toy.pth"
    first.last_mean_rewards = 1e6
    path = save(first, tmp_path)
    best.unlink()
    resumed = make_agent(tmp_path, PointMassVecEnv(16, episode_length=5), save_best_after=1, max_epochs=4)
    resumed.restore(path)
    resumed.train()
    assert not best.exists()
    assert resumed.last_mean_rewards == 1e6


@pytest.mark.parametrize(("before", "after"), [(None, 5e-5), (5e-5, None)])
def test_moments_survive_a_change_of_parameter_groups(tmp_path, before, after):
    first = make_agent(tmp_path, disc_learning_rate=before)
    first.train()
    second = make_agent(tmp_path, disc_learning_rate=after, max_epochs=3)
    second.restore(save(first, tmp_path))
    mine, theirs = dict(second.model.named_parameters()), dict(first.model.named_parameters())
    for name in ("a2c_network.mu.weight", "a2c_network._disc_logits.weight"):
        moment = second.optimizer.state[mine[name]]["exp_avg"]
        assert moment.abs().sum() > 0
        assert torch.equal(moment, first.optimizer.state[theirs[name]]["exp_avg"])
    assert [group["lr"] for group in second.optimizer.param_groups] == [1e-3, 5e-5][: 2 if after else 1]
    second.train()


def test_a_runs_own_description_travels_with_the_checkpoint(tmp_path):
    description = {"config": {"task": "HumanoidAMP", "num_envs": 16}, "versions": {"torch": "2"}}
    agent = make_agent(tmp_path, checkpoint_extra=description)
    assert torch.load(save(agent, tmp_path), weights_only=True)["amp_train"] == description


def test_a_checkpoint_without_amp_statistics_still_loads(trained, tmp_path, caplog):
    path = save(trained, tmp_path)
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint["amp_input_mean_std"]
    torch.save(checkpoint, path)
    agent = make_agent(tmp_path)
    agent.restore(path)
    assert agent.discriminator.normalizer.count.item() == 1
    assert "amp_input_mean_std" in caplog.text


def test_a_compiled_agent_trains_saves_plain_names_and_restores(tmp_path):
    agent = make_agent(tmp_path, max_epochs=1)
    agent.model = torch.compile(agent.model, backend="eager")
    agent.train()
    path = save(agent, tmp_path)
    assert not any("_orig_mod" in name for name in torch.load(path, weights_only=True)["model"])
    agent.restore(path)


def test_the_discriminator_stays_out_of_a_compiled_graph(tmp_path):
    # aot_autograd, which every real backend uses, cannot differentiate twice.
    agent = make_agent(tmp_path, max_epochs=1)
    agent.model = torch.compile(agent.model, backend="aot_eager")
    agent.train()
    assert agent.epoch_stats["disc_grad_penalty"] > 0


def test_a_checkpoint_of_another_network_is_refused_in_one_line(trained, tmp_path):
    path = save(trained, tmp_path)
    network = {**NETWORK, "mlp": {**NETWORK["mlp"], "units": [64, 16]}}
    with pytest.raises(CheckpointError, match="check the network's units") as caught:
        make_agent(tmp_path, network=network).restore(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["epoch", "frame"])
def test_a_checkpoint_that_counts_nothing_cannot_be_continued(trained, tmp_path, key):
    path = save(trained, tmp_path)
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint[key]
    torch.save(checkpoint, path)
    with pytest.raises(CheckpointError, match="lacks " + key):
        make_agent(tmp_path).restore(path)


def test_a_checkpoint_without_an_optimizer_begins_with_a_fresh_one(trained, tmp_path):
    path = save(trained, tmp_path)
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint["optimizer"]
    torch.save(checkpoint, path)
    agent = make_agent(tmp_path)
    agent.restore(path)
    assert not agent.optimizer.state
    wanted = trained.bare_model.state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in agent.bare_model.state_dict().items())


class WithGoal(PointMassVecEnv):
    """The point mass with goals that are added to its observation."""

    def __init__(self, goal_size):
        super().__init__(16)
        self.goal_size = goal_size

    def get_env_info(self):
        box = gym.spaces.Box(-np.inf, np.inf, (4 + self.goal_size,), dtype=np.float32)
        return {**super().get_env_info(), "observation_space": box}

    def _observe(self):
        return torch.cat((super()._observe(), 5.0 + torch.randn(self.num_envs, self.goal_size)), dim=-1)


def described(task):
    return {"config": {"task": {"name": task}}}


def save_as(agent, tmp_path, task):
    agent.config["checkpoint_extra"] = described(task)
    return save(agent, tmp_path)


@pytest.mark.parametrize(("before", "after"), [(0, 2), (1, 3), (3, 1)])
def test_another_tasks_policy_acts_as_before_until_it_learns_the_new_goal(tmp_path, before, after):
    first = make_agent(tmp_path, WithGoal(before))
    first.train()
    if before > after:  # a lost column had its mean
        first.bare_model.state_dict()["a2c_network.actor_mlp.0.weight"][:, 4 + after :] = 0.0
        first.bare_model.state_dict()["a2c_network.critic_mlp.0.weight"][:, 4 + after :] = 0.0
    path = save_as(first, tmp_path, "other")
    second = make_agent(tmp_path, WithGoal(after), max_epochs=1)
    second.restore(path)
    obs = torch.randn(9, 4 + max(before, after))
    old, new = outputs(first, obs[:, : 4 + before]), outputs(second, obs[:, : 4 + after])
    assert torch.allclose(old["mus"], new["mus"], atol=1e-6) and torch.allclose(old["values"], new["values"], atol=1e-6)
    assert (second.epoch_num, second.frame, second.last_mean_rewards) == (0, 0, make_agent(tmp_path).last_mean_rewards)
    assert not second.optimizer.state
    second.train()
    assert second.bare_model.state_dict()["a2c_network.actor_mlp.0.weight"][:, 4:].abs().min() > 0


def test_statistics_soon_follow_a_new_goal(tmp_path):
    first = make_agent(tmp_path, WithGoal(0))
    first.bare_model.running_mean_std.count.fill_(1e9)
    second = make_agent(tmp_path, WithGoal(1))
    second.restore(save_as(first, tmp_path, "other"))
    assert second.bare_model.running_mean_std.count == 2e6
    second.train()
    assert 5.0 * 2 * BATCH / 2e6 == pytest.approx(second.bare_model.running_mean_std.running_mean[4].item(), rel=0.3)


def test_the_same_task_keeps_its_statistics_and_needs_the_same_goal(tmp_path):
    first = make_agent(tmp_path, WithGoal(1))
    first.bare_model.running_mean_std.count.fill_(1e9)
    path = save_as(first, tmp_path, "mine")
    second = make_agent(tmp_path, WithGoal(1), name="renamed", checkpoint_extra=described("mine"))
    second.restore(path)
    assert second.bare_model.running_mean_std.count == 1e9
    with pytest.raises(CheckpointError, match="actor_mlp.0.weight has shape"):
        make_agent(tmp_path, WithGoal(2), checkpoint_extra=described("mine")).restore(path)


def test_another_tasks_policy_of_another_character_is_refused(trained, tmp_path):
    path = save_as(trained, tmp_path, "other")
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["model"]["a2c_network._disc_mlp.0.weight"] = torch.zeros(32, 6)
    torch.save(checkpoint, path)
    with pytest.raises(CheckpointError, match="_disc_mlp.0.weight has shape"):
        make_agent(tmp_path).restore(path)


@pytest.mark.parametrize("extra", [{"config": 3}, {"config": {"task": []}}, {"config": {"task": {"name": {}}}}, {}])
def test_a_strange_description_or_strange_columns_give_no_traceback(trained, tmp_path, extra):
    trained.config["checkpoint_extra"] = extra
    path = save(trained, tmp_path)
    make_agent(tmp_path).restore(path)
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["model"]["running_mean_std.running_mean"] = torch.zeros(())
    checkpoint["amp_train"] = {"config": {"task": {"name": "other"}}}
    torch.save(checkpoint, path)
    with pytest.raises(CheckpointError, match="running_mean has shape"):
        make_agent(tmp_path).restore(path)


def test_a_crash_while_saving_leaves_the_former_checkpoint(trained, tmp_path, monkeypatch):
    path = save(trained, tmp_path)
    before = open(path, "rb").read()

    def crash(state, file):
        file.write(b"PK half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", crash)
    with pytest.raises(OSError, match="disk full"):
        trained.save(str(tmp_path / "saved"))
    assert open(path, "rb").read() == before
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["saved.pth"]
