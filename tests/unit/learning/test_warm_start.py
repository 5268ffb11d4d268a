"""Behaviour cloning before the first rollout, and only then."""

import pytest
import torch
from fake_env import PointMassVecEnv
from make_agent import make_agent
from test_agent_learns import distance_to_demo

from amp_train.errors import ConfigError
from amp_train.learning import agent as agent_module
from amp_train.learning.warm_start import warm_start


def test_the_policy_goes_on_along_the_demonstrations(tmp_path):
    agent = make_agent(tmp_path)
    before = distance_to_demo(agent)
    error = warm_start(agent.bare_model, agent.vec_env.fetch_action_demo, 300)
    assert error < 0.1
    assert distance_to_demo(agent) < 0.3 * before


def test_only_the_policys_mean_and_the_statistics_move(tmp_path):
    agent = make_agent(tmp_path)
    before = {name: value.clone() for name, value in agent.bare_model.state_dict().items()}
    warm_start(agent.bare_model, agent.vec_env.fetch_action_demo, 3)
    after = agent.bare_model.state_dict()
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    parts = ("a2c_network.actor_mlp.", "a2c_network.mu.", "running_mean_std.")
    assert moved and all(name.startswith(parts) for name in moved)
    assert after["running_mean_std.running_mean"][2].item() == pytest.approx(1.0, abs=0.01)  # the clip's velocity


class Count(PointMassVecEnv):
    calls = 0

    def fetch_action_demo(self, n):
        self.calls += 1
        return super().fetch_action_demo(n)


@pytest.mark.parametrize("steps", [0, 2])
def test_a_new_policy_is_cloned_if_asked_for(tmp_path, steps):
    env = Count(16)
    make_agent(tmp_path, env, warm_start_steps=steps, max_epochs=1).train()
    assert env.calls == (steps > 0)


def test_a_policy_from_a_checkpoint_is_not(tmp_path, monkeypatch):
    first = make_agent(tmp_path, max_epochs=1)
    first.train()
    first.save(str(tmp_path / "policy"))
    monkeypatch.setattr(agent_module, "warm_start", lambda *_: pytest.fail("cloned"))
    env = PointMassVecEnv(16)
    agent = make_agent(tmp_path, env, warm_start_steps=2, max_epochs=2)
    agent.restore(str(tmp_path / "policy.pth"))
    agent.train()


def test_a_negative_number_of_steps_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="warm_start_steps must be at least 0"):
        make_agent(tmp_path, warm_start_steps=-1)
