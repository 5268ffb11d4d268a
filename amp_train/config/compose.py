"""Composing the configuration from `conf/` and command-line overrides.

Folders that the user names (`--config-dir`, `--config-name`, `hydra.searchpath`) are the user's own code, as everywhere
in Hydra: their files may call functions and are not checked. Only the configuration in a checkpoint is (`stored.py`).
"""

import contextlib
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, cast

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from amp_train.config.isaacgymenvs import translated
from amp_train.config.overrides import check_overrides, parse_overrides
from amp_train.config.schema import GROUPS, LIMITS, TRAINED_KEYS, Config, register_schema
from amp_train.config.simulator import foreign_key, stored_sim_config
from amp_train.config.stored import checked_stored
from amp_train.errors import ConfigError
from amp_train.paths import CONF_DIR


def compose(overrides: Sequence[str] = (), config_dir: Optional[str] = None) -> Config:
    """Compose the configuration: the same result as `amp-train` with these overrides, derived values not yet filled in.

    Args:
        overrides: `key=value` or `group=option`, as on the command line; IsaacGymEnvs' keys too (`isaacgymenvs.py`).
        config_dir: a further folder of config groups.

    Returns:
        An OmegaConf node with the attributes of `Config`.

    Raises:
        ConfigError: an unknown key or option, or a value of the wrong type, in one line.
    """
    overrides = translated(overrides)
    parsed = parse_overrides(overrides)
    with _hydra(config_dir) as search_path:
        check_overrides(parsed, _group_options(search_path + list(overrides)))
        with as_config_error():
            return cast(Config, hydra_compose("config", overrides=search_path + list(overrides)))


def check_sweep(overrides: Sequence[str], config_dir: Optional[str] = None) -> None:
    """Check the overrides of a sweep by composing each alternative of each of them once.

    Raises:
        ConfigError: as `compose`.
    """
    overrides = translated(overrides)
    parsed = parse_overrides(overrides)
    with _hydra(config_dir) as search_path:
        check_overrides(parsed, _group_options(search_path + list(overrides)))
        fixed = [o.input_line for o in parsed if not o.is_sweep_override() and o.input_line]
        swept = [o for o in parsed if o.is_sweep_override()]
        alternatives = [o.get_key_element() + "=" + text for o in swept for text in o.sweep_string_iterator()]
        for alternative in [[text] for text in alternatives] or [[]]:
            with as_config_error():
                hydra_compose("config", overrides=search_path + fixed + alternative)


def with_overrides(
    stored: Dict[str, Any],
    overrides: Sequence[str],
    composed: Optional[Config] = None,
    stored_keys: Sequence[str] = TRAINED_KEYS,
) -> Config:
    """Return the trained part of a checkpoint's configuration, with overrides applied.

    Another task brings its clips and its learning settings with it, as without a checkpoint.

    Args:
        stored: `stored_keys` are taken from here.
        overrides: these win.
        composed: the overrides composed on the defaults; all keys that are not stored come from here.
        stored_keys: by default task, sim, character, motion, train, num_envs, seed and max_iterations.

    Raises:
        ConfigError: as `compose`, and for stored keys that this version does not know.
    """
    overrides = translated(overrides)
    composed = compose(overrides) if composed is None else composed
    keys = [o.key_or_group for o in parse_overrides(overrides) if not o.key_or_group.startswith("hydra")]
    if "recipe" in keys:
        raise ConfigError("recipe= cannot be combined with a checkpoint's configuration. Set single keys instead.")
    with as_config_error():
        kept = checked_stored(stored, stored_keys)
        # Version 0.1 took nothing from a clip, and did not limit spherical joints.
        if isinstance(kept.get("motion"), dict) and "motion.file" not in keys:
            kept["motion"] = {"derive": [], **kept["motion"]}
        if isinstance(kept.get("character"), dict):
            kept["character"] = {"limit_ball_joints": False, **kept["character"]}
        if "task" in keys and _stored_task(kept) != composed.task.name:
            kept = _for_other_task(kept)
        with open_dict(cast(DictConfig, composed)) as opened:  # the schema still refuses unknown keys
            if isinstance(kept.get("sim"), dict):
                opened = cast(DictConfig, opened).copy()
                opened.sim = kept["sim"] = stored_sim_config(kept["sim"])
            config = OmegaConf.merge(opened, kept)
        for key in keys:
            OmegaConf.update(config, key, OmegaConf.select(cast(DictConfig, composed), key), merge=False)
    take_limits(cast(DictConfig, config), cast(DictConfig, composed), keys)
    return cast(Config, config)


def _stored_task(kept: Dict[str, Any]) -> Any:
    task = kept.get("task")
    return task.get("name") if isinstance(task, dict) else None


def _for_other_task(kept: Dict[str, Any]) -> Dict[str, Any]:
    """Return what another task keeps of a stored configuration: the character and the networks, which the policy is."""
    train = kept.get("train")
    params = train.get("params") if isinstance(train, dict) else None
    network = params.get("network") if isinstance(params, dict) else None
    others = {key: value for key, value in kept.items() if key not in ("task", "motion", "train", "max_iterations")}
    return others if network is None else {**others, "train": {"params": {"network": network}}}


def take_limits(config: DictConfig, composed: DictConfig, given_keys: Sequence[str]) -> None:
    """Apply a given limit of samples or epochs, which the stored number of iterations would hide."""
    if set(LIMITS) & set(given_keys) and composed.max_iterations is None:
        config.max_iterations = None
        for key in LIMITS:
            OmegaConf.update(config, key, OmegaConf.select(composed, key) if key in given_keys else -1)


@contextlib.contextmanager
def _hydra(config_dir: Optional[str]) -> Iterator[List[str]]:
    """Open Hydra on `conf/`, also inside a Hydra job; yield the overrides that add a further folder."""
    register_schema()
    outer, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None
    try:
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            yield [f"hydra.searchpath=['file://{config_dir}']"] if config_dir else []
    finally:
        GlobalHydra.instance().hydra = outer


def _group_options(overrides: Sequence[str]) -> Callable[[str], List[str]]:
    """Return a function that lists a group's options, including those in folders of `hydra.searchpath`."""
    loader = GlobalHydra.instance().config_loader()
    search_path = [text for text in overrides if text.startswith("hydra.searchpath=")]

    def options(group: str) -> List[str]:
        return loader.get_group_options(group, config_name="config", overrides=search_path) if group in GROUPS else []

    return options


@contextlib.contextmanager
def as_config_error() -> Iterator[None]:
    """Turn errors of Hydra and OmegaConf into one line, from the innermost cause."""
    try:
        yield
    except yaml.YAMLError as error:
        raise ConfigError(f"A config file cannot be read: {' '.join(str(error).split())}.") from error
    except AssertionError as error:
        if "Unexpected type for root: NoneType" not in str(error):
            raise
        raise ConfigError(
            "A key is set inside one that is null. Set the whole outer key: outer={a: 1, b: 2}."
        ) from error
    except (HydraException, OmegaConfBaseException) as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        lines = [line.strip() for line in str(cause).splitlines()]
        message = " ".join(lines[: 2 if lines[0].endswith(":") else 1]).rstrip(".")
        message = message.replace("is not in struct", "is not there yet: put + before the argument")
        key = getattr(cause, "full_key", None)
        parent = getattr(cause, "parent_node", None)
        if isinstance(cause, AttributeError) and str(key).startswith("sim.") and isinstance(parent, DictConfig):
            raise foreign_key(str(key)[len("sim.") :], str(parent.name)) from error
        place = f"Config key '{key}': " if key else ""
        raise ConfigError(f"{place}{message}.") from error
