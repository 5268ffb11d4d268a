"""Reading the archives that `torch.save` writes, with every size checked against the file before memory is used.

`torch.load(weights_only=True)` runs no foreign code, but uses as much memory as a file requests: it may call
`torch.FloatTensor(n)` and `bytearray(n)`, unpack a compressed storage, or view one byte as a petabyte; and it does not
notice a flipped bit. Here a storage is as large as its bytes in the file, a tensor no larger than its storage, and
checksums are compared."""

import math
import os
import struct
import sys
import zipfile
from typing import Any, BinaryIO, Dict, Tuple, Union

import torch
from torch import Tensor

from amp_train.untrusted import PickleReader, StandIn

MAX_MEMBERS = 20_000
MAX_DIRECTORY_BYTES = 4 * 2**20
MAX_PICKLE_BYTES = 64 * 2**20
MAX_DIMS = 16
_BLOCK_BYTES = 2**20
_END, _END64, _LOCATOR = 22, 56, 20  # bytes of the records that end an archive


class NotAnArchiveError(ValueError):
    """The file does not end like an archive."""


def read_archive(file: BinaryIO, device: Any = "cpu") -> Any:
    """Return the content that `torch.save` wrote: containers, numbers, text and tensors.

    Raises:
        NotAnArchiveError: not an archive, or truncated.
        ValueError, zipfile.BadZipFile, OSError, RuntimeError: in one line, what is wrong with it.
    """
    file_bytes = _check_directory(file)
    with zipfile.ZipFile(file) as archive:
        members = _members(archive, file_bytes)
        roots = [name[: -len("data.pkl")] for name in members if name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise ValueError("is not a PyTorch checkpoint: it has no data.pkl")
        pickled = members[roots[0] + "data.pkl"]
        if pickled.file_size > MAX_PICKLE_BYTES:
            raise ValueError(f"is refused: its pickle has more than {MAX_PICKLE_BYTES // 2**20} MiB")
        storages = _Storages(archive, members, roots[0], torch.device(device))
        return _CheckpointReader(archive.read(pickled), storages).load()


def _check_directory(file: BinaryIO) -> int:
    """Check the size of the archive's directory before `zipfile` reads it; return the file's size.

    The end records must be where torch and zipfile write them, without a comment, so that two readers cannot find
    different directories."""
    size = file.seek(0, os.SEEK_END)
    tail_bytes = min(size, _END + _LOCATOR + _END64)
    file.seek(size - tail_bytes)
    tail = file.read(tail_bytes)
    file.seek(0)
    end = tail[-_END:]
    if len(end) < _END or end[:4] != b"PK\x05\x06" or end[-2:] != b"\0\0":
        raise NotAnArchiveError("is not an archive")
    members, directory_bytes = struct.unpack("<HI", end[10:16])
    locator, end64 = tail[-_END - _LOCATOR : -_END], tail[: -_END - _LOCATOR]
    if locator[:4] == b"PK\x06\x07":
        at = struct.unpack("<Q", locator[8:16])[0]
        if len(end64) < _END64 or end64[:4] != b"PK\x06\x06" or at != size - len(tail):
            raise NotAnArchiveError("is not an archive")
        members, directory_bytes = struct.unpack("<QQ", end64[32:48])
    if members > MAX_MEMBERS or directory_bytes > MAX_DIRECTORY_BYTES:
        raise ValueError(f"is refused: its archive has more than {MAX_MEMBERS} members")
    return size


def _members(archive: zipfile.ZipFile, file_bytes: int) -> Dict[str, zipfile.ZipInfo]:
    members: Dict[str, zipfile.ZipInfo] = {}
    names = set()
    for info in archive.infolist():
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise ValueError("is refused: its archive is compressed, which torch.save does not do")
        if info.filename.lower() in names:
            raise ValueError("is refused: its archive contains a name twice")
        names.add(info.filename.lower())
        members[info.filename] = info
    if sum(info.file_size for info in members.values()) > file_bytes:
        raise ValueError("is refused: its archive declares more than the file contains")
    return members


class _Storages:
    """The storages of an archive, each read once, however many tensors use it."""

    def __init__(
        self, archive: zipfile.ZipFile, members: Dict[str, zipfile.ZipInfo], root: str, device: torch.device
    ) -> None:
        self._archive, self._members, self._root, self._device = archive, members, root, device
        self._read: Dict[Tuple[str, torch.dtype], Tensor] = {}
        order = members.get(root + "byteorder")
        if order is not None and (order.file_size > 8 or archive.read(order) != sys.byteorder.encode()):
            raise ValueError("was written on a machine with another byte order")

    def get(self, key: str, dtype: torch.dtype, numel: int) -> Tensor:
        """Return a storage as a flat tensor on the device."""
        if (key, dtype) not in self._read:
            info = self._members.get(self._root + "data/" + key)
            if info is None or info.file_size != numel * _ITEM_BYTES[dtype]:
                raise ValueError("a storage does not have the declared size")
            if any(key == other for other, _ in self._read):
                raise ValueError("a storage has two types")
            self._read[key, dtype] = self._bytes_of(info, dtype).to(self._device)
        return self._read[key, dtype]

    def _bytes_of(self, info: zipfile.ZipInfo, dtype: torch.dtype) -> Tensor:
        content = torch.empty(info.file_size, dtype=torch.uint8)
        view, filled = memoryview(content.numpy()), 0  # type: ignore[arg-type]
        with self._archive.open(info) as stream:
            while filled < info.file_size:
                count = stream.readinto(view[filled : filled + _BLOCK_BYTES])  # type: ignore[attr-defined]
                if not count:
                    raise ValueError("a storage is truncated")
                filled += count
        # A bool that is neither 0 nor 1 counts differently in different kernels.
        return content != 0 if dtype == torch.bool else content.view(dtype)


class _CheckpointReader(PickleReader):
    """Reads a checkpoint's pickle, whose persistent ids are its storages."""

    def __init__(self, data: bytes, storages: _Storages) -> None:
        super().__init__(data, _STAND_INS)
        self._storages = storages

    def persistent(self, reference: Any) -> Tensor:
        kind, storage_type, key, _, numel = reference
        if kind != "storage" or not isinstance(storage_type, _StorageType) or type(key) is not str:
            raise ValueError("a reference to something other than a storage")
        if type(numel) is not int or numel < 0:
            raise ValueError("a storage of an impossible size")
        return self._storages.get(key, storage_type.dtype, numel)


class _StorageType(StandIn):
    """torch.FloatStorage and the like, which are only ever arguments"""

    __slots__ = ("dtype",)

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype


class _RebuildTensor(StandIn):
    """torch._utils._rebuild_tensor_v2"""

    __slots__ = ()

    def call(self, *arguments: Any) -> Tensor:
        """Return a tensor within its storage, without requires_grad and hooks."""
        storage, offset, size, stride = arguments[:4]
        if not isinstance(storage, Tensor) or type(size) is not tuple or type(stride) is not tuple:
            raise ValueError("a tensor that does not contain numbers")
        whole = all(type(n) is int and 0 <= n < 2**48 for n in (offset,) + size + stride)
        if not whole or len(size) != len(stride) or len(size) > MAX_DIMS:
            raise ValueError("a tensor of an impossible shape")
        last = offset + sum((n - 1) * step for n, step in zip(size, stride))
        numel = math.prod(size)
        if numel and (last >= len(storage) or numel > len(storage)):
            raise ValueError("a tensor is larger than its storage")
        if numel == 0:
            return torch.empty(size, dtype=storage.dtype, device=storage.device)
        empty = torch.empty(0, dtype=storage.dtype, device=storage.device)
        return empty.set_(storage.untyped_storage(), offset, size, stride)


class _RebuildParameter(StandIn):
    """torch._utils._rebuild_parameter"""

    __slots__ = ()

    def call(self, *arguments: Any) -> Any:
        return arguments[0]


class _OrderedDict(dict, StandIn):
    """collections.OrderedDict with, on a state dict, versions of modules as attributes"""

    __slots__ = ()

    def set_state(self, state: Any) -> None:
        """Ignore the attributes."""


class _MakeOrderedDict(StandIn):
    __slots__ = ()

    def call(self, *arguments: Any) -> Any:
        if arguments:
            raise ValueError("an OrderedDict with content")
        return _OrderedDict()


class _ScalarType(StandIn):
    """numpy.dtype of a number: its code ('f8') and byte order, and nothing else"""

    __slots__ = ("code", "order")

    def __init__(self, code: Any) -> None:
        self.code, self.order = code, "<"

    def set_state(self, state: Any) -> None:
        self.order = ">" if state[1] == ">" else "<"


class _MakeScalarType(StandIn):
    __slots__ = ()

    def call(self, *arguments: Any) -> Any:
        return _ScalarType(arguments[0])


class _Scalar(StandIn):
    """numpy.core.multiarray.scalar: becomes a plain Python number, whichever numpy wrote it"""

    __slots__ = ()

    def call(self, *arguments: Any) -> Union[float, int, bool]:
        scalar_type, content = arguments
        if scalar_type.code not in _STRUCT_CODES:
            raise ValueError(f"a numpy scalar of type {scalar_type.code!r:.20}")
        return struct.unpack(scalar_type.order + _STRUCT_CODES[scalar_type.code], content)[0]


class _Encode(StandIn):
    """_codecs.encode: how protocol 2 writes bytes"""

    __slots__ = ()

    def call(self, *arguments: Any) -> bytes:
        text, encoding = arguments
        if encoding not in ("latin1", "latin-1"):
            raise ValueError("unexpected encoding")
        return text.encode("latin1")


_STRUCT_CODES = {
    "f8": "d", "f4": "f", "f2": "e", "i8": "q", "i4": "i", "i2": "h", "i1": "b",
    "u8": "Q", "u4": "I", "u2": "H", "u1": "B", "b1": "?",
}  # fmt: skip
_STORAGE_TYPES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip
_ITEM_BYTES = {dtype: torch.empty(0, dtype=dtype).element_size() for dtype in _STORAGE_TYPES.values()}
# The names that rl_games' and this project's checkpoints use. Without a __dict__, so that they keep no state.
_STAND_INS: Dict[Tuple[str, str], StandIn] = {
    ("torch._utils", "_rebuild_tensor_v2"): _RebuildTensor(),
    ("torch._utils", "_rebuild_parameter"): _RebuildParameter(),
    ("collections", "OrderedDict"): _MakeOrderedDict(),
    ("numpy", "dtype"): _MakeScalarType(),
    ("numpy.core.multiarray", "scalar"): _Scalar(),
    ("numpy._core.multiarray", "scalar"): _Scalar(),
    ("_codecs", "encode"): _Encode(),
}
_STAND_INS.update({("torch", name): _StorageType(dtype) for name, dtype in _STORAGE_TYPES.items()})
