"""Foreign clip formats, one file each; all end in a `MotionClip` in the project's convention."""

from typing import Any

from amp_train.character import CharacterSpec
from amp_train.errors import MotionError
from amp_train.motion.clip import MotionClip
from amp_train.motion.importers.deepmimic import parse_deepmimic
from amp_train.motion.importers.mimickit import is_mimickit, parse_mimickit
from amp_train.motion.importers.poselib import is_poselib, parse_poselib
from amp_train.untrusted.npz import NPY_MAGIC, parse_npy_header
from amp_train.untrusted.pickles import PICKLE_MAGIC, load_plain_pickle

__all__ = ["parse_foreign"]

FORMATS = "the project's .npz, DeepMimic text, poselib .npy (IsaacGymEnvs, ASE), MimicKit .pkl"

# How a file begins whose format is known, but not read.
_UNSUPPORTED = {b"HIERARCHY": "a BVH file, which must be retargeted to the character by another program first"}


def parse_foreign(data: bytes, name: str, spec: CharacterSpec) -> MotionClip:
    """Convert the bytes of a foreign clip, recognised by what they are and not by the file's name.

    Raises:
        MotionError: of no known format, broken, or a pickle that would build more than plain data.
    """
    what = "Clip '{}'".format(name)
    if data.startswith(NPY_MAGIC):
        dtype, _, _, start = parse_npy_header(data, what)
        if not dtype.hasobject:
            raise MotionError("{} is a bare array of {}, not a motion clip.".format(what, dtype))
        return _parse_content(load_plain_pickle(data[start:], what), name, spec)
    if data.startswith(PICKLE_MAGIC):
        return _parse_content(load_plain_pickle(data, what), name, spec)
    if data.lstrip()[:1] == b"{":
        return parse_deepmimic(data, name)
    kind = _UNSUPPORTED.get(data[:64].lstrip()[:9].upper(), "of no known format")
    raise MotionError("{} is {}. Supported: {}.".format(what, kind, FORMATS))


def _parse_content(content: Any, name: str, spec: CharacterSpec) -> MotionClip:
    if isinstance(content, list) and len(content) == 1:
        content = content[0]
    if is_poselib(content):
        return parse_poselib(content, name, spec)
    if is_mimickit(content):
        return parse_mimickit(content, name, spec)
    raise MotionError(
        "Clip '{}' is a pickle, but neither of poselib nor of MimicKit. Supported: {}.".format(name, FORMATS)
    )
