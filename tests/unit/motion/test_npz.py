"""The project's clip format: what is written comes back, and a broken or hostile file is refused."""

import io
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any, Dict

import numpy as np
import pytest
import torch
from make_clip import random_clip

from amp_train.character import CharacterSpec
from amp_train.errors import MotionError
from amp_train.motion import load_clip, save_clip
from amp_train.motion.npz import parse_clip
from amp_train.untrusted.npz import parse_npy


@pytest.fixture
def saved(humanoid: CharacterSpec, tmp_path: Path) -> Path:
    save_clip(random_clip(humanoid, loop="wrap", source="a test", licence="MIT"), tmp_path / "clip.npz")
    return tmp_path / "clip.npz"


def _members(path: Path) -> Dict[str, np.ndarray]:
    with np.load(str(path), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _written(**members: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **members)
    return buffer.getvalue()


def test_a_clip_comes_back_as_it_was_saved(humanoid: CharacterSpec, saved: Path) -> None:
    clip, back = random_clip(humanoid), load_clip(saved, humanoid)
    assert torch.equal(back.root_pos, clip.root_pos)
    # The two normalisations on the way may differ by a rounding.
    assert torch.allclose(back.root_rot, clip.root_rot, atol=1e-7)
    assert torch.allclose(back.joint_rot, clip.joint_rot, atol=1e-6)
    assert (back.name, back.fps, back.loop, back.source, back.licence) == ("random", 30.0, "wrap", "a test", "MIT")
    assert back.joint_names == humanoid.joint_names


def test_the_same_clip_gives_the_same_bytes(humanoid: CharacterSpec, saved: Path, tmp_path: Path) -> None:
    save_clip(random_clip(humanoid, loop="wrap", source="a test", licence="MIT"), tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == saved.read_bytes()


def test_saving_leaves_nothing_else_behind(saved: Path) -> None:
    assert os.listdir(str(saved.parent)) == ["clip.npz"]


def test_an_archive_written_by_numpy_itself_is_read(saved: Path) -> None:
    assert parse_clip(_written(**_members(saved)), "clip").name == "random"


def test_the_format_is_recognised_whatever_the_file_is_called(humanoid: CharacterSpec, saved: Path) -> None:
    renamed = saved.rename(saved.with_name("clip.txt"))
    assert load_clip(renamed, humanoid).name == "random"


def test_our_own_clip_is_not_moved_to_the_ground_again(humanoid: CharacterSpec, tmp_path: Path) -> None:
    clip = random_clip(humanoid)
    save_clip(clip, tmp_path / "clip.npz")
    assert torch.equal(load_clip(tmp_path / "clip.npz", humanoid).root_pos, clip.root_pos)


def test_a_file_cut_off_anywhere_is_refused(saved: Path) -> None:
    data = saved.read_bytes()
    for length in list(range(0, len(data), 97)) + [len(data) - 1]:
        with pytest.raises(MotionError):
            parse_clip(data[:length], "clip")


@pytest.mark.parametrize("member", ["fps", "joint_names", "licence"])
def test_a_missing_member_is_named(saved: Path, member: str) -> None:
    members = _members(saved)
    del members[member]
    with pytest.raises(MotionError, match=f"lacks {member}"):
        parse_clip(_written(**members), "clip")


@pytest.mark.parametrize(
    "member, value",
    [
        ("fps", "thirty"),
        ("fps", np.array([30.0, 30.0])),
        ("root_pos", np.array("abc")),
        ("name", 5),
        ("joint_names", 1.0),
    ],
)
def test_a_member_of_the_wrong_kind_is_refused(saved: Path, member: str, value: Any) -> None:
    with pytest.raises(MotionError, match=member):
        parse_clip(_written(**dict(_members(saved), **{member: value})), "clip")


class _Runs:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_pickled_objects_in_an_archive_are_refused_and_do_not_run(saved: Path, tmp_path: Path) -> None:
    hostile = np.array({"run": _Runs(tmp_path / "ran")}, dtype=object)
    with pytest.raises(MotionError, match="pickled Python objects"):
        parse_clip(_written(**dict(_members(saved), root_pos=hostile)), "clip")
    assert not (tmp_path / "ran").exists()


def test_a_giant_declared_shape_is_refused_before_it_is_allocated(saved: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**12, 3)})
    with pytest.raises(MotionError, match="declares an array of shape"):
        parse_npy(header.getvalue() + b"\0" * 12, "clip")


