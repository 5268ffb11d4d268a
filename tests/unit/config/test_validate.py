"""Every number of the schema has a range, every word that is one of several its choices; both are checked."""

import os
from dataclasses import fields, is_dataclass
from typing import Dict, List, Optional, Union, get_type_hints

import pytest
import torch
from omegaconf import MISSING, DictConfig, OmegaConf

from amp_train.config import compose, resolve
from amp_train.config.schema import ActorConfig, Config, NoiseConfig, ParameterConfig
from amp_train.config.simulator import EverySim
from amp_train.config.validate import check_config, check_fields, check_path, check_training
from amp_train.errors import CheckpointError, ConfigError
from amp_train.ranges import Range

NUMBERS = (int, float)
NUMERIC = {kind for n in NUMBERS for kind in (n, Optional[n], List[n], Optional[List[n]], Optional[Dict[str, n]])}


def numeric_fields(kind, seen=None):
    """List the dataclasses of the schema with their numeric fields."""
    seen = set() if seen is None else seen
    if kind in seen:
        return
    seen.add(kind)
    for name, hint in get_type_hints(kind).items():
        inner = [part for part in getattr(hint, "__args__", [hint]) if is_dataclass(part)]
        if hint in NUMERIC:
            yield kind, name, hint
        for part in inner:
            yield from numeric_fields(part, seen)


FIELDS = list(numeric_fields(Config)) + [field for field in numeric_fields(EverySim)]


def test_the_walk_finds_them():
    kinds = {kind for kind, _, _ in FIELDS}
    assert len(FIELDS) > 60 and {Config, ParameterConfig, NoiseConfig} <= kinds and ActorConfig not in kinds


def valid(kind):
    """A node of the schema with a valid number in every field that has none."""
    node = OmegaConf.structured(kind)
    for setting in fields(kind):
        if setting.default is MISSING:
            hint, allowed = get_type_hints(kind)[setting.name], setting.metadata.get("range")
            words = setting.metadata.get("choices", ("x",))
            value = allowed.most if allowed else words[0] if hint in (str, Optional[str]) else []
            node[setting.name] = [value] if hint in (List[int], List[float]) else value
        elif is_dataclass(setting.default_factory):
            node[setting.name] = valid(setting.default_factory)
    return node


@pytest.mark.parametrize("kind, name, hint", FIELDS, ids=[f"{k.__name__}.{n}" for k, n, _ in FIELDS])
def test_every_number_has_a_range_that_is_checked(kind, name, hint):
    setting = {f.name: f for f in fields(kind)}[name]
    allowed = setting.metadata["range"]
    is_float = float in (hint, *getattr(hint, "__args__", ())) or "float" in str(hint)
    outside = [allowed.least if allowed.is_open else allowed.least - 1, allowed.most + max(1, abs(allowed.most))]
    for value in outside + ([float("nan"), float("inf")] if is_float else []):
        node = valid(kind)
        node[name] = {"joint": value} if "Dict" in str(hint) else [value] if "List" in str(hint) else value
        with pytest.raises(ConfigError, match=f"{name}.* must be (above|at least) .*, not "):
            check_fields(node)
    check_fields(valid(kind))


def test_a_range_reads_as_what_it_is():
    assert str(Range(1, 2**32 - 1)) == "at least 1 and at most 4294967295"
    assert str(Range(0.0, 0.5, is_open=True)) == "above 0 and at most 0.5"
    assert 0.0 not in Range(0.0, 1.0, is_open=True) and 0.0 in Range(0.0, 1.0) and float("nan") not in Range(-1.0, 1.0)


@pytest.fixture(scope="module")
def composed():
    return compose()


