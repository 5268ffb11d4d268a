"""Diagnostics of an epoch: means of its scalars, and a check that every number is finite before anything is saved."""

import logging
from pathlib import Path
from typing import Any, Dict, List, Tuple

import torch
from torch import Tensor

from amp_train.errors import UpdateError

logger = logging.getLogger(__name__)

MAX_NAMED = 4
# epoch_stats key -> tensorboard tag, rl_games' and IsaacGymEnvs'; a discriminator has tags of its own.
TENSORBOARD_TAGS = {
    "a_loss": "losses/a_loss",
    "c_loss": "losses/c_loss",
    "b_loss": "losses/bounds_loss",
    "entropy": "losses/entropy",
    "kl": "info/kl",
    "clip_frac": "info/clip_frac",
    "lr": "info/last_lr",
    "style_reward_mean": "info/disc_reward_mean",
    "style_reward_std": "info/disc_reward_std",
    "task_reward_mean": "info/task_reward_mean",
}


class MinibatchStats:
    """Average named scalars over minibatches without waiting for the device."""

    def __init__(self) -> None:
        self.names: Tuple[str, ...] = ()
        self._rows: List[Tensor] = []

    @property
    def rows(self) -> Tensor:
        """The scalars since the last `pop_means`, a row a minibatch and a column a name."""
        return torch.stack(self._rows)

    def add(self, **scalars: Tensor) -> Tensor:
        """Store one minibatch: 0-d tensors, always of the same names.

        Returns:
            The row that is kept, in the order given, for averaging over ranks in place.
        """
        self.names = tuple(scalars)
        self._rows.append(torch.stack([scalar.detach() for scalar in scalars.values()]))
        return self._rows[-1]

    def pop_means(self, **epoch_scalars: Tensor) -> Dict[str, float]:
        """Return the means since the last call, with 0-d tensors of the whole epoch, and reset."""
        scalars = torch.cat((self.rows.mean(dim=0), torch.stack(list(epoch_scalars.values()))))
        self._rows = []
        return dict(zip(self.names + tuple(epoch_scalars), scalars.tolist()))


def check_update(agent: Any, stats: MinibatchStats) -> None:
    """Check losses, gradients, parameters and statistics, once an iteration and with one wait for the device.

    Adam's moments represent the gradients: what was not finite stays in them, and a value whose square is not finite
    would keep its parameter from ever moving again.

    Raises:
        UpdateError: naming what was not finite first; the rollout is in a file next to the checkpoints.
    """
    rows = stats.rows
    tensors = _watched(agent)
    flags = torch.cat((torch.isfinite(rows).flatten(), torch.stack([torch.isfinite(t).all() for _, t in tensors])))
    if bool(flags.all()):
        return
    losses, rest = flags[: rows.numel()].view_as(rows).cpu(), flags[rows.numel() :].tolist()
    broken = [name for (name, _), finite in zip(tensors, rest) if not finite]
    first = _first_losses(stats.names, losses) or _some(broken)
    path = Path(agent.experiment_dir) / f"broken_update_ep_{agent.epoch_num}.pt"
    raise UpdateError(
        f"The update of iteration {agent.epoch_num} is not finite: {first}. No checkpoint was written from it. "
        f"{_dumped(agent, stats, broken, path)} Lower learning_rate or disc_learning_rate, or set truncate_grads=True "
        "(train.params.config), and continue from the last checkpoint."
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
    return moments + model + list(agent.discriminator.statistics().items())


def _first_losses(names: Tuple[str, ...], finite: Tensor) -> str:
    """Say which scalars (M minibatches, K names) were not finite first; nothing if all were."""
    bad = (~finite.all(dim=1)).nonzero()
    if not len(bad):
        return ""
    minibatch = int(bad[0])
    broken = [name for name, is_finite in zip(names, finite[minibatch].tolist()) if not is_finite]
    return f"{_some(broken)} in minibatch {minibatch + 1} of {len(finite)}"


def _some(names: List[str]) -> str:
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def _dumped(agent: Any, stats: MinibatchStats, broken: List[str], path: Path) -> str:
    """Write rollout, scalars of every minibatch and the broken model, on the first rank; return a sentence on where."""
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
    return f"Its rollout and scalars are in {path}."