def test_a_member_that_unpacks_to_gigabytes_is_refused(saved: Path) -> None:
    buffer = io.BytesIO(saved.read_bytes())
    with zipfile.ZipFile(buffer, "a") as archive:
        size = archive.getinfo("root_pos.npy").file_size
    data = bytearray(buffer.getvalue())
    at = data.rindex(struct.pack("<I", size))
    data[at : at + 4] = struct.pack("<I", 3 * 2**30)
    with pytest.raises(MotionError, match="more than the 64 MiB"):
        parse_clip(bytes(data), "clip")


def test_an_archive_of_very_many_members_is_refused_before_its_directory_is_read() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for k in range(40):
            archive.writestr(str(k), b"")
    with pytest.raises(MotionError, match="more members than a motion clip"):
        parse_clip(buffer.getvalue(), "clip")


def test_the_error_shows_no_control_characters_of_a_members_name(saved: Path) -> None:
    data = saved.read_bytes()
    with pytest.raises(MotionError) as caught:
        parse_clip(data.replace(b"version.npy", b"ver\n\x1bon.npy", 1), "clip")
    assert str(caught.value).isprintable()


def test_a_zip64_directory_that_could_declare_more_is_refused(saved: Path) -> None:
    data = saved.read_bytes()
    locator = b"PK\x06\x07" + b"\0" * 16
    with pytest.raises(MotionError, match="more members than a motion clip"):
        parse_clip(data[:-22] + locator + data[-22:], "clip")


@pytest.mark.parametrize("descr", ["'O'", "[('a', '<f4')]", "'<f4', 'x'", "'|V8'", "__import__('os')", "'" + "(" * 500])
def test_other_array_types_are_refused(descr: str) -> None:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': (1,), }}\n".encode()
    with pytest.raises(MotionError):
        parse_npy(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"\0" * 8, "clip")


@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_text_of_characters_that_do_not_exist_is_refused(byte_order: str) -> None:
    text = np.array(["walk"], dtype=byte_order + "U4")
    assert parse_npy(_npy(text), "clip").tolist() == ["walk"]
    beyond = text.view(byte_order + "u4").copy()
    beyond[2] = 0x110000
    with pytest.raises(MotionError, match="a character beyond Unicode"):
        parse_npy(_npy(beyond.view(byte_order + "U4")), "clip")


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.npz", tmp_path):
        with pytest.raises(MotionError, match="does not exist or is not a file"):
            load_clip(path)


@pytest.mark.parametrize("data", [b"", b"hello", b"\x00" * 100, b"PK\x03\x04", b"\x93NUMPY", b"\x80", b"{"])
def test_a_file_of_no_known_format_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "clip.npz").write_bytes(data)
    with pytest.raises(MotionError):
        load_clip(tmp_path / "clip.npz")


def test_a_bare_array_is_not_a_clip(tmp_path: Path) -> None:
    np.save(str(tmp_path / "clip.npy"), np.zeros((4, 3)))
    with pytest.raises(MotionError, match="is a bare array, not a motion clip"):
        load_clip(tmp_path / "clip.npy")
    (tmp_path / "clip.pkl").write_bytes(pickle.dumps([1, 2, 3]))
    with pytest.raises(MotionError, match="an unknown pickle"):
        load_clip(tmp_path / "clip.pkl")
