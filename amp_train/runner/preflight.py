"""What can be wrong with a run and shows without a simulator: checked before anything is created."""

import importlib.util
import re
from typing import Any, Dict, List, Optional

from amp_train.checkpoint.load import safe_load
from amp_train.config import Config, rl_games_params
from amp_train.errors import CheckpointError, ConfigError, MissingPackageError, unknown_choice
from amp_train.learning import check_params
from amp_train.runner.rl_games import ALGO_NAME, MODEL_NAME, NETWORK_NAME

LR_SCHEDULES = ("adaptive", "constant", "linear")
SCHEDULE_TYPES = ("legacy", "standard")


def check_training(cfg: Config) -> None:
    """Check a resolved configuration.

    Raises:
        UserError: in one line, the first thing that is wrong.
    """
    params = rl_games_params(cfg)
    _check_names(params)
    check_params(params)
    if cfg.checkpoint is not None:
        _check_can_continue(cfg.checkpoint, cfg.train.params.config.max_epochs, list(params["network"]["mlp"]["units"]))
    if cfg.wandb_activate and importlib.util.find_spec("wandb") is None:
        raise MissingPackageError("wandb_activate=True needs wandb: pip install wandb.")


def _check_names(params: Dict[str, Any]) -> None:
    choices: Dict[str, Any] = {
        "train.params.algo.name": (params["algo"]["name"], [ALGO_NAME]),
        "train.params.model.name": (params["model"]["name"], [MODEL_NAME]),
        "train.params.network.name": (params["network"]["name"], [NETWORK_NAME]),
        "train.params.config.lr_schedule": (params["config"]["lr_schedule"], LR_SCHEDULES),
        "train.params.config.schedule_type": (params["config"]["schedule_type"], SCHEDULE_TYPES),
    }
    for key, (given, allowed) in choices.items():
        if given not in allowed:
            raise unknown_choice(key, given, allowed)
    if params["config"]["torch_compile"]:
        raise ConfigError(
            "train.params.config.torch_compile must be False: a double backward (gradient penalty) cannot be compiled."
        )


def _check_can_continue(path: str, max_epochs: int, units: List[int]) -> None:
    checkpoint = safe_load(path)
    missing: List[str] = sorted({"epoch", "frame"} - set(checkpoint))
    if missing:
        raise CheckpointError("Checkpoint {} cannot be continued from: it lacks {}.".format(path, ", ".join(missing)))
    layers = [name for name in checkpoint["model"] if re.match(r"a2c_network\.actor_mlp\.\d+\.weight", name)]
    its_units = [len(checkpoint["model"][name]) for name in layers]
    if its_units != units:
        raise CheckpointError(
            "Checkpoint {} has layers of {} units, this run {}: give train.params.network.mlp.units={} and disc.units, "
            "or for a checkpoint of IsaacGymEnvs train=HumanoidAMPPPO.".format(path, its_units, units, its_units)
        )
    done: Optional[int] = checkpoint["epoch"]
    if isinstance(done, int) and done >= max_epochs:
        raise ConfigError(
            "Checkpoint {} has done {} iterations of {}: give max_iterations= a larger number to continue.".format(
                path, done, max_epochs
            )
        )
