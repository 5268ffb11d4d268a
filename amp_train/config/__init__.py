"""Configuration: the schema (a typo fails at compose time), composing it, and the values derived from it."""

from amp_train.config.compose import check_sweep, compose, with_overrides
from amp_train.config.resolve import resolve, stored_form
from amp_train.config.schema import Config
from amp_train.config.validate import rl_games_params

__all__ = [
    "Config",
    "check_sweep",
    "compose",
    "resolve",
    "rl_games_params",
    "stored_form",
    "with_overrides",
]
