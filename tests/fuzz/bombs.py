"""Files that would take gigabytes or hours in a careless reader; run as a program, it loads them within limits."""

import io
import json
import os
import pickle
import resource
import struct
import sys
import time
import zipfile
from pathlib import Path
from typing import Any, Callable, Dict, Tuple

import numpy as np
import targets
import torch

MAX_EXTRA_BYTES = 700 * 2**20


def _npy(shape: Tuple[int, ...], descr: str, data: bytes) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
    return header.getvalue() + data


def _npz_with(compression: int = zipfile.ZIP_DEFLATED, **members: bytes) -> bytes:
    content = {name + ".npy": targets.npy_bytes(array) for name, array in targets.npz_members().items()}
    content.update({name + ".npy": data for name, data in members.items()})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _overlapping_members() -> bytes:
    """1000 members of the archive's directory that all lie on the same bytes."""
    block = torch.zeros(2**20, dtype=torch.uint8)
    data = targets.torch_bytes({"model": {str(k): block.clone() for k in range(50)}})
    first = data.index(b"PK\x03\x04", data.index(b"archive/data/0"))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        at = archive.getinfo("archive/data/0").header_offset
    out, place = bytearray(data), data.index(b"PK\x01\x02")
    assert first > 0
    while place >= 0:
        length = struct.unpack("<H", data[place + 28 : place + 30])[0]
        if data[place + 46 : place + 46 + length].startswith(b"archive/data/"):
            out[place + 42 : place + 46] = struct.pack("<I", at)
        place = data.find(b"PK\x01\x02", place + 4)
    return bytes(out)


def _tensor_program(size: Tuple[int, ...], stride: Tuple[int, ...], numel: int = 4) -> bytes:
    """A checkpoint whose one tensor claims a size over a storage of 4 floats."""
    data = targets.torch_bytes({"model": {"w": torch.zeros(4)}})
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    one = b"K\x04\x85q\nK\x01\x85q\x0b"
    program = members["archive/data.pkl"]
    assert one in program
    claim = pickle.dumps(size, 2)[2:-1] + pickle.dumps(stride, 2)[2:-1]
    program = program.replace(one, claim)
    if numel != 4:
        program = program.replace(b"K\x04t", b"J" + struct.pack("<i", numel) + b"t")
    return targets.archive_with(dict(members, **{"archive/data.pkl": program}))


def _shared_tuples_as_key() -> bytes:
    """A tuple of a tuple twice, 60 deep, as the key of a dict: hashing it visits 2^60."""
    return b"\x80\x02})" + b"".join(b"q\x01h\x01\x86" for _ in range(60)) + b"Ns."


def _colliding_keys() -> bytes:
    """Whole numbers with the same hash, as keys of a dict."""
    numbers = (k * (2**61 - 1) for k in range(1, 200_000))
    longs = (b"\x8a\x0a" + n.to_bytes(10, "little") + b"N" for n in numbers)
    return b"\x80\x02}(" + b"".join(longs) + b"u."


def _shared_dicts() -> bytes:
    return (
        b"\x80\x02"
        + b"}X\x01\x00\x00\x00aNs"
        + b"".join(b"q\x00}(X\x01\x00\x00\x00ah\x00X\x01\x00\x00\x00bh\x00u" for _ in range(28))
        + b"."
    )


def _text(text: bytes) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text


def _one_text_encoded_often() -> bytes:
    """16 MB of text, remembered once and made into bytes 200 times."""
    begin = b"\x80\x02c_codecs\nencode\nq\x00" + _text(b"x" * 2**24) + b"q\x01" + _text(b"latin1") + b"q\x02"
    return begin + b"](" + b"h\x00h\x01h\x02\x86R" * 200 + b"e."


def _one_scalar_read_often() -> bytes:
    """16 MB of bytes, remembered once and made into a text 200 times."""
    begin = b"\x80\x03cnumpy.core.multiarray\nscalar\nq\x00cnumpy\ndtype\n" + _text(b"U%d" % 2**22) + b"\x85Rq\x01"
    data = b"B" + struct.pack("<I", 2**24) + b"x\x00\x00\x00" * 2**22 + b"q\x02"
    return begin + data + b"](" + b"h\x00h\x01h\x02\x86R" * 200 + b"e."


def _one_array_built_often() -> bytes:
    """16 MB of text, remembered once and made into an array 5000 times, each looked through for bad characters."""
    begin = b"\x80\x03cnumpy.core.multiarray\n_reconstruct\nq\x00cnumpy\nndarray\nK\x00\x85C\x01b\x87q\x01"
    data = b"B" + struct.pack("<I", 2**24) + b"x\x00\x00\x00" * 2**22
    dtype = b"cnumpy\ndtype\n" + _text(b"U%d" % 2**22) + b"\x85R"
    state = b"(K\x01)" + dtype + b"\x89" + data + b"tq\x02"
    return begin + state + b"](" + b"h\x00h\x01Rh\x02b" * 5000 + b"e."


def _one_key_of_many_dicts() -> bytes:
    """A key of 16 MB that 200 dicts share, with what is to be taken out of each."""
    begin = b"\x80\x02" + _text(b"_orig_mod." + b"x" * 2**24) + b"q\x00"
    return begin + b"](" + b"}h\x00Ns" * 200 + b"e."


