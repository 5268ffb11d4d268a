"""The settings of domain randomisation: IsaacGymEnvs' keys, what is refused, and what playing takes of them."""

import pytest

from amp_train.cli.play import PlayArgs, playing_config
from amp_train.config import compose, resolve
from amp_train.env.randomization import parameters_of
from amp_train.errors import ConfigError

PARAMS = "task.task.randomization_params."
MASS = PARAMS + "actor_params.humanoid.rigid_body_properties.mass"


def test_it_is_off_and_has_isaacgymenvs_values():
    task = compose([]).task.task
    assert not task.randomize
    mass = task.randomization_params.actor_params.humanoid.rigid_body_properties.mass
    assert (list(mass.range), mass.operation, mass.distribution) == ([0.5, 1.5], "scaling", "uniform")
    assert sorted(key.split(".")[-1] for key, _ in parameters_of(task.randomization_params)) == [
        "damping", "friction", "gravity", "lower", "mass", "stiffness", "upper",
    ]  # fmt: skip


def test_single_keys_and_null_are_given_on_the_command_line():
    given = [MASS + ".range=[0.8,1.2]", PARAMS + "sim_params.gravity=null", PARAMS + "actions.range_correlated=[0,0.1]"]
    params = resolve(compose(given)).task.task.randomization_params
    assert list(params.actor_params.humanoid.rigid_body_properties.mass.range) == [0.8, 1.2]
    assert params.sim_params.gravity is None and list(params.actions.range_correlated) == [0.0, 0.1]


@pytest.mark.parametrize(
    "given, said",
    [
        (MASS + ".range=[1.5,0.5]", r"mass.range must be \[least, largest\], not \[1.5, 0.5\]"),
        (MASS + ".range=[1.0]", "mass.range must be two finite numbers"),
        (MASS + ".distribution=normal", "Choose one of: gaussian, loguniform, uniform"),
        (MASS + ".operation=add", "Choose one of: additive, scaling"),
        (MASS + ".schedule=cosine", "Choose one of: constant, linear"),
        (MASS + ".schedule_steps=0", "mass.schedule_steps must be at least 1"),
        (MASS + ".setup_only=True", "Remove setup_only or schedule"),
        (MASS + ".rnage=[0.5,1.5]", "range"),
        (PARAMS + "frequency=0", "frequency must be at least 1"),
        (PARAMS + "observations.range=[0.0,-0.1]", "standard deviation"),
        (PARAMS + "actor_params.robot.color=True", "robot"),
    ],
)
def test_what_cannot_be_is_one_line(given, said):
    with pytest.raises(ConfigError, match=said) as error:
        resolve(compose([given]))
    assert "\n" not in str(error.value)


def test_a_key_inside_a_null_is_one_line_and_the_whole_can_be_given():
    with pytest.raises(ConfigError, match="inside one that is null"):
        compose([PARAMS + "observations=null", PARAMS + "observations.range=[0,1]"])
    whole = "observations={range: [0, 1], operation: additive, distribution: uniform}"
    given = compose([PARAMS + whole]).task.task.randomization_params.observations
    assert (list(given.range), given.distribution) == ([0.0, 1.0], "uniform")


def test_an_actor_of_a_config_folder_is_the_humanoid(tmp_path):
    (tmp_path / "task").mkdir()
    text = "defaults: [HumanoidAMP]\ntask: {randomization_params: {actor_params: {robot: {color: true}}}}\n"
    (tmp_path / "task" / "Mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match="'robot'.* humanoid"):
        resolve(compose(["task=Mine"], str(tmp_path)))


def test_playing_is_clean_unless_it_is_asked_for_and_then_past_its_schedules():
    args = PlayArgs(checkpoint="pretrained/walk")
    assert not playing_config(args, []).task.task.randomize
    for way in ("task.task.randomize=True", "task.task={randomize: true}"):
        asked = playing_config(args, [way]).task.task
        assert asked.randomize
    assert {setting.schedule for _, setting in parameters_of(asked.randomization_params)} == {None}
