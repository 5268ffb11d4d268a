"""What AMP reads from `params.config`, checked before anything heavy starts.

The keys are those of IsaacGymEnvs; the few additional ones default to its behaviour.
"""

import math
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Dict, List, Mapping, Optional

from amp_train.errors import ConfigError, unknown_choice


@dataclass(frozen=True)
class AmpSettings:
    """The AMP part of `params.config`."""

    task_reward_w: float
    disc_reward_w: float
    disc_coef: float
    disc_logit_reg: float
    disc_grad_penalty: float
    disc_weight_decay: float
    disc_reward_scale: float
    amp_obs_demo_buffer_size: int
    amp_replay_buffer_size: int
    amp_replay_keep_prob: float
    amp_batch_size: int  # demonstrations fetched each epoch
    amp_minibatch_size: int  # rows of each stream in a minibatch
    normalize_amp_input: bool = True
    mixed_precision: bool = False  # critic and discriminator in bf16, if the device multiplies it; the policy never is
    discriminator: str = "amp"  # a registered name
    discriminator_settings: Dict[str, Any] = field(default_factory=dict)  # keys of that discriminator's own
    disc_loss: str = "bce"
    # None: one Adam group for everything, as IsaacGymEnvs; a number: the discriminator's own constant rate.
    disc_learning_rate: Optional[float] = None
    advantage_clip: Optional[float] = None
    # True: rl_games' observation statistics, which take the same rollout in again in every mini epoch.
    normalize_obs_every_mini_epoch: bool = False
    warm_start_steps: int = 0  # of behaviour cloning before a new policy's first rollout

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "AmpSettings":
        """Read and check the AMP keys of `params.config`.

        Raises:
            ConfigError: for a missing key or an impossible value, in one line.
        """
        missing = [f.name for f in _mandatory(cls) if config.get(f.name) is None]
        if missing:
            raise ConfigError(f"params.config lacks {', '.join(missing)}: AMP needs them; see HumanoidAMPPPO.yaml.")
        settings = cls(**{f.name: _convert(f.name, f.type, config[f.name]) for f in fields(cls) if f.name in config})
        settings._check_ranges()
        return settings

    def _check_ranges(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            least = 0 if each.name == "warm_start_steps" else 1
            if each.type is int and value < least:
                raise ConfigError(f"{each.name} must be at least {least}, not {value}.")
            if each.type is float and value < 0:
                raise ConfigError(f"{each.name} must not be negative: {value}.")
        if self.amp_replay_keep_prob > 1:
            raise ConfigError(f"amp_replay_keep_prob is a probability, 0 to 1, not {self.amp_replay_keep_prob}.")
        for name in ("disc_learning_rate", "advantage_clip"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(f"{name} must be positive, or null for no limit, not {value}.")


def read_settings(kind: Optional[type], given: Mapping[str, Any], where: str) -> Any:
    """Return a dataclass filled from a YAML mapping; None, and no keys allowed, if there is no dataclass.

    Raises:
        ConfigError: an unknown key, a missing one, or a value of the wrong type.
    """
    known: Dict[str, Any] = {f.name: f for f in fields(kind)} if kind is not None else {}
    for name in given:
        if name not in known:
            raise unknown_choice(f"key of {where}", str(name), known)
    if kind is None:
        return None
    missing = [f.name for f in _mandatory(kind) if f.name not in given]
    if missing:
        raise ConfigError(f"{where} lacks {', '.join(missing)}.")
    return kind(**{name: _convert(f"{where}.{name}", known[name].type, given[name]) for name in given})


def _mandatory(kind: Any) -> "List[Field[Any]]":
    return [f for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]


def _convert(name: str, kind: Any, value: Any) -> Any:
    """Convert a YAML value; PyYAML reads 5e-5 as a string."""
    if kind == Optional[float]:
        return None if value is None else _convert(name, float, value)
    if kind == Dict[str, Any]:
        if not isinstance(value or {}, Mapping):
            raise ConfigError(f"{name} must be a mapping of keys to values, not {value!r}.")
        return dict(value or {})
    try:
        return kind(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{name} must be a number, not {value!r}.") from None


def check_batch_sizes(config: Dict[str, Any]) -> None:
    """Check that `params.config` divides a rollout into whole minibatches, without starting anything.

    Raises:
        ConfigError: with the numbers and the nearest size that works.
    """
    num_actors, horizon = int(config["num_actors"]), int(config["horizon_length"])
    minibatch = int(config.get("minibatch_size") or num_actors * int(config.get("minibatch_size_per_env") or 0))
    batch = num_actors * horizon
    if minibatch <= 0:
        raise ConfigError("params.config needs a positive minibatch_size (or minibatch_size_per_env).")
    if batch % minibatch:
        raise ConfigError(
            f"The batch of {num_actors} environments x horizon_length {horizon} = {batch} samples is not a multiple of"
            f" minibatch_size {minibatch}. Nearest that fits: {_nearest_divisor(batch, minibatch)}."
        )
    amp_minibatch = int(config["amp_minibatch_size"])
    if amp_minibatch > minibatch:
        raise ConfigError(
            f"amp_minibatch_size {amp_minibatch} exceeds minibatch_size {minibatch}: the discriminator's agent rows"
            f" come from the minibatch. Give at most {minibatch}."
        )


def _nearest_divisor(batch: int, wanted: int) -> int:
    small = [d for d in range(1, math.isqrt(batch) + 1) if batch % d == 0]
    return min(small + [batch // d for d in small], key=lambda d: (abs(d - wanted), d))


def check_supported(config: Mapping[str, Any]) -> None:
    """Refuse keys of rl_games that AMP does not support.

    Raises:
        ConfigError: naming the first one.
    """
    refused = {
        "central_value_config": "AMP bootstraps from the policy's own critic",
        "normalize_rms_advantage": "it crashes rl_games 1.6.5; use normalize_advantage",
        "max_steps": "it crashes rl_games 1.6.5; use max_frames",
        "self_play_config": "AMP has no opponents",
        "use_action_masks": "AMP actions are continuous",
        "use_diagnostics": "it crashes rl_games 1.6.5; metrics.csv has losses, KL and clip_frac",
    }
    for key, why in refused.items():
        if config.get(key):
            raise ConfigError(f"params.config.{key} is not supported: {why}. Remove the key.")
