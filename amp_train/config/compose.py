"""Composing the configuration from `conf/` and command-line overrides."""

from typing import Sequence, cast

from hydra import compose as hydra_compose
from hydra import initialize_config_dir

from amp_train.config.schema import Config, register_schema
from amp_train.paths import CONF_DIR


def compose(overrides: Sequence[str] = ()) -> Config:
    """Compose the configuration: the same result as `amp-train` with these overrides, derived values not yet filled in.

    The result is an OmegaConf node with the attributes of `Config`.
    """
    register_schema()
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return cast(Config, hydra_compose("config", overrides=list(overrides)))
