"""The environment: observations, resets, termination, and `AmpEnv` which puts them together."""

from amp_train.env.amp_env import AmpEnv, make_env

__all__ = ["AmpEnv", "make_env"]
