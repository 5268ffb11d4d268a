"""The project's exceptions. A `UserError` is shown as one line (exit code 2), never as a traceback."""

import difflib
from typing import Iterable


class AmpTrainError(Exception):
    """Base of every error the project raises on purpose."""


class UserError(AmpTrainError):
    """Something the user gave is wrong; the message says what, what is allowed and what to do."""


class ConfigError(UserError):
    """A bad configuration key or value."""


class MotionError(UserError):
    """A motion clip or data set that cannot be used."""


class CharacterError(UserError):
    """An MJCF character that cannot be used."""


class CheckpointError(UserError):
    """A checkpoint that is missing, broken or of the wrong kind."""


class MissingPackageError(UserError, ImportError):
    """An optional package that is not installed."""


class TrainingError(AmpTrainError):
    """A training that cannot continue, while its checkpoints are good; shown as one line (exit code 3)."""


class SimulationError(TrainingError):
    """Physics that diverges too often for resets."""


class UpdateError(TrainingError):
    """An update whose numbers are not finite."""


class SaveError(TrainingError):
    """Checkpoints that can no longer be written."""


def unknown_choice(kind: str, given: str, allowed: Iterable[str]) -> ConfigError:
    """Build the error for a name that is not among the allowed ones, with the nearest one as a hint.

    >>> str(unknown_choice("simulator", "mujocowarp", ["mujoco", "mujoco_warp"]))
    "Unknown simulator 'mujocowarp'. Choose one of: mujoco, mujoco_warp. Did you mean 'mujoco_warp'?"
    """
    names = sorted(allowed)
    choices = ", ".join(names)
    return ConfigError(f"Unknown {kind} '{given}'. Choose one of: {choices}.{nearest(given, names)}")


def nearest(given: str, names: Iterable[str]) -> str:
    """Return a hint at the name most like the given one, with a leading space; "" if none is similar.

    >>> nearest("sped", ["speed", "turn"])
    " Did you mean 'speed'?"
    """
    near = difflib.get_close_matches(given, list(names), n=1)
    return f" Did you mean '{near[0]}'?" if near else ""
