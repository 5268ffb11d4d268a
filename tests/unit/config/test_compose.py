"""Composing `conf/`: what users type, what they mistype, and what comes out."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from amp_train.config import check_sweep, compose, resolve, stored_form, with_overrides
from amp_train.errors import ConfigError
from amp_train.paths import CONF_DIR


def error_of(*overrides):
    with pytest.raises(ConfigError) as caught:
        compose(overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


def group_options(group):
    return sorted(path.stem for path in (CONF_DIR / group).glob("*.yaml"))


@pytest.mark.parametrize("group", ["task", "sim", "character", "motion", "train", "recipe"])
def test_every_option_of_every_group_composes(group):
    for option in group_options(group):
        config = compose([f"{group}={option}"])
        if group != "recipe":
            assert config[group].name == option


def test_the_default_is_the_cpu_recipe():
    config = compose(["motion=run"])
    assert config.train.name == "HumanoidAMPCPU"
    assert config.train.params.network.space.continuous.learn_sigma is True
    assert config.task.env.local_root_obs is False
    assert config.task.env.fall_height_ratio == 0.7


def test_every_clip_is_learned_with_one_recipe_and_the_references_discriminator():
    for overrides in ([], ["motion=backflip"], ["motion.file=mine.npz"]):
        config = compose(overrides)
        agent = config.train.params.config
        assert config.train.name == "HumanoidAMPCPU"
        assert (agent.disc_loss, agent.gamma, agent.disc_grad_penalty) == ("bce", 0.97, 5.0)
        assert (agent.task_reward_w, agent.disc_reward_w, agent.disc_reward_scale) == (0.0, 1.0, 2.0)


def test_a_goal_is_weighed_against_a_style_reward_that_is_bounded_as_its_own():
    agent = compose(["task=HumanoidAMPHeading"]).train.params.config
    assert (agent.disc_loss, agent.disc_reward_scale, agent.gamma) == ("lsgan", 1.0, 0.99)
    assert (agent.task_reward_w, agent.disc_reward_w) == (0.5, 0.5)


def test_the_spin_brings_what_a_leap_needs_unless_another_is_asked_for():
    config = compose(["motion=spin"])
    assert (config.train.name, config.motion.state_init, config.motion.retime_flights) == (
        "HumanoidAMPLeap", "Adaptive", True
    )  # fmt: skip
    agent = config.train.params.config
    assert (agent.disc_loss, agent.gamma, agent.disc_grad_penalty) == ("bce", 0.97, 5.0), "one recipe"
    assert agent.max_frames == 24_000_000, "at the walk's 8 M, 60 of 64 episodes end in a fall"
    assert compose(["motion=spin", "recipe=isaacgymenvs", "train=HumanoidAMPPPO"]).train.params.config.gamma == 0.99
    assert compose(["motion=jump"]).motion.state_init is None


def test_the_isaacgymenvs_recipe_is_the_whole_reference():
    config = compose(["recipe=isaacgymenvs"])
    assert config.num_envs == 4096
    assert config.train.name == "HumanoidAMPPPO"
    assert config.task.env.local_root_obs is False
    assert config.task.env.fall_height_ratio == 0.0


@pytest.mark.parametrize("motion", ["run", "spin", "backflip", "roll"])
def test_the_isaacgymenvs_recipe_is_the_reference_for_a_clip_that_asks_for_more(motion):
    config = compose(["recipe=isaacgymenvs", "motion=" + motion])
    assert (config.character.name, list(config.motion.derive)) == ("humanoid", ["contact_bodies"])
    assert config.character.limit_ball_joints is True
    assert config.train.name == "HumanoidAMPPPO" and config.task.env.fall_height_ratio == 0.0
    own = config.motion
    assert (own.state_init, own.termination_height, own.rise_height, own.max_low_s) == (None, None, None, None)
    assert own.retime_flights is False and own.name == motion


@pytest.mark.parametrize("train", ["HumanoidAMPPPO", "HumanoidAMPPPOLowGP"])
def test_their_train_files_bring_their_task_settings(train):
    env = compose(["train=" + train]).task.env
    assert (env.local_root_obs, env.fall_height_ratio) == (False, 0.0)
    env = compose(["train=" + train, "recipe=cpu"]).task.env
    assert (env.local_root_obs, env.fall_height_ratio) == (False, 0.7)


def test_an_override_wins_over_a_recipe():
    assert compose(["recipe=isaacgymenvs", "num_envs=8"]).num_envs == 8
    assert compose(["recipe=isaacgymenvs", "train=HumanoidAMPPPOLowGP"]).train.name == "HumanoidAMPPPOLowGP"


def test_reference_hyperparameters_are_those_of_isaacgymenvs():
    # IsaacGymEnvs cfg/train/HumanoidAMPPPO.yaml.
    params = compose(["train=HumanoidAMPPPO"]).train.params
    assert list(params.network.mlp.units) == [1024, 512] and list(params.network.disc.units) == [1024, 512]
    assert params.network.space.continuous.sigma_init.val == -2.9
    expected = dict(
        gamma=0.99, tau=0.95, learning_rate=5e-5, lr_schedule="constant", e_clip=0.2, horizon_length=16,
        minibatch_size=32768,
        mini_epochs=6, critic_coef=5, clip_value=False, bounds_loss_coef=10, entropy_coef=0, truncate_grads=False,
        max_epochs=5000, save_frequency=50, amp_obs_demo_buffer_size=200000, amp_replay_buffer_size=1000000,
        amp_replay_keep_prob=0.01, amp_batch_size=512, amp_minibatch_size=4096, disc_coef=5, disc_logit_reg=0.05,
        disc_grad_penalty=5, disc_reward_scale=2, disc_weight_decay=1e-4, normalize_amp_input=True, task_reward_w=0,
        disc_reward_w=1,
    )  # fmt: skip
    assert {key: params.config[key] for key in expected} == expected
    assert params.config.disc_learning_rate is None and params.config.advantage_clip is None


def test_low_gradient_penalty_differs_from_the_reference_in_nothing_else():
    reference, low = (
        stored_form(compose(["train=" + name]))["train"] for name in ("HumanoidAMPPPO", "HumanoidAMPPPOLowGP")
    )
    assert low["params"]["config"].pop("disc_grad_penalty") == 0.2
    assert reference["params"]["config"].pop("disc_grad_penalty") == 5.0
    assert low["params"] == reference["params"]


def test_every_motion_of_the_task_lets_a_hand_down_where_it_must():
    assert "right_hand" in compose(["motion=crawl"]).motion.contact_bodies
    assert "right_shin" in compose(["task=HumanoidAMPObstacles"]).motion.contact_bodies
    for motion in ("walk", "cartwheel", "roll", "getup"):  # these take it from the clip
        own = compose(["motion=" + motion]).motion
        assert own.contact_bodies is None and "contact_bodies" in own.derive


def test_what_version_01_stored_takes_nothing_from_its_clip():
    stored = stored_form(compose())
    del stored["motion"]["derive"]
    assert list(with_overrides(stored, []).motion.derive) == []
    assert "contact_bodies" in with_overrides(stored, ["motion=roll"]).motion.derive
    assert "contact_bodies" in with_overrides(stored, ["motion.file=mine.bvh"]).motion.derive


def test_a_character_of_before_there_were_ball_limits_has_none():
    stored = stored_form(compose(["motion=walk"]))
    assert with_overrides(stored, []).character.limit_ball_joints is True
    del stored["character"]["limit_ball_joints"]
    assert with_overrides(stored, []).character.limit_ball_joints is False
    assert with_overrides(stored, ["character.limit_ball_joints=True"]).character.limit_ball_joints is True


@pytest.mark.parametrize(
    "typo, wanted",
    [
        ("train.params.config.gama=1", "'train.params.config.gamma'"),
        ("train.params.network.mlp.unit=[1]", "'train.params.network.mlp.units'"),
        ("task.env.episode_lenght=3", "'task.env.episode_length'"),
        ("max_iteration=3", "'max_iterations'"),
        ("learning_rate=1", "'train.params.config.learning_rate'"),
        ("+foo=1", "Choose one of: capture_video, character, checkpoint"),
        ("++task.env.foo=1", "Choose one of: control_frequency_hz"),
        ("train.params.config.gamma.x=1", "Choose one of: advantage_clip"),
    ],
)
def test_a_typo_in_any_key_fails_and_names_the_right_one(typo, wanted):
    message = error_of(typo)
    assert typo.lstrip("+").split("=")[0] in message
    assert wanted in message


@pytest.mark.parametrize(
    "override, allowed",
    [
        ("task=Ant", "HumanoidAMP"),
        ("sim=physx", "mujoco"),
        ("motion=wlak", "Did you mean 'walk'?"),
        ("recipe=x", "cpu"),
    ],
)
def test_an_unknown_option_lists_the_allowed_ones(override, allowed):
    message = error_of(override)
    assert override.split("=")[1] in message and allowed in message


def test_a_clip_file_given_as_motion_is_told_where_it_goes():
    assert "motion.file=mine.npz" in error_of("motion=mine.npz")


@pytest.mark.parametrize(
    "override", ["num_envs=many", "headless=perhaps", "train.params.network.mlp.units=3", "num_envs=[1", "foo", "~task"]
)
def test_a_value_that_cannot_be_is_one_line(override):
    assert override.split("=")[0].lstrip("~") in error_of(override)


def test_a_typo_in_a_yaml_file_of_the_users_own_fails_too(tmp_path):
    (tmp_path / "motion").mkdir()
    (tmp_path / "motion" / "mine.yaml").write_text("name: mine\nfile: mine.npz\ncontact_body: [all]\n")
    with pytest.raises(ConfigError, match="contact_body"):
        compose(["motion=mine"], config_dir=str(tmp_path))


def test_a_broken_yaml_file_is_one_line(tmp_path):
    (tmp_path / "motion").mkdir()
    (tmp_path / "motion" / "mine.yaml").write_text("name: [mine\n")
    with pytest.raises(ConfigError) as caught:
        compose(["motion=mine"], config_dir=str(tmp_path))
    assert "mine.yaml" in str(caught.value) and "\n" not in str(caught.value)


def test_a_sweep_is_checked_alternative_by_alternative():
    check_sweep(["seed=1,2", "motion=walk,run", "task.env.episode_length=choice(10,20)"])
    with pytest.raises(ConfigError, match="rnu"):
        check_sweep(["motion=walk,rnu"])
    with pytest.raises(ConfigError, match="seed"):
        check_sweep(["seed=1,two"])


def test_overrides_go_on_top_of_a_stored_configuration():
    stored = stored_form(compose(["num_envs=64", "train=HumanoidAMPPPO", "task.env.episode_length=20"]))
    config = with_overrides(stored, ["num_envs=3", "motion=crawl", "train.params.network.mlp.units=[8]"])
    assert config.num_envs == 3 and config.train.params.config.num_actors == 3  # an interpolation follows
    assert config.motion.file == "crawl.npz" and "right_shin" in config.motion.contact_bodies
    assert list(config.train.params.network.mlp.units) == [8]
    assert config.task.env.episode_length == 20 and config.train.name == "HumanoidAMPPPO"


def test_another_task_brings_its_clips_and_learning_settings_and_keeps_character_and_networks():
    stored = stored_form(
        compose(["task=HumanoidAMPHeading", "train.params.network.mlp.units=[8]", "character=humanoid",
                 "train.params.config.gamma=0.5", "task.goal.speed_m_s=[1,2]", "max_iterations=7"])
    )  # fmt: skip
    config = with_overrides(stored, ["task=HumanoidAMPStrike"])
    fresh = compose(["task=HumanoidAMPStrike"])
    assert (config.motion, config.task) == (fresh.motion, fresh.task) and config.motion.name == "strike"
    assert config.train.params.config == fresh.train.params.config and config.max_iterations is None
    assert list(config.train.params.network.mlp.units) == [8] and config.character.name == "humanoid"
    assert with_overrides(stored, ["task=HumanoidAMPStrike", "motion=heading"]).motion.name == "heading"
    same = with_overrides(stored, ["task=HumanoidAMPHeading"])
    assert same.train.params.config.gamma == 0.5 and same.max_iterations == 7


@pytest.mark.parametrize("broken", [{"task": 3}, {"task": {}}, {"train": {"params": 3}}, {"train": []}])
def test_another_task_on_a_strange_stored_configuration_is_composed_afresh(broken):
    stored = {**stored_form(compose(["task=HumanoidAMPHeading"])), **broken}
    assert with_overrides(stored, ["task=HumanoidAMPStrike"]).motion.name == "strike"


def test_a_stored_configuration_with_a_strange_key_is_refused():
    stored = stored_form(compose())
    stored["task"]["env"]["unheard_of"] = 1
    with pytest.raises(ConfigError, match="unheard_of"):
        with_overrides(stored, [])


def test_where_a_run_takes_place_is_not_taken_from_a_stored_configuration():
    stored = stored_form(
        compose(["train_dir=theirs", "num_threads=64", "rl_device=cuda:0", "seed=3", "experiment=theirs"])
    )
    config = with_overrides(stored, ["train_dir=mine"])
    assert (config.train_dir, config.num_threads, config.rl_device, config.experiment) == ("mine", None, None, None)
    assert config.seed == 3


def test_a_recipe_cannot_go_on_top_of_a_stored_configuration():
    with pytest.raises(ConfigError, match="recipe"):
        with_overrides(stored_form(compose()), ["recipe=isaacgymenvs"])


def test_a_limit_that_is_given_holds_over_the_stored_number_of_iterations():
    stored = stored_form(resolve(compose(["max_iterations=7"])))
    assert with_overrides(stored, []).max_iterations == 7
    longer = resolve(with_overrides(stored, ["train.params.config.max_frames=81920", "num_envs=1024"]))
    assert longer.max_iterations == 10
    assert with_overrides(stored, ["train.params.config.max_frames=81920", "max_iterations=3"]).max_iterations == 3
    # The walk's default has a limit of samples; one of epochs is another one.
    assert resolve(with_overrides(stored, ["train.params.config.max_epochs=10000"])).max_iterations == 10000


def test_a_stored_configuration_survives_a_yaml_file(tmp_path):
    config = compose(["num_envs=5", "motion=roll"])
    OmegaConf.save(config, Path(tmp_path) / "config.yaml")
    reloaded = OmegaConf.to_container(OmegaConf.load(Path(tmp_path) / "config.yaml"))
    assert stored_form(with_overrides(reloaded, [])) == stored_form(config)


def test_torque_limits_are_stored_and_another_character_takes_their_place():
    stored = stored_form(compose(["motion=run", "+character.torque_limits={neck: 50}"]))
    assert with_overrides(stored, []).character.torque_limits["neck"] == 50.0
    assert with_overrides(stored, ["character=humanoid"]).character.torque_limits == {}
