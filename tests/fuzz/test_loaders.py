"""Whatever a file holds: what it says or the project's own error; no code runs, nothing is written, no waiting."""

import io
import json
import pickle
import random
import struct
import zipfile
from pathlib import Path
from typing import Any, Callable, Dict, List

import hypothesis
import mutations
import numpy as np
import pytest
import targets
import torch
import yaml
from hypothesis import strategies as st
from targets import LOADED, REJECTED, TARGETS, attempt

SEEDS = st.integers(0, 2**63)
Tries = Callable[[int], hypothesis.settings]


def try_many(name: str, folder: Path, settings: hypothesis.settings, make: Callable[[random.Random], bytes]) -> None:
    """Load what `make` returns for many seeds."""

    @settings
    @hypothesis.given(SEEDS)
    def run(seed: int) -> None:
        attempt(TARGETS[name], make(random.Random(seed)), folder)

    run()


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_valid_input_is_accepted(empty_folder: Path, name: str) -> None:
    assert attempt(TARGETS[name], TARGETS[name].seeds()[0], empty_folder) == LOADED


@pytest.mark.parametrize("name", ["pkl", "pth_pickle"])
def test_a_pickle_that_calls_a_function_is_refused(empty_folder: Path, name: str) -> None:
    assert attempt(TARGETS[name], targets.CALLS_CANARY, empty_folder) == REJECTED


def test_the_canary_would_sing(empty_folder: Path) -> None:
    unsafe = pickle.Unpickler(io.BytesIO(targets.CALLS_CANARY))
    unsafe.load()
    assert Path("canary").is_dir()


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_damaged_bytes(empty_folder: Path, tries: Tries, name: str) -> None:
    seeds = TARGETS[name].seeds()
    try_many(name, empty_folder, tries(60), lambda rng: mutations.damaged(rng.choice(seeds), rng))


@pytest.mark.parametrize("name", ["pkl", "pth_pickle"])
def test_programs_of_random_opcodes(empty_folder: Path, tries: Tries, name: str) -> None:
    try_many(name, empty_folder, tries(150), mutations.program)


@pytest.mark.parametrize("name", ["pkl", "pth_pickle"])
def test_valid_programs_with_opcodes_between(empty_folder: Path, tries: Tries, name: str) -> None:
    seeds = TARGETS[name].seeds()
    try_many(name, empty_folder, tries(150), lambda rng: mutations.spliced(rng.choice(seeds), rng))


def test_clips_with_members_of_any_kind(empty_folder: Path, tries: Tries) -> None:
    members = targets.npz_members()

    def make(rng: random.Random) -> bytes:
        changed = dict(members)
        for name in rng.sample(sorted(members), rng.choice((1, 1, 2))):
            changed[name] = mutations.nasty_array(rng) if rng.random() < 0.7 else _as_array(mutations.nasty(rng))
        return targets.npz_bytes(changed)

    try_many("npz", empty_folder, tries(100), make)


def _as_array(value: Any) -> np.ndarray:
    array = np.empty((), dtype=object)
    array[()] = value
    try:
        return np.array(value)
    except (ValueError, OverflowError):
        return array


def test_arrays_whose_header_says_anything(empty_folder: Path, tries: Tries) -> None:
    dimensions = (0, 1, 3, 10**12, 2**63, -1, True, 1.5, "3", (2,))

    def make(rng: random.Random) -> bytes:
        shape: Any = tuple(rng.choice(dimensions) for _ in range(rng.randrange(5)))
        header: Dict[Any, Any] = {
            "descr": rng.choice(("<f4", ">f8", "|O", "<U9", "|V8", "|S1", [("a", "<f4")], "x" * 99, 5, "<f4,<f4")),
            "fortran_order": rng.choice((False, True, 5, "no")),
            "shape": rng.choice((shape, shape, list(shape), 5, None)),
        }
        text = repr(mutations.mutated(header, rng) if rng.random() < 0.3 else header).encode("utf-8", "replace") + b"\n"
        length = rng.choice((len(text), len(text), len(text) + 5, 65535))
        magic = b"\x93NUMPY" + bytes([rng.choice((1, 1, 2, 3, 9)), 0])
        return b"\x04" + magic + struct.pack("<H", length % 65536) + text + b"\0" * rng.choice((0, 4, 12, 36, 100))

    try_many("npz_member", empty_folder, tries(150), make)


@pytest.mark.parametrize("content", [targets.mimickit_content, targets.poselib_content])
def test_pickled_clips_with_values_that_do_not_belong(
    empty_folder: Path, tries: Tries, content: Callable[[], Dict[str, Any]]
) -> None:
    valid = content()

    def make(rng: random.Random) -> bytes:
        return pickle.dumps(mutations.mutated(valid, rng), protocol=rng.choice((2, 4, 5)))

    try_many("pkl", empty_folder, tries(200), make)


