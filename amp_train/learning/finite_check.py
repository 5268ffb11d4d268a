"""An update whose numbers are not finite is noticed before anything of it is saved."""

import logging
from pathlib import Path
from typing import Any, Dict, List, Tuple

import torch
from torch import Tensor

from amp_train.errors import UpdateError
from amp_train.learning.epoch_stats import MinibatchStats

logger = logging.getLogger(__name__)

MAX_NAMED = 4


def check_update(agent: Any, stats: MinibatchStats) -> None:
    """Look, once an iteration and with one wait for the device, at losses, gradients, parameters and statistics.

    Adam's moments stand for the gradients: one that was not finite stays in them, and one whose square is not finite
    would keep its parameter from ever moving again.

    Raises:
        UpdateError: naming what was not finite first; the rollout is in a file beside the checkpoints.
    """
    rows = stats.rows
    tensors = _watched(agent)
    flags = torch.cat((torch.isfinite(rows).flatten(), torch.stack([torch.isfinite(t).all() for _, t in tensors])))
    if bool(flags.all()):
        return
    losses, rest = flags[: rows.numel()].view_as(rows).cpu(), flags[rows.numel() :].tolist()
    broken = [name for (name, _), finite in zip(tensors, rest) if not finite]
    first = _first_losses(stats.names, losses) or _some(broken)
    path = Path(agent.experiment_dir) / "broken_update_ep_{}.pt".format(agent.epoch_num)
    raise UpdateError(
        "The update of iteration {} is not finite: {}. No checkpoint was written from it. {} Lower learning_rate or "
        "disc_learning_rate, or set truncate_grads=True (train.params.config), and continue from the last "
        "checkpoint.".format(agent.epoch_num, first, _dumped(agent, stats, broken, path))
    )


def _watched(agent: Any) -> List[Tuple[str, Tensor]]:
    """List what must be finite, by name."""
    names = {id(parameter): name for name, parameter in agent.bare_model.named_parameters()}
    moments = [
        ("gradient of " + names[id(parameter)], moment)
        for parameter, state in agent.optimizer.state.items()
        for moment in state.values()
        if isinstance(moment, Tensor)
    ]
    model = list(agent.bare_model.state_dict().items())
    normalizer = [("amp_input_mean_std." + name, tensor) for name, tensor in agent.streams.normalizer.named_buffers()]
    return moments + model + normalizer


def _first_losses(names: Tuple[str, ...], finite: Tensor) -> str:
    """Say which scalars (M minibatches, K names) were not finite first; nothing if all were."""
    bad = (~finite.all(dim=1)).nonzero()
    if not len(bad):
        return ""
    minibatch = int(bad[0])
    broken = [name for name, is_finite in zip(names, finite[minibatch].tolist()) if not is_finite]
    return "{} in minibatch {} of {}".format(_some(broken), minibatch + 1, len(finite))


def _some(names: List[str]) -> str:
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (" and {} more".format(more) if more > 0 else "")


def _dumped(agent: Any, stats: MinibatchStats, broken: List[str], path: Path) -> str:
    """Write the rollout, every minibatch's scalars and the broken model, on the first rank; say where, or why not."""
    if agent.global_rank != 0:
        return ""
    content: Dict[str, Any] = {
        "iteration": int(agent.epoch_num),
        "not_finite": broken,
        "scalar_names": list(stats.names),
        "scalars": stats.rows.cpu(),
        "rollout": {name: tensor.cpu() for name, tensor in agent.dataset.values_dict.items()},
        "model": {name: tensor.cpu() for name, tensor in agent.bare_model.state_dict().items()},
    }
    try:
        with path.open("wb") as file:
            torch.save(content, file)
    except (OSError, RuntimeError) as error:  # torch makes its own error of one in writing
        logger.warning("%s could not be written: %s.", path, str(error).splitlines()[0])
        return ""
    return "Its rollout and scalars are in {}.".format(path)
