"""From what a user types to a checkpoint file: the one place that knows where else than at a path they may lie."""

from pathlib import Path
from typing import List

from amp_train.checkpoint.store import POLICY_SUFFIX, check_policy_file
from amp_train.errors import CheckpointError
from amp_train.paths import PRETRAINED_DIR

PREFIX = "pretrained/"


def pretrained_names() -> List[str]:
    """Return what comes with the program, as `find_checkpoint` takes it."""
    return sorted(PREFIX + path.stem for path in PRETRAINED_DIR.glob("*" + POLICY_SUFFIX))


def find_checkpoint(name: str) -> str:
    """Return the path of the checkpoint that `name` stands for: a file's path, or `pretrained/CLIP`.

    Raises:
        CheckpointError: there is none, or it is not what its manifest says.
    """
    if name in pretrained_names() and not Path(name).exists():
        return str(PRETRAINED_DIR / (name[len(PREFIX) :] + POLICY_SUFFIX))
    if not Path(name).is_file():
        raise CheckpointError(
            "There is no checkpoint {}. Give the path of a .pth file: runs/NAME/nn/NAME.pth, or one that comes with "
            "the program: {}.".format(name, ", ".join(pretrained_names()))
        )
    check_policy_file(name)
    return name
