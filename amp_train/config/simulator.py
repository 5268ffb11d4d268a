"""The group `sim`: each backend has its own class of settings."""

from dataclasses import fields, make_dataclass
from typing import Any, Mapping, cast

from omegaconf import DictConfig, OmegaConf

from amp_train.errors import ConfigError
from amp_train.sim.factory import BACKENDS, backend
from amp_train.sim.settings import SimConfig

# The keys of every backend.
EverySim = make_dataclass("EverySim", (), bases=tuple(record.config for record in BACKENDS.values()))


def sim_config(given: Mapping[str, Any]) -> DictConfig:
    """Return settings as an instance of their backend's class.

    Raises:
        ConfigError: unknown backend, or a key that it does not have.
    """
    name = str(given.get("name"))
    config = _config_class(name)
    for key in given:
        if key not in _keys(config):
            raise foreign_key(str(key), name)
    return cast(DictConfig, OmegaConf.merge(OmegaConf.structured(config), dict(given)))


def stored_sim_config(stored: Mapping[str, Any]) -> DictConfig:
    """Return a checkpoint's settings as `sim_config`; keys of other backends, which older ones have, are dropped."""
    strange = _keys(EverySim) - _keys(_config_class(str(stored.get("name"))))
    return sim_config({key: value for key, value in stored.items() if key not in strange})


def foreign_key(key: str, name: str) -> ConfigError:
    """Build the error for a key that the backend `name` does not have."""
    owners = [other for other, record in BACKENDS.items() if key in _keys(record.config)]
    if not owners:
        return ConfigError(f"sim={name} has no key sim.{key}.")
    owner = owners[0]
    return ConfigError(f"sim.{key} is a key of sim={owner}, not of sim={name}. Remove it, or add sim={owner}.")


def _config_class(name: str) -> "type[SimConfig]":
    return SimConfig if name == "auto" else backend(name).config


def _keys(config: Any) -> "set[str]":
    return {field.name for field in fields(config)}
