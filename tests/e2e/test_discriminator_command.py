"""A discriminator that only a test knows: one line of YAML, and the commands train, log, save, resume and judge."""

import json
import sys

import pytest
import torch
from difference_discriminator import DifferenceDiscriminator

from amp_train.checkpoint.load import safe_load
from amp_train.cli import train
from amp_train.config import compose, resolve
from amp_train.env import make_env
from amp_train.runner.policy import Policy
from amp_train.runner.vec_env import AMPVecEnv

ARGV = [
    "experiment=run", "resume=auto", "video=False", "eval_interval=0", "seed=5", "num_envs=16", "num_threads=1",
    "task.env.episode_length=12", "train.params.config.discriminator=add",
    "train.params.config.discriminator_settings={max_abs: 6.0}",
    "train.params.config.horizon_length=8", "train.params.config.minibatch_size=64",
    "train.params.config.amp_minibatch_size=32", "train.params.config.amp_replay_buffer_size=200",
    "train.params.config.mini_epochs=2", "train.params.network.mlp.units=[16,8]",
    "train.params.network.disc.units=[16,8]", "train.params.config.warm_start_steps=4",
]  # fmt: skip

pytestmark = pytest.mark.mujoco


def run(folder, monkeypatch, iterations):
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["amp-train", *ARGV, f"max_iterations={iterations}"])
    threads = torch.get_num_threads()
    try:
        train.main()
    finally:
        torch.set_num_threads(threads)
    return folder / "runs" / "run"


def rows(run_dir):
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def last_policy(run_dir):
    return next((run_dir / "nn").glob("last_*_ep_4_*.pth"))


def test_one_line_of_yaml_trains_logs_resumes_and_judges(tmp_path, monkeypatch):
    whole = run(tmp_path / "whole", monkeypatch, 4)
    run(tmp_path / "half", monkeypatch, 2)
    half = run(tmp_path / "half", monkeypatch, 4)

    stats = [{name: row[name] for name in ("add_loss", "add_error", "style_reward_mean", "kl")} for row in rows(whole)]
    assert len(stats) == 4 and stats[0]["add_error"] > 0.0
    assert [{name: row[name] for name in stats[0]} for row in rows(half)] == stats
    assert not any(name in rows(whole)[0] for name in ("disc_loss", "disc_agent_acc"))

    one, other = safe_load(last_policy(whole)), safe_load(last_policy(half))
    assert all(torch.equal(one["model"][name], other["model"][name]) for name in one["model"])
    assert torch.equal(one["add_difference_std"]["running_var"], other["add_difference_std"]["running_var"])

    env = make_env(resolve(compose([*ARGV, "max_iterations=4"])))
    try:
        vec_env = AMPVecEnv(env, "cpu")
        policy = Policy(resolve(compose([*ARGV, "max_iterations=4"])), vec_env, str(last_policy(whole)))
        obs = policy.start(vec_env)
        infos = vec_env.step(policy.act(obs, deterministic=True))[3]
        logit, reward = policy.judge(infos)
        assert isinstance(policy.discriminator, DifferenceDiscriminator)
        assert logit.shape == reward.shape == (16,) and policy.demo_logit(3).shape == (3,)
        # Zero difference is what the discriminator holds for the clip itself.
        clip = vec_env.fetch_amp_obs_at(infos["clip_ids"], infos["clip_times_s"])
        same = policy.discriminator.observe({**infos, "amp_obs": clip})
        assert not same.any()
    finally:
        env.close()
