"""A backend is one record, with settings of its own."""

import pytest
from omegaconf import OmegaConf

from amp_train.config import compose, resolve
from amp_train.config.compose import with_overrides
from amp_train.errors import ConfigError
from amp_train.paths import CONF_DIR
from amp_train.sim.factory import BACKENDS


@pytest.mark.parametrize("name", BACKENDS)
def test_the_settings_of_a_backend_are_of_its_own_class(name: str) -> None:
    cfg = compose(["sim=" + name, "sim.decimation=3"])
    assert OmegaConf.get_type(cfg.sim) is BACKENDS[name].config
    assert cfg.sim.name == name and cfg.sim.decimation == 3


def test_every_option_of_the_group_is_a_backend_or_auto() -> None:
    assert {path.stem for path in (CONF_DIR / "sim").glob("*.yaml")} == {"auto", *BACKENDS}


@pytest.mark.parametrize(
    "overrides, message",
    [
        (["sim=mujoco", "sim.nconmax=3"], "sim.nconmax is a key of sim=mujoco_warp, not of sim=mujoco. Remove it"),
        (["sim=auto", "sim.substeps=3"], "sim.substeps is a key of sim=isaacgym, not of sim=auto"),
        (["sim=mujoco", "sim.njmx=3"], "Did you mean 'sim.njmax'"),
        (["sim=mujoco_warp", "sim.njmax=many"], "sim.njmax"),
    ],
)
def test_a_key_of_another_backend_is_one_clear_line(overrides, message) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        compose(overrides)
    assert "\n" not in str(caught.value)


def test_auto_becomes_the_settings_of_what_it_chose() -> None:
    cfg = resolve(compose(["sim=auto", "sim_device=cpu", "sim.decimation=2"]))
    assert OmegaConf.get_type(cfg.sim) is BACKENDS["mujoco"].config and cfg.sim.decimation == 2


def test_a_name_alone_brings_the_backends_own_keys() -> None:
    assert resolve(compose(["sim.name=mujoco_warp", "sim_device=cpu"])).sim.njmax == 128
    with pytest.raises(ConfigError, match="Unknown simulator 'mujco'"):
        resolve(compose(["sim.name=mujco"]))


def test_a_checkpoints_settings_are_those_of_its_backend() -> None:
    stored = OmegaConf.to_container(compose(["sim=mujoco"]))
    stored["sim"] = {"name": "mujoco_warp", "decimation": 3, "nconmax": 5, "njmax": 6, "substeps": 2}  # type: ignore
    played = with_overrides(stored, [])  # type: ignore
    assert dict(played.sim) == {"name": "mujoco_warp", "decimation": 3, "nconmax": 5, "njmax": 6}
    elsewhere = with_overrides(stored, ["sim=mujoco"])  # type: ignore
    assert dict(elsewhere.sim) == {"name": "mujoco", "decimation": 4}
    stored["sim"]["friction"] = 1  # type: ignore
    with pytest.raises(ConfigError, match="sim=mujoco_warp has no key sim.friction"):
        with_overrides(stored, [])  # type: ignore