@pytest.mark.parametrize(
    "key, value, allowed",
    [
        ("train.params.config.gamma", 2.0, "at least 0 and at most 1"),
        ("train.params.config.tau", -3.0, "at least 0 and at most 1"),
        ("train.params.config.e_clip", -1.0, "above 0 and at most 1"),
        ("train.params.config.learning_rate", float("nan"), "above 0 and at most 1"),
        ("task.env.termination_height", float("nan"), "at least -1000 and at most 1000"),
        ("train.params.config.lr_schedule", "adaptve", "Did you mean 'adaptive'?"),
        ("train.params.algo.name", "ppo", "amp_continuous"),
        ("train.params.network.mlp.units", [64, 0], "at least 1 and at most 16384"),
        ("pipeline", "gpus", "Did you mean 'gpu'?"),
    ],
)
def test_a_value_that_cannot_be_is_one_line_with_what_is_allowed(composed, key, value, allowed):
    config: Union[DictConfig, Config] = composed.copy()
    OmegaConf.update(config, key, value)
    with pytest.raises(ConfigError) as caught:
        check_config(config)
    message = str(caught.value)
    assert key in message and allowed in message and "\n" not in message


@pytest.mark.parametrize(
    "path, said",
    [("x" * 300 + ".npz", "File name too long"), ("~nosuchuser/x.npz", "user"), ("x" * 5000, "File name too long")],
)
@pytest.mark.parametrize("key", ["motion.file", "checkpoint", "character.mjcf", "train_dir", "experiment", "resume"])
def test_a_path_that_cannot_be_is_one_line(composed, key, path, said):
    config = composed.copy()
    OmegaConf.update(config, key, path)
    with pytest.raises(ConfigError, match=said) as caught:
        check_config(config)
    assert str(caught.value).startswith(key + "=") and len(str(caught.value)) < 300


def test_a_path_below_a_folder_that_may_not_be_entered_is_the_users_error(monkeypatch, tmp_path):
    def refuse(path, **_):
        raise PermissionError(13, "Permission denied", path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", refuse)
        with pytest.raises(ConfigError, match="motion.file=.*Permission denied"):
            check_path("motion.file", str(tmp_path / "closed" / "x.npz"))


def test_a_path_that_does_not_exist_is_left_to_who_reads_it(tmp_path):
    check_path("motion.file", str(tmp_path / "missing" / "x.npz"))
    (tmp_path / "file").write_bytes(b"")
    check_path("motion.file", str(tmp_path / "file" / "x.npz"))


@pytest.mark.parametrize(
    "overrides",
    [
        ["train.params.config.amp_replay_buffer_size=10000000"],
        ["train.params.config.amp_obs_demo_buffer_size=10000000"],
        ["train.params.config.amp_batch_size=16000000"],
        ["num_envs=65536", "train.params.config.horizon_length=256"],
    ],
)
def test_buffers_are_bounded_together_with_the_length_of_what_the_discriminator_sees(overrides):
    check_config(compose([*overrides, "task.env.num_amp_obs_steps=2"]))
    with pytest.raises(ConfigError, match="more than the 67 million frames"):
        check_config(compose([*overrides, "task.env.num_amp_obs_steps=256"]))


def test_a_policy_whose_layers_are_no_matrices_is_one_line(tmp_path):
    layers = {"a2c_network.actor_mlp.0.weight": 5, "a2c_network.actor_mlp.2.weight": torch.tensor(1.0), 7: 8}
    path = tmp_path / "odd.pth"
    torch.save({"model": layers, "epoch": 1, "frame": 1}, path)
    config = resolve(compose([f"checkpoint={path}", "num_envs=128"]))
    with pytest.raises(CheckpointError, match=r"has layers of \[0, 0\] units, this run"):
        check_training(config)


@pytest.mark.parametrize(("task", "counts_on"), [("HumanoidAMP", True), ("HumanoidAMPHeading", False)])
def test_the_iterations_of_another_tasks_policy_do_not_count(tmp_path, task, counts_on):
    layers = {f"a2c_network.actor_mlp.{n}.weight": torch.zeros(size, 1) for n, size in ((0, 256), (2, 128))}
    content = {"model": layers, "epoch": 50, "frame": 1, "amp_train": {"config": {"task": {"name": task}}}}
    torch.save(content, tmp_path / "done.pth")
    config = resolve(compose([f"checkpoint={tmp_path / 'done.pth'}", "num_envs=128", "max_iterations=50"]))
    if counts_on:
        with pytest.raises(ConfigError, match="has done 50 of 50 iterations"):
            check_training(config)
    else:
        check_training(config)
