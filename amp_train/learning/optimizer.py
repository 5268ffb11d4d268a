"""Adam over policy and discriminator, in one group or two, and its state across checkpoints of either kind."""

from typing import Any, Dict, List, cast

import torch
from torch import Tensor, nn, optim

from amp_train.errors import CheckpointError


def two_rate_adam(
    model: nn.Module, disc_parameters: List[nn.Parameter], lr: float, disc_lr: float, weight_decay: float
) -> optim.Adam:
    """Build Adam with the discriminator in a second group with its own learning rate."""
    disc_ids = {id(parameter) for parameter in disc_parameters}
    policy_parameters = [parameter for parameter in model.parameters() if id(parameter) not in disc_ids]
    groups = [{"params": policy_parameters, "lr": lr}, {"params": disc_parameters, "lr": disc_lr}]
    return optim.Adam(groups, eps=1e-08, weight_decay=weight_decay, fused=True)


def fit_optimizer_state(saved: Dict[str, Any], optimizer: optim.Optimizer, keep_saved_lr: bool) -> Dict[str, Any]:
    """Put saved moments under this optimizer's groups and hyperparameters, for its `load_state_dict`.

    Parameters are numbered through all groups in the same order, whether the discriminator has a group or not.

    Args:
        keep_saved_lr: take the policy's learning rate from the saved state too (an adaptive schedule goes on).
    """
    groups = optimizer.state_dict()["param_groups"]
    moments = _saved_moments(saved)
    saved_groups = saved["param_groups"]
    if sum(len(g["params"]) for g in saved_groups) != sum(len(g["params"]) for g in groups):
        raise CheckpointError("The checkpoint's optimizer state has another number of parameters than this network.")
    if keep_saved_lr:
        groups[0]["lr"] = _learning_rate(saved_groups[0].get("lr"))
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return {"state": {k: _fitting(moments[k], parameters, k) for k in moments}, "param_groups": groups}


def _saved_moments(saved: Any) -> Dict[Any, Any]:
    """Return what is saved of each parameter, if the state has the form that torch's optimizers write."""
    groups = saved.get("param_groups") if isinstance(saved, dict) else None
    whole = isinstance(groups, list) and all(isinstance(g, dict) and isinstance(g.get("params"), list) for g in groups)
    if not groups or not whole or not isinstance(saved.get("state"), dict):
        raise CheckpointError("The checkpoint's optimizer state is not one of torch's.")
    return cast(Dict[Any, Any], saved["state"])


def _fitting(moments: Any, parameters: List[nn.Parameter], index: Any) -> Dict[str, Any]:
    """Return the moments of a parameter; a fused kernel would read beyond one that is too small."""
    known = type(index) is int and 0 <= index < len(parameters) and isinstance(moments, dict)
    if not known or set(moments) != {"step", "exp_avg", "exp_avg_sq"}:
        raise CheckpointError("The checkpoint's optimizer state is not one of Adam for this network.")
    for name, value in moments.items():
        if name == "step" and type(value) in (int, float):  # older versions of torch
            continue
        wanted = torch.Size() if name == "step" else parameters[index].shape
        if not isinstance(value, Tensor) or value.shape != wanted or not bool(torch.isfinite(value).all()):
            message = "The checkpoint's optimizer state does not fit this network ({} of parameter {}): other units?"
            raise CheckpointError(message.format(name, index))
    return cast(Dict[str, Any], moments)


def _learning_rate(value: Any) -> float:
    if type(value) not in (int, float) or not 0.0 <= value < 1e3:
        raise CheckpointError("The checkpoint's learning rate is {!r:.40}, not a number.".format(value))
    return float(value)
