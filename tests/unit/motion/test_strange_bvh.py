"""BVH files as odd programs and hostile people write them: read, or refused in one line and soon."""

import time
from pathlib import Path
from typing import Callable

import pytest
import torch
from field_rigs import RIGS, rig_bvh

from amp_train.character import CharacterSpec
from amp_train.errors import MotionError
from amp_train.motion import RetargetOptions, find_motion, import_clip, load_clip
from amp_train.motion.importers.bvh import parse_bvh


@pytest.fixture(scope="module")
def walk(humanoid: CharacterSpec) -> str:
    return rig_bvh(load_clip(find_motion("walk")), humanoid, RIGS["Mixamo"])


def _without_ends(text: str) -> str:
    lines, kept, skip = text.split("\n"), [], 0
    for line in lines:
        skip = 4 if "End Site" in line else skip
        if skip == 0:
            kept.append(line)
        skip = max(0, skip - 1)
    return "\n".join(kept)


SAME = {
    "CRLF": lambda t: t.replace("\n", "\r\n"),
    "CR": lambda t: t.replace("\n", "\r"),
    "tabs": lambda t: t.replace(" ", "\t").replace("End\tSite", "End Site").replace("Frame\tTime", "Frame Time"),
    "BOM": lambda t: "\ufeff" + t,
    "brace on the line": lambda t: t.replace("\n{", " {", 1),
    "brace at the name": lambda t: t.replace("mixamorig:Hips\n{", "mixamorig:Hips{"),
    "blank lines": lambda t: t.replace("\nFrame Time", "\n\nFrame Time").replace("MOTION\n", "MOTION\n\n"),
    "small letters": lambda t: t.replace("JOINT", "Joint").replace("MOTION", "Motion").replace("Frames: ", "frames:"),
    "end with a name": lambda t: t.replace("End Site", "End Site HeadNub"),
    "no end": _without_ends,
    "more rows than declared": lambda t: t + t.strip().split("\n")[-1] + "\n",
}


@pytest.mark.parametrize("how", sorted(SAME))
def test_odd_files_hold_the_same_motion(walk: str, how: str) -> None:
    text = SAME[how](walk)
    assert text != walk
    plain, odd = parse_bvh(walk.encode(), "walk"), parse_bvh(text.encode(), "walk")
    assert odd.joint_names == plain.joint_names and odd.parents == plain.parents and odd.fps == plain.fps
    assert torch.equal(odd.rotations, plain.rotations) and torch.equal(odd.root_pos, plain.root_pos)


def test_names_have_spaces_and_letters_of_other_alphabets(walk: str, humanoid: CharacterSpec, tmp_path: Path) -> None:
    pytest.importorskip("mink")
    plain = tmp_path / "plain.bvh"
    plain.write_text(walk)
    odd = tmp_path / "odd.bvh"
    text = walk.replace("mixamorig:LeftUpLeg", "Bip01 L Thigh").replace("mixamorig:Spine1", "\xe9pine dorsale")
    odd.write_bytes(text.encode("latin-1"))
    options = RetargetOptions(ik=False)
    got = import_clip(odd, humanoid, options=options)
    assert torch.equal(got.clip.joint_rot, import_clip(plain, humanoid, options=options).clip.joint_rot)
    assert got.retargeted is not None and "Bip01 L Thigh" in got.retargeted.source.joint_names


def test_joints_named_alike_are_told_apart(walk: str) -> None:
    motion = parse_bvh(walk.replace("mixamorig:Spine1", "mixamorig:Spine").encode(), "walk")
    assert len(set(motion.joint_names)) == len(motion.joint_names)


def test_bones_without_length_do_no_harm(walk: str, humanoid: CharacterSpec, tmp_path: Path) -> None:
    """Arms of no length: what they do cannot be seen, the rest can."""
    pytest.importorskip("mink")
    lines = walk.split("\n")
    for index, line in enumerate(lines):
        if "Arm" in line or "Hand" in line:
            lines[index + 2] = "OFFSET 0 0 0"
    (tmp_path / "clip.bvh").write_text("\n".join(lines))
    clip = import_clip(tmp_path / "clip.bvh", humanoid).clip
    assert torch.isfinite(clip.joint_rot).all() and clip.loop == "wrap"
    (tmp_path / "clip.bvh").write_text("\n".join("OFFSET 0 0 0" if "OFFSET" in line else line for line in lines))
    with pytest.raises(MotionError, match="legs of its skeleton have no length"):
        import_clip(tmp_path / "clip.bvh", humanoid)


def _rows(text: str, change: Callable[[str], str]) -> str:
    head, _, rows = text.partition("Frame Time:")
    first, _, rest = rows.partition("\n")
    return head + "Frame Time:" + first + "\n" + change(rest)


REFUSED = {
    "1e9 frames": (lambda t: t.replace("Frames: 39", "Frames: 1000000000"), "frames are allowed"),
    "no number of frames": (lambda t: t.replace("Frames: 39", "Frames: many"), "'many' where a number is expected"),
    "backwards in time": (lambda t: t.replace("Frame Time: ", "Frame Time: -"), "frames of -0.0"),
    "NaN": (lambda t: _rows(t, lambda r: r.replace(" ", " nan ", 1)), "NaN or infinity"),
    "huge angles": (lambda t: _rows(t, lambda r: "1e999 " + r), "NaN or infinity"),
    "far away": (lambda t: _rows(t, lambda r: "1e30 " + r), "position out of range"),
    "huge bones": (lambda t: t.replace("OFFSET 0.0 99.8 0.0", "OFFSET 0 1e300 0"), "position out of range"),
    "deep": (lambda t: t.replace("\tEnd Site", "JOINT a\n{\nOFFSET 0 1 0\n" * 80 + "End Site", 1), "inside each"),
    "one frame": (lambda t: t.replace("Frames: 39", "Frames: 1"), "has 1 frames"),
    "no frame": (lambda t: t.replace("Frames: 39", "Frames: 0"), "declares 0 frames"),
    "no motion": (lambda t: t.partition("Frames")[0], "needs Frames:"),
    "a name without end": (lambda t: t.replace("mixamorig:Hips\n{", "a b c d e f g h i j\n{"), "where '{' is expected"),
    "no names": (lambda t: "HIERARCHY\nMOTION\nFrames: 2\nFrame Time: 0.1\n", "not complete"),
    "a name of a megabyte": (lambda t: t.replace("mixamorig:Neck", "x" * 1_000_000), "larger than 256 KiB"),
    "colours of a terminal": (lambda t: t.replace("OFFSET", "\x1b[31mOFFSET", 1), "where a joint is expected"),
}  # fmt: skip


@pytest.mark.parametrize("how", sorted(REFUSED))
def test_hostile_files_are_refused_in_one_line_and_soon(
    walk: str, humanoid: CharacterSpec, tmp_path: Path, how: str
) -> None:
    change, says = REFUSED[how]
    text = change(walk)
    assert text != walk
    (tmp_path / "clip.bvh").write_text(text)
    begin = time.monotonic()
    with pytest.raises(MotionError, match=says) as caught:
        load_clip(tmp_path / "clip.bvh", humanoid)
    assert time.monotonic() - begin < 2.0
    assert str(caught.value).isprintable() and len(str(caught.value)) < 1000
