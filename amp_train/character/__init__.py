"""The character: its structure (`CharacterSpec`), its state (`CharacterState`) and its kinematics."""

from amp_train.character.kinematics import Kinematics
from amp_train.character.mjcf import configured_character, hinge_triple_mjcf, load_character
from amp_train.character.spec import CharacterSpec
from amp_train.character.state import CharacterState

__all__ = [
    "CharacterSpec",
    "CharacterState",
    "Kinematics",
    "configured_character",
    "hinge_triple_mjcf",
    "load_character",
]
