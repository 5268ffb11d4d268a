"""Adam over policy and discriminator, in one group or two, and its state across checkpoints of either kind."""

from typing import Any, Dict, List

from torch import nn, optim

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
    if sum(len(g["params"]) for g in saved["param_groups"]) != sum(len(g["params"]) for g in groups):
        raise CheckpointError("The checkpoint's optimizer state has another number of parameters than this network.")
    if keep_saved_lr:
        groups[0]["lr"] = float(saved["param_groups"][0]["lr"])
    return {"state": saved["state"], "param_groups": groups}
