"""Roles of joints: the parts of a humanoid, found by the usual names of mocap and robots, or given in a YAML file.

    left_thigh: LeftUpLeg      # role: joint of the file
    left_shin: LeftLeg

A role is the joint at the part's upper end: `left_thigh` is the hip, `left_shin` the knee, `left_foot` the ankle.
Pelvis and chest need no name: the legs and arms branch off there."""

import difflib
import re
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from amp_train.errors import MotionError
from amp_train.untrusted import parse_plain_yaml, printable
from amp_train.untrusted.npz import read_file

SIDES = ("left", "right")
LEG, ARM = ("thigh", "shin", "foot"), ("upper_arm", "lower_arm", "hand")
ROLES = ("pelvis", "chest", "head") + tuple(f"{side}_{part}" for side in SIDES for part in LEG + ("toe",) + ARM)
_NEEDED = tuple(f"{side}_{part}" for side in SIDES for part in LEG)
_MAX_MAP_BYTES = 64 * 1024

# Names of a part without left and right, best first: `thigh` if there is one, else `hip`.
_WORDS: Dict[str, Tuple[str, ...]] = {
    "thigh": ("thigh", "upleg", "upperleg", "legupper", "femur", "hipyaw", "hip"),
    "shin": ("shin", "lowleg", "lowerleg", "leglower", "calf", "tibia", "knee", "leg"),
    "foot": ("foot", "ankleroll", "ankle"),
    "toe": ("toebase", "toe", "toes", "ball"),
    "upper_arm": ("uparm", "upperarm", "armupper", "humerus", "shoulderyaw", "arm", "shldr", "shoulder"),
    "lower_arm": ("lowarm", "lowerarm", "forearm", "armlower", "radius", "elbow"),
    "hand": ("hand", "wristyaw", "wrist"),
}
# Families, recognised by names that only they have; for the printed note.
_FAMILIES: Tuple[Tuple[str, Tuple[str, ...]], ...] = (
    ("CMU", ("lhipjoint",)),
    ("CMU (ASF names)", ("lfemur", "lhumerus")),
    ("Mixamo", ("lefttoebase", "leftshoulder", "spine2", "headtopend")),
    ("Bandai-Namco", ("jointroot", "upperlegl")),
    ("Rokoko", ("leftthigh", "leftshin")),
    ("Xsens", ("leftupperleg", "leftupperarm", "chest4")),
    ("SMPL", ("lefthip", "leftcollar", "spine3")),
    ("3ds Max Biped", ("bip01lthigh",)),
    ("LAFAN1 or MotionBuilder", ("leftupleg", "leftshoulder", "leftforearm")),
)
_PARTS_OF_NAMES = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_LEFT, _RIGHT = ("left", "l"), ("right", "r")
_SUFFIXES = ("link", "base", "jnt", "bone", "0")


def family_of(names: Sequence[str]) -> str:
    """Return the kind of skeleton that the names belong to, "" if unknown."""
    plain = {_plain(name) for name in names}
    for family, marks in _FAMILIES:
        if all(any(p.endswith(mark) for p in plain) for mark in marks):
            return family
    return ""


def find_roles(
    names: Sequence[str], parents: Sequence[int], given: Optional[Mapping[str, str]] = None
) -> Dict[str, int]:
    """Return the joint of each role that has one.

    Args:
        names: joints, or bodies of a character.
        parents: index of each one's parent, -1 for the root.
        given: role -> name, from a map; the rest is found by name.

    Raises:
        MotionError: an unknown role or name in the map, or no complete pair of legs.
    """
    found = _given(names, given or {})
    for side in SIDES:
        for part, words in _WORDS.items():
            role = f"{side}_{part}"
            if role not in found:
                joint = _best(names, side, words)
                if joint is not None:
                    found[role] = joint
    _toes_below_ankles(found, names, given or {})
    _above(found, names, parents)
    _check_order(found, parents)
    missing = [role for role in _NEEDED if role not in found]
    if missing:
        raise MotionError(
            f"No joints of the skeleton were recognised as {', '.join(missing)}. It has: "
            f"{printable(', '.join(names))[:600]}. Give map=FILE.yaml with lines like "
            "'left_thigh: NAME'."
        )
    return found


