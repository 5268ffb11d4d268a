"""Derived values: environments, threads, iterations, devices and what rl_games reads."""

import sys

import pytest

from amp_train.config import compose, resolve, rl_games_params
from amp_train.config.resolve import auto_num_envs, available_cores
from amp_train.errors import ConfigError


def resolved(*overrides):
    return resolve(compose(overrides))


@pytest.mark.parametrize("cores, envs", [(1, 256), (2, 512), (3, 512), (4, 1024), (8, 2048), (64, 4096)])
def test_environments_follow_the_cores(cores, envs):
    assert auto_num_envs(cores, 16, 2048) == envs
    assert auto_num_envs(cores, 8, 1024) == min(2 * envs, 4096)  # as many samples


@pytest.mark.parametrize("horizon, minibatch", [(16, 32768), (16, 2048), (10, 768), (7, 1000)])
def test_automatic_environments_always_make_whole_minibatches(horizon, minibatch):
    for cores in (1, 2, 5, 16):
        assert auto_num_envs(cores, horizon, minibatch) * horizon % minibatch == 0


def test_a_container_with_a_quota_has_that_many_cores(tmp_path, monkeypatch):
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)), raising=False)
    quota.write_text("150000 100000\n")
    assert available_cores(quota) == 2
    quota.write_text("max 100000\n")
    assert available_cores(quota) == 8


@pytest.mark.parametrize(
    ("load", "cores", "given", "advice"),
    [(1.9, 2, (), "num_threads=1"), (3.5, 8, (), "num_threads=4"), (9.0, 8, (), "num_threads=1"), (0.5, 2, (), None),
     (1.9, 2, ("num_threads=2",), None), (1.9, 2, ("test=True", "checkpoint=pretrained/walk"), None),
     (30.0, 64, (), None)],  # 8 of 64: not ours to judge
)  # fmt: skip
def test_a_busy_machine_is_told_of_unless_the_threads_were_chosen(monkeypatch, caplog, load, cores, given, advice):
    monkeypatch.setattr("os.getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    monkeypatch.setattr(sys.modules[available_cores.__module__], "available_cores", lambda *quota: min(cores, 8))
    resolved(*given)
    assert advice in caplog.text if advice else "busy" not in caplog.text


def test_the_cpu_recipe_ends_after_eight_million_samples():
    config = resolved("num_envs=1024")
    assert config.max_iterations == 977  # 8e6 / (1024 * 8) = 976.6
    assert rl_games_params(config)["config"]["max_epochs"] == 977
    assert rl_games_params(config)["config"]["max_frames"] == -1


def test_max_iterations_replaces_every_other_limit():
    assert rl_games_params(resolved("max_iterations=7"))["config"]["max_epochs"] == 7
    assert rl_games_params(resolved("max_iterations=7", "train=HumanoidAMPPPO"))["config"]["max_epochs"] == 7
    assert resolved("train=HumanoidAMPPPO").max_iterations == 5000


def test_a_training_without_an_end_is_refused():
    with pytest.raises(ConfigError, match="max_iterations"):
        resolved("train.params.config.max_frames=-1")


def test_top_level_keys_reach_rl_games_under_its_names():
    params = rl_games_params(
        resolved("num_envs=12", "seed=5", "rl_device=cpu", "num_threads=3", "experiment=mine", "train_dir=out")
    )
    config = params["config"]
    assert params["seed"] == 5 and params["torch_threads"] == 3
    assert config["num_actors"] == 12 and config["device"] == config["device_name"] == "cpu"
    assert config["full_experiment_name"] == "mine" and config["train_dir"] == "out"


def test_a_null_value_is_left_to_rl_games():
    config = rl_games_params(resolved("train=HumanoidAMPPPO"))["config"]
    assert "disc_learning_rate" not in config and "advantage_clip" not in config
    assert rl_games_params(resolved())["network"]["mlp"]["initializer"] == {"name": "default"}


def test_resolving_leaves_the_composed_configuration_alone():
    composed = compose()
    resolve(composed)
    assert composed.num_envs is None and composed.rl_device is None


def test_resolving_twice_changes_nothing():
    once = resolved("num_envs=12")
    assert resolve(once) == once


@pytest.mark.parametrize(
    "override, named",
    [
        ("rl_device=cuda:77", "cuda:77"),
        ("rl_device=gpu", "gpu"),
        ("sim_device=cuda:0", "sim_device=cpu"),
        ("num_envs=0", "num_envs"),
        ("num_envs=-4", "num_envs"),
        ("max_iterations=0", "max_iterations"),
        ("num_threads=0", "num_threads"),
        ("sim.decimation=0", "sim.decimation"),
        ("task.env.control_frequency_hz=0", "task.env.control_frequency_hz"),
        ("train.params.config.minibatch_size=0", "minibatch_size"),
        ("motion.rise_height=0.5 motion.max_low_s=0", "max_low_s must be above 0"),
        ("motion.max_low_s=1 motion.rise_height=-1", "rise_height must be above 0"),
        ("motion.rise_height=1", "must be set together, but max_low_s is null"),
        ("motion.max_low_s=1", "must be set together, but rise_height is null"),
        ("task.env.hybrid_init_prob=1.5", "hybrid_init_prob"),
        ("train.params.config.save_frequency=-1", "save_frequency"),
        ("train.params.config.save_interval_s=-1", "save_interval_s"),
        ("train.params.config.keep_checkpoints=0", "keep_checkpoints"),
        ("train.params.config.save_max_share=0", "save_max_share"),
        ("seed=-2", "seed"),
        ("max_time_s=0", "max_time_s"),
        ("max_diverged_share=1.5", "max_diverged_share"),
        ("headless=False", "headless"),
        ("multi_gpu=True", "multi_gpu"),
    ],
)
def test_a_value_out_of_range_is_one_line_that_names_it(override, named):
    with pytest.raises(ConfigError) as caught:
        resolved(*override.split())
    assert named in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "overrides, says",
    [
        (["train.params.network.disc.units=[16384,16384]"], "disc.units=.* has more than 134 million weights"),
        (["train.params.network.mlp.units=[8192,8192,8192,8192]"], "mlp.units=.* has more than 134 million weights"),
        (["num_envs=65536", "train.params.config.horizon_length=512"], "num_envs=65536 times .*horizon_length=512"),
        (["train.params.config.amp_replay_buffer_size=100000000"], "amp_replay_buffer_size must be"),
        (["train.params.config.amp_obs_demo_buffer_size=100000000"], "amp_obs_demo_buffer_size must be"),
    ],
)
def test_sizes_are_bounded_together_and_not_each_alone(overrides, says):
    with pytest.raises(ConfigError, match=says):
        resolved(*overrides)
