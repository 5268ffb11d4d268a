"""Configuration: the schema (a typo fails at compose time), composing it, and the values derived from it."""

from amp_train.config.compose import compose
from amp_train.config.schema import Config

__all__ = ["Config", "compose"]
