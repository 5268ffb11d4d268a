"""A discriminator on paired frames, registered by a test, trains, logs, saves and resumes; nothing else knows of it."""

import json

import pytest
import torch
from difference_discriminator import DifferenceDiscriminator
from fake_env import DT_S, PointMassVecEnv
from make_agent import CONFIG, make_agent
from test_training_state import everything

from amp_train.checkpoint.load import safe_load
from amp_train.checkpoint.store import newest_valid
from amp_train.errors import ConfigError

SETTINGS = {"discriminator": "add", "amp_replay_buffer_size": 300, "discriminator_settings": {"max_abs": 8.0}}


class PairedEnv(PointMassVecEnv):
    """The clip accelerates: what is right depends on the time."""

    def fetch_amp_obs_at(self, clip_ids, times_s):
        return clip_velocity(times_s).repeat(1, 2)

    def step(self, actions):
        obs, rewards, dones, infos = super().step(actions)
        times_s = DT_S * self.steps
        return obs, rewards, dones, {**infos, "clip_ids": torch.zeros_like(self.steps), "clip_times_s": times_s}


def clip_velocity(times_s):
    return torch.stack((times_s, torch.zeros_like(times_s)), dim=-1)


def new_agent(folder, **config):
    env = PairedEnv(CONFIG["num_actors"], max_speed=3.0)
    return make_agent(folder, env, **{**SETTINGS, "max_epochs": 4, **config})


def test_it_judges_the_clip_at_the_time_of_the_state_against_the_state(tmp_path):
    agent = new_agent(tmp_path)
    agent.init_tensors()
    agent.obs = agent.env_reset()
    vel, steps = [], []
    step = agent.vec_env.step

    def noting(actions):
        result = step(actions)
        vel.append(agent.vec_env.vel.clone())
        steps.append(agent.vec_env.steps.clone())
        return result

    agent.vec_env.step = noting
    agent.act()
    expected = clip_velocity(DT_S * torch.stack(steps)) - torch.stack(vel)
    torch.testing.assert_close(agent.rollout["disc_obs"][..., :2], expected)
    assert torch.stack(steps).unique().numel() > 1


def test_it_teaches_to_follow_the_clip_in_time(tmp_path):
    torch.manual_seed(0)
    sizes = dict(num_actors=64, horizon_length=16, minibatch_size=256, amp_minibatch_size=128)
    learning = dict(mini_epochs=4, gamma=0.9, amp_replay_buffer_size=16_000, disc_grad_penalty=1, max_epochs=40)
    agent = make_agent(tmp_path, PairedEnv(64, max_speed=3.0), **{**SETTINGS, **sizes, **learning})
    errors = []  # mean square of the velocity's, (m/s)^2, one an iteration
    agent.config["stop_reason"] = lambda: errors.append(agent.rollout["disc_obs"][..., :2].square().mean().item())
    agent.train()
    assert sum(errors[-5:]) < 0.3 * sum(errors[:5])  # 0.06 to 0.09 after 60 iterations, over three seeds


def test_it_logs_its_own_scalars_and_none_of_amps(tmp_path):
    agent = new_agent(tmp_path, max_epochs=1)
    written = {}
    agent.writer.add_scalar = lambda tag, value, step=None: written.__setitem__(tag, value)
    agent.train()
    assert {"add_loss", "add_logit", "add_error", "style_reward_mean"} <= set(agent.epoch_stats)
    assert written["info/add_error"] == agent.epoch_stats["add_error"]
    assert not any("disc_loss" in name or "disc_demo" in name for name in [*written, *agent.epoch_stats])


def test_half_and_half_is_the_whole_bit_for_bit(tmp_path):
    torch.manual_seed(1)
    whole = new_agent(tmp_path / "whole")
    whole.train()

    torch.manual_seed(1)
    asked = iter(range(1, 5))
    new_agent(tmp_path / "half", stop_reason=lambda: "enough" if next(asked) == 2 else None).train()
    checkpoint, _ = newest_valid(tmp_path / "half" / "toy" / "nn")
    torch.manual_seed(99)
    resumed = new_agent(tmp_path / "rest")
    resumed.restore(str(checkpoint.policy))
    resumed.config["training_state"] = str(checkpoint.state())
    resumed.train()
    assert resumed.epoch_num == 4 and everything(resumed) == everything(whole)
    parts = json.loads(everything(resumed))["state"]["parts"]["discriminator"]
    assert set(parts) == {"replay"}  # no demonstrations


def test_its_statistics_are_in_the_policy_file_under_its_own_name(tmp_path):
    agent = new_agent(tmp_path, max_epochs=1)
    agent.train()
    agent.save(str(tmp_path / "policy"))
    saved = safe_load(tmp_path / "policy.pth")
    assert "amp_input_mean_std" not in saved and "add_difference_std" in saved
    other = new_agent(tmp_path / "other")
    other.restore(str(tmp_path / "policy.pth"))
    difference = torch.randn(3, 4)
    assert torch.equal(other.discriminator.style_reward(difference), agent.discriminator.style_reward(difference))
    assert isinstance(other.discriminator, DifferenceDiscriminator) and other.discriminator.own_settings.max_abs == 8.0


def test_what_it_needs_of_the_environment_is_asked_for(tmp_path):
    with pytest.raises(ConfigError, match="its vec env lacks fetch_amp_obs_at"):
        make_agent(tmp_path, PointMassVecEnv(CONFIG["num_actors"]), **SETTINGS)

    class WithoutTimes(PairedEnv):
        def step(self, actions):
            obs, rewards, dones, infos = super().step(actions)
            del infos["clip_times_s"]
            return obs, rewards, dones, infos

    agent = make_agent(tmp_path, WithoutTimes(CONFIG["num_actors"]), **SETTINGS)
    with pytest.raises(ConfigError, match="infos lack .*'clip_times_s'"):
        agent.train()
