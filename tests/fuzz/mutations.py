"""Ways to break a valid input: bytes, nested values, pickle programs. All drawn from a `random.Random`."""

import random
import struct
from typing import Any, Callable, List

import numpy as np
import torch

_NUMBERS = (0, 1, -1, 2, 255, 2**31, 2**63, -(2**63), 10**30, 2**2000, 0.5, -0.0, 1e308, 1e-320)
_SPECIAL = (float("nan"), float("inf"), -float("inf"), None, True, False, [], {}, "", b"", ())
_TEXTS = (
    "a", "../../etc/passwd", "/etc/passwd", "\x00", "\x1b[2J\n", "\ud800", "x" * 5000, "${oc.env:AMP_FUZZ_SECRET}",
    "${oc.env:HOME}", "${task}", "${train.params.config.gamma}", "${..gamma}", "${${seed}}", "???", "_target_", "hydra",
    "os.mkdir", "wrap", "1e999", "nan", "null", "True",
)  # fmt: skip
_GLOBALS = (
    b"os\nmkdir", b"builtins\neval", b"torch._utils\n_rebuild_tensor_v2", b"torch\nFloatStorage", b"torch\nBoolStorage",
    b"torch\nByteStorage", b"collections\nOrderedDict", b"numpy\ndtype", b"numpy\nndarray", b"_codecs\nencode",
    b"numpy.core.multiarray\n_reconstruct", b"numpy.core.multiarray\nscalar", b"numpy._core.numeric\n_frombuffer",
    b"torch._utils\n_rebuild_parameter", b"builtins\nbytearray", b"torch\nTensor",
)  # fmt: skip


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Change, insert, delete, repeat or cut some bytes."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at, kind = rng.randrange(len(out) + 1), rng.randrange(6)
        if kind == 0:
            out[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            out[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
        elif kind == 2:
            del out[at : at + rng.choice((1, 4, 64))]
        elif kind == 3:
            out[at:at] = out[max(0, at - rng.choice((4, 32, 256))) : at]
        elif kind == 4:
            out[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"1e99"))
        else:
            del out[at + rng.choice((0, 100, 10_000)) :]
    return bytes(out)


def nasty(rng: random.Random, depth: int = 0) -> Any:
    """A value that is not where it belongs."""
    kind = rng.randrange(9 if depth < 3 else 4)
    if kind == 0:
        return rng.choice(_NUMBERS)
    if kind == 1:
        return rng.choice(_SPECIAL)
    if kind == 2:
        return rng.choice(_TEXTS)
    if kind == 3:
        return rng.random() * 10.0 ** rng.randrange(-5, 6)
    if kind == 4:
        return [nasty(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 5:
        return {rng.choice(_TEXTS): nasty(rng, depth + 1) for _ in range(rng.randrange(4))}
    if kind == 6:
        return tuple(nasty(rng, depth + 1) for _ in range(rng.randrange(4)))
    if kind == 7:
        return nested(rng.choice((5, 20, 100)))
    return nasty_array(rng)


def nested(depth: int) -> Any:
    """Lists in lists."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def nasty_array(rng: random.Random) -> np.ndarray:
    """An array of some type and shape."""
    dtype = np.dtype(rng.choice(("<f4", ">f8", "<i8", "u1", "?", "<U3", "<c8", "<f2", "S2", "<M8[s]")))
    shape = tuple(rng.choice((0, 1, 2, 3, 4, 15)) for _ in range(rng.randrange(4)))
    array = np.zeros(shape, dtype)
    if dtype.kind in "fc":
        array[...] = rng.choice((0.0, 1.0, -1.0, np.nan, np.inf, 6e4))
    return array


def nasty_tensor(rng: random.Random) -> Any:
    """A tensor that a checkpoint should not hold, or may."""
    make: List[Callable[[], Any]] = [
        lambda: torch.zeros(2).expand(1000, 2),
        lambda: torch.zeros(3, device="meta"),
        lambda: torch.eye(3).to_sparse(),
        lambda: torch.nn.Parameter(torch.zeros(2)),
        lambda: torch.zeros(0, 5),
        lambda: torch.tensor(float("nan")),
        lambda: torch.zeros(2, dtype=torch.complex64),
        lambda: torch.zeros(4)[1:3],
        lambda: torch.float16,
        lambda: torch.Size([1, 2]),
        lambda: torch.device("cpu"),
        lambda: {1, 2},
        lambda: bytearray(b"abc"),
        lambda: torch.zeros(3, dtype=torch.int8),
    ]
    return rng.choice(make)()


def mutated(tree: Any, rng: random.Random, value: Callable[[random.Random], Any] = nasty) -> Any:
    """Return a copy of nested values with a few exchanged, removed, renamed or doubled."""
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        tree = _mutated_once(tree, rng, value)
    return tree


def _mutated_once(tree: Any, rng: random.Random, value: Callable[[random.Random], Any]) -> Any:
    if not isinstance(tree, (dict, list)) or not tree or rng.random() < 0.1:
        return value(rng)
    keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
    key, kind = rng.choice(keys), rng.randrange(6)
    out = dict(tree) if isinstance(tree, dict) else list(tree)
    if kind == 0:
        del out[key]
    elif kind == 1 and isinstance(out, dict):
        new = rng.choice(_TEXTS + (5, "lr", "amp"))
        out[new] = out.pop(key)
    elif kind == 1:
        out.insert(key, value(rng))
    else:
        out[key] = _mutated_once(out[key], rng, value) if kind < 5 else value(rng)
    return out


def program(rng: random.Random, start: bytes = b"") -> bytes:
    """A pickle of random opcodes, mostly such as plain data has."""
    out = [b"\x80" + bytes([rng.choice((2, 2, 4, 5))])] if not start else [start]
    for _ in range(rng.randrange(1, 60)):
        out.append(_opcode(rng))
    return b"".join(out) + b"."


def spliced(valid: bytes, rng: random.Random) -> bytes:
    """A valid pickle with random opcodes somewhere."""
    at = rng.randrange(2, len(valid))
    middle = b"".join(_opcode(rng) for _ in range(rng.randrange(1, 6)))
    return valid[:at] + middle + valid[at + rng.choice((0, 0, 1, 4)) :]


def _opcode(rng: random.Random) -> bytes:
    kind = rng.randrange(8)
    if kind == 0:
        return rng.choice((b"]", b"}", b")", b"N", b"\x88", b"\x89", b"("))
    if kind == 1:
        return rng.choice((b"a", b"e", b"s", b"u", b"t", b"\x85", b"\x86", b"\x87", b"R", b"b", b"Q", b"\x94"))
    if kind == 2:
        return b"K" + bytes([rng.randrange(256)])
    if kind == 3:
        return rng.choice((b"q", b"h")) + bytes([rng.randrange(6)])
    if kind == 4:
        return b"c" + rng.choice(_GLOBALS) + b"\n"
    if kind == 5:
        text = rng.choice(("storage", "0", "cpu", "latin1", "f8", "model", "canary", "<")).encode()
        return b"X" + struct.pack("<I", len(text)) + text
    if kind == 6:
        return rng.choice((b"J" + struct.pack("<i", rng.choice((-1, 2**31 - 1, 4))), b"G" + struct.pack(">d", 1e300)))
    return rng.choice(
        (
            b"\x8a\x09" + b"\xff" * 9, b"r" + struct.pack("<I", 2**31 - 1), b"\x95" + struct.pack("<Q", 2**40),
            b"\x8e" + struct.pack("<Q", 2**50), b"\x96" + struct.pack("<Q", 2**40), b"B" + struct.pack("<I", 2**31),
            b"X" + struct.pack("<I", 2**32 - 1), b"\x93", b"\x81", b"i", b"o", b"P", b"\x82\x01", b"2", b"0", b"1",
            b"C\x04\0\0\x80\x3f", b"h\x09", b"j\0\0\0\0",
        )
    )  # fmt: skip
