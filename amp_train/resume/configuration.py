"""Resuming a training with its own configuration: which keys may differ, and which may not.

Keys that are not on the command line come from the checkpoint. Differences are printed; they are accepted by default
only if they do not affect learning.
"""

from typing import Any, Dict, List, NamedTuple, Sequence, Tuple, cast

from omegaconf import DictConfig, OmegaConf

from amp_train.config.compose import take_limits, with_overrides
from amp_train.config.overrides import parse_overrides
from amp_train.config.schema import LIMITS, TRAINED_KEYS, Config
from amp_train.errors import ConfigError

# Taken from the checkpoint unless given.
RESUMED_KEYS = TRAINED_KEYS + (
    "video", "eval_interval", "sigma", "torch_deterministic", "num_threads", "sim_device", "rl_device", "multi_gpu",
    "max_diverged_share", "wandb_activate", "wandb_project", "wandb_entity", "wandb_group", "wandb_name", "wandb_tags",
)  # fmt: skip
# Of this session, or derived from other keys: never a difference.
SESSION_KEYS = (
    "resume", "resume_allow", "checkpoint", "experiment", "train_dir", "test", "headless", "max_time_s",
    "train.params.load_checkpoint", "train.params.load_path", *LIMITS,
)  # fmt: skip
# They do not affect learning.
HARMLESS = (
    "max_iterations", "video", "eval_interval", "max_diverged_share", "wandb_activate", "wandb_project",
    "wandb_entity", "wandb_group", "wandb_name", "wandb_tags", "train.params.config.save_frequency",
    "train.params.config.save_interval_s",
    "train.params.config.save_max_share", "train.params.config.save_intermediate",
    "train.params.config.keep_checkpoints", "train.params.config.save_best_after", "train.params.config.score_to_win",
    "train.params.config.print_stats",
)  # fmt: skip
# The same training with different rounding.
INEXACT = ("num_threads", "sim_device", "rl_device", "torch_deterministic", "train.params.torch_threads")
# A training state does not fit anything else.
STRUCTURAL = (
    "num_envs", "multi_gpu", "task.name", "task.env.num_amp_obs_steps", "sim", "character", "train.params.algo",
    "train.params.model", "train.params.network",
)  # fmt: skip
INEXACT_NOTE = "from here on the result differs in the last digits from an uninterrupted training"


class Difference(NamedTuple):
    """A key whose given value differs from the checkpoint's."""

    key: str
    stored: Any
    given: Any
    note: str = ""

    def __str__(self) -> str:
        note = f" ({self.note})" if self.note else ""
        return f"{self.key}: {_shown(self.stored)} -> {_shown(self.given)}{note}"


def resumed_config(
    stored: Dict[str, Any], composed: Config, overrides: Sequence[str], checkpoint: str = "the checkpoint"
) -> Tuple[Config, List[Difference]]:
    """Return the configuration to continue with, unresolved, and what the command line changed in it.

    Args:
        stored: the checkpoint's configuration.
        composed: the command line composed on the defaults; its `resume_allow` lists keys or groups that may differ.
        overrides: the command line.
        checkpoint: its name, for the message.

    Raises:
        ConfigError: a difference that would make it a different training; the message says what allows it.
    """
    config = cast(DictConfig, with_overrides(stored, [], composed, RESUMED_KEYS))
    differences = _differences(config, cast(DictConfig, composed), _given_keys(overrides))
    _check(differences, list(composed.resume_allow), checkpoint)
    for difference in differences:
        OmegaConf.update(config, difference.key, difference.given, merge=False)
    take_limits(config, cast(DictConfig, composed), _given_keys(overrides))
    return cast(Config, config), differences


def _given_keys(overrides: Sequence[str]) -> List[str]:
    """Return the keys and groups that the command line sets; a recipe may set any key."""
    keys = [override.key_or_group for override in parse_overrides(overrides)]
    return [""] if "recipe" in keys else keys


def _differences(config: DictConfig, composed: DictConfig, given_keys: Sequence[str]) -> List[Difference]:
    stored_leaves, given_leaves = _leaves(config), _leaves(composed)
    found = []
    for key, given in given_leaves.items():
        is_given = any(_is_within(key, prefix) for prefix in given_keys) and not _is_any(key, SESSION_KEYS)
        # A null and sim=auto mean "fit it to the machine", which the checkpoint's value did.
        is_fitted = given is None or (key, given) == ("sim.name", "auto")
        if is_given and not is_fitted and given != stored_leaves.get(key):
            found.append(Difference(key, stored_leaves.get(key), given, INEXACT_NOTE if _is_any(key, INEXACT) else ""))
    return found


def _check(differences: Sequence[Difference], allowed: Sequence[str], checkpoint: str) -> None:
    new_run = "start a new training from the policy with checkpoint= instead of resume="
    refused = [d for d in differences if not _is_any(d.key, HARMLESS + INEXACT)]
    never = [d for d in refused if _is_any(d.key, STRUCTURAL)]
    if never:
        raise ConfigError(
            f"{checkpoint} cannot be resumed with {_listed(never)}: its state does not fit. Leave it out, or {new_run}."
        )
    refused = [d for d in refused if not _is_any(d.key, allowed)]
    if refused:
        raise ConfigError(
            f"Resuming {checkpoint} with {_listed(refused)} would make it a different training. Leave it out, allow it "
            f"with resume_allow=[{','.join(d.key for d in refused)}], or {new_run}."
        )


def _listed(differences: Sequence[Difference]) -> str:
    return ", ".join(str(difference) for difference in differences)


def _leaves(node: DictConfig) -> Dict[str, Any]:
    """Return every value by its dotted key, interpolations as they are written; a list is one value."""
    found: Dict[str, Any] = {}

    def walk(tree: Dict[Any, Any], prefix: str) -> None:
        for name, value in tree.items():
            if isinstance(value, dict):
                walk(value, f"{prefix}{name}.")
            else:
                found[f"{prefix}{name}"] = value

    walk(cast(Dict[Any, Any], OmegaConf.to_container(node, resolve=False)), "")
    return found


def _is_any(key: str, keys: Sequence[str]) -> bool:
    return any(_is_within(key, other) for other in keys)


def _is_within(key: str, other: str) -> bool:
    return other in ("", key) or key.startswith(other + ".")


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)