@pytest.mark.parametrize("name, content", [("txt", targets.deepmimic_content), ("manifest", targets.manifest_content)])
def test_json_with_values_that_do_not_belong(
    empty_folder: Path, tries: Tries, name: str, content: Callable[[], Dict[str, Any]]
) -> None:
    valid = content()

    def make(rng: random.Random) -> bytes:
        return json.dumps(mutations.mutated(valid, rng), default=str).encode("utf-8", "replace")

    try_many(name, empty_folder, tries(200), make)


def test_yaml_with_values_that_do_not_belong(empty_folder: Path, tries: Tries) -> None:
    valid = {"motions": [{"file": "seed.npz", "weight": 1.0}, {"file": "seed.npz"}]}

    def make(rng: random.Random) -> bytes:
        text = yaml.dump(_plain(mutations.mutated(valid, rng)), allow_unicode=True)
        return text.encode("utf-8", "replace")

    try_many("yaml", empty_folder, tries(100), make)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, np.ndarray) else value


def test_checkpoints_with_values_that_do_not_belong(empty_folder: Path, tries: Tries) -> None:
    valid = targets.checkpoint_content()

    def value(rng: random.Random) -> Any:
        return mutations.nasty_tensor(rng) if rng.random() < 0.5 else mutations.nasty(rng)

    def make(rng: random.Random) -> bytes:
        try:
            return targets.torch_bytes(mutations.mutated(valid, rng, value))
        except (RuntimeError, NotImplementedError, UnicodeEncodeError):  # torch itself cannot save that
            return b""

    try_many("pth", empty_folder, tries(150), make)


def test_archives_whose_members_are_others(empty_folder: Path, tries: Tries) -> None:
    with zipfile.ZipFile(io.BytesIO(TARGETS["pth"].seeds()[0])) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(io.BytesIO(TARGETS["npz"].seeds()[0])) as archive:
        arrays = {name: archive.read(name) for name in archive.namelist()}

    def make(rng: random.Random, source: Dict[str, bytes]) -> bytes:
        entries: List[Any] = [[name, data, zipfile.ZIP_STORED] for name, data in source.items()]
        for _ in range(rng.choice((1, 2, 3))):
            entry, other = rng.choice(entries), rng.choice(entries)
            kind = rng.randrange(6)
            if kind == 0:
                entry[0] = rng.choice(("../../x", "/etc/x", "archive/data/../0", other[0], other[0].upper(), "a\x00b"))
            elif kind == 1:
                entry[1] = rng.choice((b"", other[1], entry[1] * 3, bytes(10**5), b"big"))
            elif kind == 2:
                entry[2] = rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
            elif kind == 3 and len(entries) > 1:
                entries.remove(entry)
            else:
                entries.append(list(entry))
        return _zipped(entries, rng)

    try_many("pth", empty_folder, tries(100), lambda rng: make(rng, members))
    try_many("npz", empty_folder, tries(100), lambda rng: make(rng, arrays))


def _zipped(entries: List[Any], rng: random.Random) -> bytes:
    """Zip the entries; sometimes lie about a size in the directory."""
    buffer = io.BytesIO()
    with pytest.warns(UserWarning) if _has_doubles(entries) else io.BytesIO():
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, data, compression in entries:
                info = zipfile.ZipInfo(name)
                info.compress_type = compression
                archive.writestr(info, data)
    data = bytearray(buffer.getvalue())
    if rng.random() < 0.4:
        at = data.rindex(b"PK\x01\x02") + rng.choice((10, 16, 20, 24, 28, 30, 42))
        data[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\x01\0\0\0"))
    return bytes(data)


def _has_doubles(entries: List[Any]) -> bool:
    names = [zipfile.ZipInfo(entry[0]).filename for entry in entries]
    return len(set(names)) < len(names)


def test_a_checkpoint_that_loads_holds_plain_values_within_its_size(empty_folder: Path, tries: Tries) -> None:
    program = targets.pickled_checkpoint()

    @tries(300)
    @hypothesis.given(SEEDS)
    def run(seed: int) -> None:
        data = targets.checkpoint_with_pickle(mutations.spliced(program, random.Random(seed)))
        (empty_folder / "input").write_bytes(data)
        try:
            content = targets.load_plain(empty_folder / "input")
        except targets.UserError:
            return
        todo = [content]
        while todo:
            value = todo.pop()
            todo += (
                list(value.values()) if isinstance(value, dict) else list(value) if type(value) in (list, tuple) else []
            )
            assert type(value) in (dict, list, tuple, str, bytes, bool, int, float, type(None), torch.Tensor)
            if isinstance(value, torch.Tensor):
                assert value.untyped_storage().nbytes() <= len(data) and not value.requires_grad
                assert value.numel() * value.element_size() <= len(data)

    run()
