"""The schema of domain randomisation, with the keys and the nesting of IsaacGymEnvs' task files, and what its values
may be. The unit of `frequency` and of `schedule_steps` is the control step."""

import math
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

from omegaconf import MISSING

from amp_train.errors import ConfigError, unknown_choice

OPERATIONS = ("additive", "scaling")
NOISE_DISTRIBUTIONS = ("gaussian", "uniform")
DISTRIBUTIONS = NOISE_DISTRIBUTIONS + ("loguniform",)
SCHEDULES = ("linear", "constant")
PLACE = "task.task.randomization_params"
MAX_STEPS, MAX_BUCKETS = 10**12, 64000
ACTOR = "humanoid"  # IsaacGymEnvs' name for the character, whichever it is


@dataclass
class DrawConfig:
    """A random number, and what is done with it."""

    range: List[float] = MISSING  # uniform, loguniform: least and largest; gaussian: mean and standard deviation
    operation: str = MISSING  # additive | scaling
    distribution: str = MISSING  # gaussian | uniform | loguniform
    schedule: Optional[str] = None  # linear: grows from nothing to the whole; constant: nothing, then the whole
    schedule_steps: Optional[int] = None  # ... at this control step


@dataclass
class NoiseConfig(DrawConfig):
    """Noise of its own in each control step."""

    range_correlated: Optional[List[float]] = (
        None  # a part that stays for `frequency` steps at least, then to the episode's end
    )


@dataclass
class ParameterConfig(DrawConfig):
    """A physical parameter, drawn when an episode begins."""

    num_buckets: int = 0  # 0: any value, else one of so many
    setup_only: bool = False  # drawn once


@dataclass
class SimParamsConfig:
    gravity: Optional[ParameterConfig] = None


@dataclass
class RigidBodyConfig:
    mass: Optional[ParameterConfig] = None


@dataclass
class RigidShapeConfig:
    friction: Optional[ParameterConfig] = None


@dataclass
class DofConfig:
    stiffness: Optional[ParameterConfig] = None
    damping: Optional[ParameterConfig] = None
    lower: Optional[ParameterConfig] = None
    upper: Optional[ParameterConfig] = None


@dataclass
class ActorConfig:
    color: bool = False  # changes nothing here: pictures have colours of their own
    rigid_body_properties: RigidBodyConfig = field(default_factory=RigidBodyConfig)
    rigid_shape_properties: RigidShapeConfig = field(default_factory=RigidShapeConfig)
    dof_properties: DofConfig = field(default_factory=DofConfig)


@dataclass
class RandomizationParams:
    frequency: int = 1  # control steps that an environment keeps what was drawn, at least; then to its episode's end
    observations: Optional[NoiseConfig] = None
    actions: Optional[NoiseConfig] = None
    sim_params: SimParamsConfig = field(default_factory=SimParamsConfig)
    actor_params: Dict[str, ActorConfig] = field(default_factory=dict)


@dataclass
class RandomizationConfig:
    randomize: bool = False
    randomization_params: RandomizationParams = field(default_factory=RandomizationParams)


def set_up_playing(config: RandomizationConfig, is_asked_for: bool) -> None:
    """Switch randomisation off for playing and measuring; if it is asked for, take it as it is after all schedules."""
    from amp_train.env.randomization import parameters_of

    config.randomize = config.randomize and is_asked_for
    params = config.randomization_params
    draws = [draw for draw in (params.observations, params.actions) if draw is not None]
    for draw in draws + [draw for _, draw in parameters_of(params)]:
        draw.schedule = None


def check_randomization(params: RandomizationParams) -> None:
    """Check the values, used or not.

    Raises:
        ConfigError: naming the key, what was given and what is allowed.
    """
    # Not at the top: it imports torch, which Isaac Gym must come before.
    from amp_train.env.randomization import parameters_of

    if not 1 <= params.frequency <= MAX_STEPS:
        raise ConfigError("{}.frequency must be at least 1 control step, not {}.".format(PLACE, params.frequency))
    for actor in params.actor_params:
        if actor != ACTOR:
            raise unknown_choice("actor in {}.actor_params".format(PLACE), str(actor), [ACTOR])
    for name, noise in (("observations", params.observations), ("actions", params.actions)):
        if noise is not None:
            key = "{}.{}".format(PLACE, name)
            _check_draw(key, noise, NOISE_DISTRIBUTIONS)
            if noise.range_correlated is not None:
                _check_range(key + ".range_correlated", noise.range_correlated, noise.distribution)
    for key, parameter in parameters_of(params):
        _check_parameter("{}.{}".format(PLACE, key), parameter)


def _check_parameter(key: str, parameter: ParameterConfig) -> None:
    _check_draw(key, parameter, DISTRIBUTIONS)
    if not 0 <= parameter.num_buckets <= MAX_BUCKETS:
        raise ConfigError("{}.num_buckets must be from 0 to {}.".format(key, MAX_BUCKETS))
    if parameter.setup_only and parameter.schedule is not None:
        raise ConfigError(
            "{} is drawn once, at step 0 (setup_only), when its schedule still says: nothing. "
            "Leave out setup_only or schedule.".format(key)
        )


def _check_draw(key: str, draw: DrawConfig, distributions: Tuple[str, ...]) -> None:
    if draw.operation not in OPERATIONS:
        raise unknown_choice("{}.operation".format(key), draw.operation, OPERATIONS)
    if draw.distribution not in distributions:
        raise unknown_choice("{}.distribution".format(key), draw.distribution, distributions)
    _check_range(key + ".range", draw.range, draw.distribution)
    if draw.schedule is None:
        return
    if draw.schedule not in SCHEDULES:
        raise unknown_choice("{}.schedule".format(key), draw.schedule, SCHEDULES)
    if draw.schedule_steps is None or not 1 <= draw.schedule_steps <= MAX_STEPS:
        raise ConfigError("{}.schedule_steps must be at least 1 control step, not {}.".format(key, draw.schedule_steps))


def _check_range(key: str, bounds: List[float], distribution: str) -> None:
    if len(bounds) != 2 or not all(math.isfinite(bound) for bound in bounds):
        raise ConfigError("{} must be two finite numbers, not {}.".format(key, str(list(bounds))[:80]))
    low, high = bounds
    if distribution == "gaussian" and high < 0:
        raise ConfigError("{}: [mean, standard deviation], so the second is at least 0, not {}.".format(key, high))
    if distribution != "gaussian" and low > high:
        raise ConfigError("{}: [least, largest], not [{}, {}].".format(key, low, high))
    if distribution == "loguniform" and low <= 0:
        raise ConfigError("{} must be more than 0 for loguniform, not {}.".format(key, low))