BOMBS: Dict[str, Tuple[str, Callable[[], bytes]]] = {
    "npz: a member that unpacks to more than is allowed": (
        "npz", lambda: _npz_with(root_pos=_npy((2**20, 16), "<f4", bytes(2**26)))),
    "npz: ten million short texts": (
        "npz", lambda: _npz_with(joint_names=_npy((10**7,), "<U1", b"\x00\x04\0\0" * 10**7))),
    "npz: bytes that become eight times as many": (
        "npz", lambda: _npz_with(joint_rot=_npy((2**19, 30, 4), "|u1", bytes(2**19 * 120)))),
    "npz: a header of a petabyte": ("npz", lambda: _npz_with(root_pos=_npy((10**12, 3), "<f4", bytes(12)))),
    "pkl: a tuple that holds itself as a key": ("pkl", _shared_tuples_as_key),
    "pkl: keys that collide": ("pkl", _colliding_keys),
    "pkl: a million dicts": ("pkl", lambda: b"\x80\x02](" + b"}" * (10**6 - 10) + b"e."),
    "pkl: ten million memo entries": ("pkl", lambda: b"\x80\x04]" + b"\x94" * 10**7 + b"."),
    "pkl: an array of a petabyte": ("pkl", lambda: b"\x80\x05\x96" + struct.pack("<Q", 2**50) + b"."),
    "pkl: half a million lists in one another": (
        "pkl", lambda: b"\x80\x02" + b"]" * 499_000 + b"a" * 498_999 + b"."),
    "pkl: one text encoded often": ("pkl", _one_text_encoded_often),
    "pkl: one scalar read often": ("pkl", _one_scalar_read_often),
    "pkl: one array built often": ("pkl", _one_array_built_often),
    "pth: one text encoded often": ("pth_pickle", _one_text_encoded_often),
    "pth: one key of many dicts": ("pth_pickle", _one_key_of_many_dicts),
    "txt: a number of seven million digits": (
        "txt", lambda: b'{"Loop":"wrap","Frames":[[' + b"1" * (7 * 10**6) + b"]]}"),
    "txt: a million lists in one another": ("txt", lambda: b'{"Frames":' + b"[" * 10**6),
    "txt: many empty lists": ("txt", lambda: b'{"Frames":[' + b"[]," * (2 * 10**6) + b"[]]}"),
    "txt: one very long line": ("txt", lambda: json.dumps({"Frames": "x" * 8_000_000}).encode()),
    "yaml: aliases that double": ("yaml", lambda: b"a: &a [x,x]\n" + b"".join(
        "{1}: &{1} [*{0},*{0}]\n".format(chr(97 + k), chr(98 + k)).encode() for k in range(24))),
    "yaml: a number of a hundred thousand digits": ("yaml", lambda: b"motions: [" + b"9" * 100_000 + b"]"),
    "yaml: a number to base 60": ("yaml", lambda: b"motions: [" + b"1:" * 60_000 + b"1]"),
    "yaml: a fraction to base 60": ("yaml", lambda: b"motions: [" + b"1:" * 60_000 + b"1.5]"),
    "yaml: many small values": ("yaml", lambda: b"motions: [" + b"a," * 60_000 + b"]"),
    "yaml: nested flow": ("yaml", lambda: b"{a: " * 20_000),
    "pth: a tensor of a petabyte over 16 bytes": ("pth", lambda: _tensor_program((2**40,), (1,))),
    "pth: the same bytes read as a petabyte": ("pth", lambda: _tensor_program((2**40,), (0,))),
    "pth: a storage of gigabytes that is not there": ("pth", lambda: _tensor_program((4,), (1,), 2**31 - 1)),
    "pth: members that lie on one another": ("pth", _overlapping_members),
    "pth: dicts that hold one another twice": ("pth_pickle", _shared_dicts),
    "pth: keys that collide": ("pth_pickle", _colliding_keys),
    "pth: a tuple that holds itself as a key": ("pth_pickle", _shared_tuples_as_key),
}  # fmt: skip


def compressed_checkpoint() -> bytes:
    """Many zeros in few bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in zip(("archive/data.pkl", "archive/data/0"), (targets.pickled_checkpoint(), bytes(2**25))):
            archive.writestr(name, data)
    return buffer.getvalue()


BOMBS["pth: storages that are compressed"] = ("pth", compressed_checkpoint)


def load_within_limits(names: Any, folder: Path) -> Dict[str, Any]:
    """Load bombs in this process, each with so much memory more; return what came out and how long it took."""
    found: Dict[str, Any] = {}
    for name in names:
        target, make = BOMBS[name]
        data = make()
        targets.attempt(targets.TARGETS[target], targets.TARGETS[target].seeds()[0], folder)  # everything is imported
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MAX_EXTRA_BYTES, resource.RLIM_INFINITY))
        started_s = time.process_time()
        try:
            outcome = _outcome(target, data, folder)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        found[name] = [outcome, time.process_time() - started_s]
    return found


def _outcome(target: str, data: bytes, folder: Path) -> str:
    try:
        targets.TARGETS[target].load(data, folder)
    except targets.UserError as error:
        return "refused: " + str(error)
    except BaseException as error:  # MemoryError among them: that is what is looked for
        return f"{type(error).__name__}: {error}"
    return "loaded"


if __name__ == "__main__":
    torch.set_num_threads(1)
    os.chdir(sys.argv[1])
    json.dump(load_within_limits(sorted(BOMBS), Path(sys.argv[2])), sys.stdout)
