"""What a resumed training is configured with: the checkpoint's own values, and what may be changed."""

import pytest
from omegaconf import OmegaConf

from amp_train.config import compose, resolve, stored_form
from amp_train.errors import ConfigError
from amp_train.resume.configuration import INEXACT_NOTE, resumed_config

FIRST = [
    "num_envs=64",
    "motion=run",
    "train.params.config.gamma=0.9",
    "train.params.config.minibatch_size=64",
    "seed=7",
]


@pytest.fixture(scope="module")
def stored():
    return stored_form(resolve(compose(FIRST + ["max_iterations=10", "num_threads=2", "eval_interval=5"])))


def resumed(stored, *overrides):
    return resumed_config(stored, compose(overrides), overrides, "last_ep_10")


def shown(differences):
    return [str(difference) for difference in differences]


def test_what_is_not_given_comes_from_the_checkpoint(stored):
    config, differences = resumed(stored, "max_iterations=20")
    assert (config.num_envs, config.motion.name, config.seed, config.num_threads) == (64, "run", 7, 2)
    assert (config.train.params.config.gamma, config.eval_interval) == (0.9, 5)
    assert shown(differences) == ["max_iterations: 10 -> 20"]
    assert resolve(config).max_iterations == 20


def test_the_same_command_line_again_changes_nothing(stored):
    config, differences = resumed(stored, *FIRST, "recipe=cpu", "max_iterations=10", "num_threads=2", "eval_interval=5")
    assert differences == []
    assert stored_form(resolve(config)) == stored


def test_numbers_that_were_fitted_to_a_machine_stay_on_another(stored):
    stored = dict(stored, num_envs=48, num_threads=64)
    config, differences = resumed(stored, *FIRST[1:], "sim=auto")
    assert config.sim.name == "mujoco"
    assert (config.num_envs, config.num_threads, differences) == (48, 64, [])


def test_another_number_of_threads_is_accepted_with_a_word_about_exactness(stored):
    config, differences = resumed(stored, "num_threads=1", "eval_interval=0")
    assert (config.num_threads, config.eval_interval) == (1, 0)
    assert shown(differences) == ["eval_interval: 5 -> 0", f"num_threads: 2 -> 1 ({INEXACT_NOTE})"]


@pytest.mark.parametrize(
    "override, told, allow",
    [
        ("train.params.config.gamma=0.5", "train.params.config.gamma: 0.9 -> 0.5", "train.params.config.gamma"),
        ("seed=8", "seed: 7 -> 8", "seed"),
        ("motion=walk", "motion.name: run -> walk, motion.file: run.npz -> walk.npz", "motion"),
        ("task.env.local_root_obs=True", "task.env.local_root_obs: False -> True", "task.env"),
    ],
)
def test_what_would_make_it_another_training_needs_to_be_allowed_by_name(stored, override, told, allow):
    with pytest.raises(ConfigError) as caught:
        resumed(stored, override)
    assert "last_ep_10" in str(caught.value) and told in str(caught.value) and "resume_allow=[" in str(caught.value)
    config, differences = resumed(stored, override, f"resume_allow=[{allow}]")
    assert ", ".join(shown(differences)) == told
    assert all(OmegaConf.select(config, d.key) == d.given for d in differences)


@pytest.mark.parametrize(
    "override", ["num_envs=128", "train.params.network.mlp.units=[8]", "task.env.num_amp_obs_steps=3", "multi_gpu=True"]
)
def test_what_the_state_does_not_fit_is_refused_even_if_allowed(stored, override):
    key = override.partition("=")[0]
    with pytest.raises(ConfigError, match="its state does not fit.*checkpoint="):
        resumed(stored, override, f"resume_allow=[{key}]")


def test_a_recipe_given_again_is_compared_value_by_value(stored):
    with pytest.raises(ConfigError, match="train.params.network"):
        resumed(stored, "recipe=isaacgymenvs")


def test_a_limit_in_frames_counts_again_when_it_is_given(stored):
    config, differences = resumed(stored, "train.params.config.max_frames=20480")
    assert resolve(config).max_iterations == 20480 // (64 * 8)
    assert differences == []


def test_session_keys_are_no_difference(stored):
    given = ["experiment=x", "train_dir=elsewhere", "resume=auto", "checkpoint=old.pth", "max_time_s=5"]
    config, differences = resumed(stored, *given)
    assert differences == [] and config.max_time_s == 5
