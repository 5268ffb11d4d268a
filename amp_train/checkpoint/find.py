"""From what a user types to a checkpoint file: the one place that knows where else than at a path they may lie."""

from pathlib import Path

from amp_train.checkpoint.store import check_policy_file
from amp_train.errors import CheckpointError


def find_checkpoint(name: str) -> str:
    """Return the path of the checkpoint that `name` stands for.

    Raises:
        CheckpointError: there is none, or it is not what its manifest says.
    """
    if not Path(name).is_file():
        raise CheckpointError(
            "There is no checkpoint {}. Give the path of a .pth file: runs/NAME/nn/NAME.pth.".format(name)
        )
    check_policy_file(name)
    return name