def read_map(path: Path) -> Dict[str, str]:
    """Read a map of roles from a YAML file.

    Raises:
        MotionError: missing, or not `role: joint` lines.
    """
    try:
        content = parse_plain_yaml(read_file(path, _MAX_MAP_BYTES))
    except ValueError as error:
        raise MotionError(f"Joint map '{printable(str(path))}' is {printable(str(error))}.") from None
    if not isinstance(content, dict) or not all(isinstance(v, str) for kv in content.items() for v in kv):
        raise MotionError(f"Joint map '{printable(str(path))}' must have lines like 'left_thigh: LeftUpLeg'.")
    return content


def side_and_part(name: str) -> Tuple[str, str]:
    """Split a name into "left", "right" or "", and the rest in small letters: mixamorig:LeftUpLeg -> left, upleg."""
    words = [w.lower() for w in _PARTS_OF_NAMES.findall(name.split(":")[-1])]
    while len(words) > 1 and words[-1] in _SUFFIXES:
        words.pop()
    for side, marks in (("left", _LEFT), ("right", _RIGHT)):
        for mark in marks:
            if mark in words:
                at = words.index(mark)
                return side, "".join(words[at + 1 :] if at + 1 < len(words) else words[:at])
    joined = "".join(words)
    for side, marks in (("left", _LEFT), ("right", _RIGHT)):
        for mark in marks:  # lfemur: only before a known word; lowerback is not a left owerback
            if joined.startswith(mark) and any(joined[len(mark) :] in known for known in _WORDS.values()):
                return side, joined[len(mark) :]
    return "", joined


def _given(names: Sequence[str], given: Mapping[str, str]) -> Dict[str, int]:
    found = {}
    for role, name in given.items():
        if role not in ROLES:
            raise MotionError(f"Unknown part '{printable(role)[:60]}' in the map of joints. Known: {', '.join(ROLES)}.")
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise MotionError(
                f"The map names joint '{printable(name)[:80]}', which the skeleton does not have.{printable(hint)}"
            )
        found[role] = list(names).index(name)
    return found


def _best(names: Sequence[str], side: str, words: Sequence[str]) -> Optional[int]:
    """Return the joint that matches the first matching word; of several, the first in the file."""
    split = [side_and_part(name) for name in names]
    for word in words:
        for joint, (its_side, part) in enumerate(split):
            if its_side == side and part == word:
                return joint
    return None


def _toes_below_ankles(found: Dict[str, int], names: Sequence[str], given: Mapping[str, str]) -> None:
    """If a side has both an ankle and a foot, as in SMPL, the foot is what others call toes."""
    split = [side_and_part(name) for name in names]
    for side in SIDES:
        foot, toe = f"{side}_foot", f"{side}_toe"
        if (side, "ankle") in split and (side, "foot") in split and foot not in given and toe not in given:
            found[foot] = split.index((side, "ankle"))
            found.setdefault(toe, split.index((side, "foot")))


def _above(found: Dict[str, int], names: Sequence[str], parents: Sequence[int]) -> None:
    """Add pelvis and chest, where the limbs branch off, and the head."""
    for role, part in (("pelvis", "thigh"), ("chest", "upper_arm")):
        pair = [found[f"{side}_{part}"] for side in SIDES if f"{side}_{part}" in found]
        if role not in found and len(pair) == 2:
            common = [j for j in _path(parents, parents[pair[0]]) if j in _path(parents, parents[pair[1]])]
            if common:
                found[role] = common[0]
    if "head" not in found:
        heads = [j for j, name in enumerate(names) if side_and_part(name)[1].endswith("head")]
        if heads:
            found["head"] = heads[0]


def _check_order(found: Dict[str, int], parents: Sequence[int]) -> None:
    """Drop joints that are not below their expected ancestor: there the name means something else."""
    for side in SIDES:
        for chain in (LEG + ("toe",), ARM):
            above: List[int] = []
            for part in chain:
                role = f"{side}_{part}"
                if role in found and above and above[-1] not in _path(parents, found[role])[1:]:
                    del found[role]
                elif role in found:
                    above.append(found[role])


def _path(parents: Sequence[int], joint: int) -> List[int]:
    path = []
    while joint >= 0:
        path.append(joint)
        joint = parents[joint]
    return path


def _plain(name: str) -> str:
    return "".join(_PARTS_OF_NAMES.findall(name.split(":")[-1])).lower()
