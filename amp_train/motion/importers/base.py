"""The interface of importers, their input and their result."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Callable, Dict, List, NamedTuple, Optional

import numpy as np

from amp_train.character import CharacterSpec
from amp_train.motion.clip import MotionClip
from amp_train.motion.retarget import Retargeted, RetargetOptions
from amp_train.untrusted.npz import NPY_MAGIC, ZIP_MAGIC, parse_npy_header, parse_npz
from amp_train.untrusted.pickles import PICKLE_MAGIC, load_plain_pickle


class MotionFile:
    """A file of unknown format: its bytes, and their parsed forms from safe readers, computed once when needed."""

    def __init__(self, data: bytes, name: str) -> None:
        """`name` is the file's name without suffix, for messages."""
        self.data, self.name, self.what = data, name, f"Clip '{name}'"

    @property
    def is_archive(self) -> bool:
        return self.data.startswith(ZIP_MAGIC)

    @property
    def is_pickle(self) -> bool:
        return self.data.startswith(PICKLE_MAGIC) or (self.data.startswith(NPY_MAGIC) and self._holds_objects)

    @property
    def is_bare_array(self) -> bool:
        return self.data.startswith(NPY_MAGIC) and not self._holds_objects

    @property
    def members(self) -> "set[str]":
        """Names that the directory of an archive lists."""
        return _members(self.data) if self.is_archive else set()

    def arrays(self, *names: str) -> Dict[str, np.ndarray]:
        """Return members of an archive, those that are there."""
        return parse_npz(self.data, self.what, names)

    @property
    def pickled(self) -> Any:
        """The content of a pickle: plain data and arrays."""
        return _unpickled(self)

    @property
    def _holds_objects(self) -> bool:
        return parse_npy_header(self.data, self.what)[0].hasobject


@lru_cache(maxsize=2)
def _unpickled(file: MotionFile) -> Any:
    start = parse_npy_header(file.data, file.what)[3] if file.data.startswith(NPY_MAGIC) else 0
    content = load_plain_pickle(file.data[start:], file.what)
    return content[0] if isinstance(content, list) and len(content) == 1 else content


def _members(data: bytes) -> "set[str]":
    """Look the names up in the last bytes, where an archive's directory is; `parse_npz` checks it before reading."""
    tail, found = data[-65536:], set()
    at = tail.find(b"PK\x01\x02")
    while 0 <= at <= len(tail) - 46:
        length = int.from_bytes(tail[at + 28 : at + 30], "little")
        found.add(tail[at + 46 : at + 46 + length].decode("latin1").rsplit(".npy", 1)[0])
        at = tail.find(b"PK\x01\x02", at + 46)
    return found


@dataclass(frozen=True)
class Imported:
    """A clip for the character, with notes about it.

    Attributes:
        clip: joints as the character has them or in the file's order; not fitted to the ground.
        notes: one fact per line.
        retargeted: the result of retargeting; None for a clip of this character.
    """

    clip: MotionClip
    notes: List[str] = field(default_factory=list)
    retargeted: Optional[Retargeted] = None


class Importer(NamedTuple):
    """One format.

    Attributes:
        name: its name in messages and `amp-motion`.
        matches: whether a file has this format, by content.
        parse: read it for a character; raises MotionError.
        is_own: whether its clips are the project's own, which are already on the ground.
    """

    name: str
    matches: Callable[[MotionFile], bool]
    parse: Callable[[MotionFile, CharacterSpec, RetargetOptions], Imported]
    is_own: bool = False
