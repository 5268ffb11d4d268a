"""Whatever a checkpoint's configuration or a command line says: a configuration of plain values, or one line."""

import copy
import random
from pathlib import Path
from typing import Any, Callable, Dict

import hypothesis
import mutations
import pytest
from hypothesis import strategies as st
from omegaconf import OmegaConf

from amp_train.config import compose, resolve, rl_games_params, stored_form, with_overrides
from amp_train.config.schema import TRAINED_KEYS
from amp_train.errors import ConfigError, UserError
from amp_train.learning import check_params

SECRET = "a-secret-of-the-environment"
SMALL = ["num_envs=16", "train.params.config.minibatch_size=128", "train.params.config.amp_minibatch_size=64"]
SEEDS = st.integers(0, 2**63)
Tries = Callable[[int], hypothesis.settings]


@pytest.fixture(scope="module")
def composed() -> Any:
    return compose(SMALL)


@pytest.fixture(scope="module")
def stored(composed: Any) -> Dict[str, Any]:
    """What a checkpoint carries."""
    return stored_form(resolve(composed))


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMP_FUZZ_SECRET", SECRET)


def accepted(stored: Any, composed: Any) -> Any:
    """The configuration that a stored one becomes, checked as a training checks it."""
    cfg = resolve(with_overrides(stored, [], composed))
    check_params(rl_games_params(cfg))
    return cfg


def _plain(value: Any) -> Any:
    """What of a value can be in a checkpoint."""
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, bytes, bool, int, float, type(None))) else str(value)


def test_a_stored_configuration_is_accepted_as_it_is(stored: Dict[str, Any], composed: Any) -> None:
    assert stored_form(accepted(stored, composed)) == stored


def test_any_stored_configuration(
    stored: Dict[str, Any], composed: Any, secret: None, empty_folder: Path, tries: Tries
) -> None:
    trained = {key: stored[key] for key in TRAINED_KEYS}

    @tries(60)
    @hypothesis.given(SEEDS)
    def run(seed: int) -> None:
        rng = random.Random(seed)
        changed = _plain(mutations.mutated(copy.deepcopy(trained), rng))
        try:
            cfg = accepted(changed, composed)
        except UserError as error:
            assert SECRET not in str(error)
            return
        values = OmegaConf.to_container(cfg, resolve=True)
        assert SECRET not in str(values)
        config = values["train"]["params"]["config"]
        assert (config["train_dir"], config["full_experiment_name"]) == ("runs", None)
        assert not set("/\\") & set(values["task"]["name"] + values["motion"]["name"] + config["name"])

    run()
    assert list(Path(".").iterdir()) == []


@pytest.mark.parametrize(
    "key", ["train_dir", "experiment", "wandb_entity", "wandb_activate", "checkpoint", "sim_device"]
)
def test_a_stored_configuration_does_not_say_where_a_run_goes(stored: Dict[str, Any], composed: Any, key: str) -> None:
    without = {name: value for name, value in stored.items() if name != key}
    found = accepted(dict(without, **{key: "elsewhere"}), composed)[key]
    assert found == accepted(without, composed)[key] != "elsewhere"


@pytest.mark.parametrize("key", ["train_dir", "full_experiment_name", "device", "env_name", "num_actors"])
def test_nor_does_its_tree_for_rl_games(stored: Dict[str, Any], composed: Any, key: str) -> None:
    changed = copy.deepcopy(stored)
    changed["train"]["params"]["config"][key] = "/elsewhere"
    assert "/elsewhere" not in str(rl_games_params(accepted(changed, composed)))


@pytest.mark.parametrize(
    "value",
    ["${oc.env:AMP_FUZZ_SECRET}", "${now:%Y}", "${hydra:runtime.cwd}", "${oc.decode:'1'}", "${oc.env:${motion.name}}",
     "a${task.name}${task.name}", "${${task.name}}", "$${oc.env:HOME}", "${oc.create:{a: 1}}", "x" * 5000,
     "\x1b]0;title\x07", "a\nb"],
)  # fmt: skip
@pytest.mark.parametrize("place", ["motion.file", "task.name", "train.params.config.lr_schedule", "train.name"])
def test_a_stored_text_calls_no_resolver(
    stored: Dict[str, Any], composed: Any, secret: None, place: str, value: str
) -> None:
    changed = copy.deepcopy(stored)
    node = changed
    for part in place.split(".")[:-1]:
        node = node[part]
    node[place.split(".")[-1]] = value
    with pytest.raises(ConfigError, match="only plain values and one reference") as caught:
        accepted(changed, composed)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("value", ["../../evil", "/evil", "..", "", " ", "x" * 200, "a\\b"])
@pytest.mark.parametrize("place", [("task", "name"), ("motion", "name")])
def test_names_that_become_file_names_are_plain(stored: Dict[str, Any], composed: Any, place: Any, value: str) -> None:
    changed = copy.deepcopy(stored)
    changed[place[0]][place[1]] = value
    with pytest.raises(ConfigError, match="must be a plain name"):
        accepted(changed, composed)


@pytest.mark.parametrize(
    "path, value",
    [("num_envs", 10**12), ("train.params.network.mlp.units", [10**9]), ("sim.decimation", 10**9),
     ("train.params.config.amp_replay_buffer_size", 10**15), ("train.params.network.disc.units", [8] * 1000),
     ("task.env.num_amp_obs_steps", 10**6), ("train.params.config.horizon_length", 2**40)],
)  # fmt: skip
def test_sizes_that_no_machine_has_are_refused_before_anything_is_made(
    stored: Dict[str, Any], composed: Any, path: str, value: Any
) -> None:
    changed = copy.deepcopy(stored)
    node = changed
    for part in path.split(".")[:-1]:
        node = node[part]
    node[path.split(".")[-1]] = value
    with pytest.raises(ConfigError, match="at most"):
        accepted(changed, composed)


def test_a_harmless_folder_of_config_groups_is_used(empty_folder: Path) -> None:
    (empty_folder / "groups" / "motion").mkdir(parents=True)
    (empty_folder / "groups" / "motion" / "mine.yaml").write_text("name: mine\nfile: walk\n")
    assert compose(["motion=mine"], str(empty_folder / "groups")).motion.name == "mine"


def test_any_command_line(empty_folder: Path, tries: Tries) -> None:
    keys = [
        "num_envs",
        "motion",
        "motion.file",
        "task.env.state_init",
        "train.params.network.mlp.units",
        "seed",
        "tsak",
    ]
    texts = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
    values = st.one_of(
        texts, st.sampled_from(["[1,2", "{a:1}", "1e9", "null", "'", "${x}", "${oc.env:NOT_SET}", "a,b"])
    )

    @tries(15)
    @hypothesis.given(st.lists(st.one_of(st.tuples(st.sampled_from(keys), values).map("=".join), texts), max_size=3))
    def run(overrides: Any) -> None:
        try:
            resolve(compose(overrides))
        except ConfigError as error:
            assert "\n" not in str(error)

    run()
    assert list(Path(".").iterdir()) == []
