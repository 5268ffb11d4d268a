"""The restricted unpickler builds plain data, and nothing else of what a pickle may ask for."""

import os
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amp_train.errors import MotionError
from amp_train.untrusted.pickles import load_plain_pickle

_PLAIN = {
    "text": "walk\u00e9",
    "none": None,
    "flags": [True, False],
    "numbers": [0, -1, 255, 70000, -(2**40), 1.5],
    "bytes": b"\x00\xff",
    "ordered": OrderedDict([("b", 1), ("a", 2)]),
    "array": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big_endian": np.arange(3, dtype=">i4"),
    "scalar": np.float64(2.5),
    "zero_d": np.array(60, dtype=np.int32),
    "texts": np.array(["hip", "knee"]),
    "tuple": (1, (2, np.ones(2))),
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_data_comes_back_from_every_binary_protocol(protocol: int) -> None:
    back = load_plain_pickle(pickle.dumps(_PLAIN, protocol=protocol), "clip")
    for key in ("array", "fortran", "big_endian", "zero_d", "texts"):
        np.testing.assert_array_equal(back.pop(key), _PLAIN[key])
    inner = back.pop("tuple")
    assert inner[0] == 1 and inner[1][0] == 2 and inner[1][1].tolist() == [1.0, 1.0]
    assert list(back["ordered"]) == ["b", "a"]
    assert back == {key: value for key, value in _PLAIN.items() if key in back}


def test_an_array_of_objects_becomes_a_list() -> None:
    content = {"arr": np.ones(2)}
    back = load_plain_pickle(pickle.dumps(np.array(content, dtype=object)), "clip")
    assert back[0]["arr"].tolist() == [1.0, 1.0]


class _Calls:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> Any:
        return self.function, self.arguments


@pytest.mark.parametrize(
    "call, name",
    [
        (_Calls(os.mkdir, "ran"), "mkdir"),
        (_Calls(os.system, "mkdir ran"), "system"),
        (_Calls(eval, "__import__('os').mkdir('ran')"), "eval"),
        (_Calls(getattr, "", "join"), "getattr"),
        (_Calls(np.load, "ran", None, True), "numpy.load"),
        (_Calls(np.full, (10**6, 10**6), 1.0), "full"),
        (_Calls(bytearray, 10**15), "bytearray"),
        (Path("ran"), "Path"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_call_is_refused_by_name_and_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Any, name: str, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    for hostile in (call, {"rotation": [np.ones(3), call]}, np.array([call], dtype=object)):
        with pytest.raises(MotionError, match=f"would build '[^']*{name}'.*nothing of it was run"):
            load_plain_pickle(pickle.dumps(hostile, protocol=protocol), "clip")
    assert not (tmp_path / "ran").exists()


class _Own:
    pass


def test_an_instance_of_a_class_is_refused() -> None:
    with pytest.raises(MotionError, match="would build '.*_Own'"):
        load_plain_pickle(pickle.dumps(_Own()), "clip")
    with pytest.raises(MotionError, match="opcode NEWOBJ, which plain data does not need"):
        load_plain_pickle(b"\x80\x02cnumpy\ndtype\n)\x81.", "clip")


_SHORT = b"\x8c"
_HOSTILE = {
    "INST": b"\x80\x02(ios\nsystem\n.",
    "PERSID": b"\x80\x02Pid\n.",
    "EXT1": b"\x80\x02\x82\x01.",
    "text protocol": b"(lp0\nI1\na.",
    "long integer": b"\x80\x02\x8b" + struct.pack("<i", 50) + b"\x01" * 50 + b".",
    "length beyond the file": b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"abc.",
    "bytearray beyond the file": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"abc.",
    "frame beyond the file": b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"N.",
    "empty stack": b"\x80\x02R.",
    "no stop": b"\x80\x02}",
    "unhashable key": b"\x80\x02}]Ns.",
    "call of a text": b"\x80\x04" + _SHORT + b"\x01a)R.",
    "state for a stand-in": b"\x80\x02cnumpy\ndtype\n}" + b"X\x01\x00\x00\x00a" + b"Nsb.",
}


@pytest.mark.parametrize("kind", sorted(_HOSTILE))
def test_malformed_and_greedy_pickles_are_refused(kind: str) -> None:
    with pytest.raises(MotionError):
        load_plain_pickle(_HOSTILE[kind], "clip")


def test_a_memo_index_that_would_cost_gigabytes_is_refused() -> None:
    with pytest.raises(MotionError, match="memo index 2147483647 is too large"):
        load_plain_pickle(b"\x80\x02}r\xff\xff\xff\x7f.", "clip")


def test_every_cut_of_a_pickle_is_refused() -> None:
    data = pickle.dumps(_PLAIN, protocol=4)
    for length in range(len(data)):
        with pytest.raises(MotionError):
            load_plain_pickle(data[:length], "clip")


@pytest.mark.parametrize("shape", [(10**9, 10**9), (-2, -3), (7,), (True, 6), "6", [6]])
def test_an_array_of_another_size_than_its_data_is_refused(shape: Any) -> None:
    class Lies:
        def __reduce__(self) -> Any:
            state = (1, shape, np.dtype("<f4"), False, b"\0" * 24)
            return np.ones(1).__reduce__()[0], (np.ndarray, (0,), b"b"), state

    with pytest.raises(MotionError):
        load_plain_pickle(pickle.dumps(Lies()), "clip")


def test_twenty_thousand_nested_lists_come_back_without_recursion() -> None:
    depth = 20_000
    nested = load_plain_pickle(b"\x80\x04" + b"]" * depth + b"a" * (depth - 1) + b".", "clip")
    for _ in range(depth - 1):
        nested = nested[0]
    assert nested == []


def test_shared_tuples_are_not_expanded() -> None:
    shared: Any = (1,)
    for _ in range(60):
        shared = (shared, shared)
    nested = load_plain_pickle(pickle.dumps(shared), "clip")
    for _ in range(60):
        nested = nested[1]
    assert nested == [1]


def test_a_list_that_holds_itself_ends() -> None:
    ring: Any = []
    ring.append(ring)
    back = load_plain_pickle(pickle.dumps(ring), "clip")
    assert back[0] is back


def test_the_error_shows_no_control_characters() -> None:
    with pytest.raises(MotionError) as error:
        load_plain_pickle(b"\x80\x02cevil\x1b[2J\nname\n.", "clip")
    assert "\x1b" not in str(error.value)
