"""Reading `.npy` arrays and `.npz` archives: sizes are checked before memory is used, nothing is unpickled."""

import ast
import io
import math
import struct
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Tuple

import numpy as np

from amp_train.errors import MotionError
from amp_train.untrusted.files import NotAFileError, printable, read_regular

NPY_MAGIC = b"\x93NUMPY"
ZIP_MAGIC = b"PK\x03\x04"
MAX_FILE_BYTES = 64 * 1024 * 1024
_MAX_HEADER_BYTES = 4096
_MAX_DIMS = 4
_MAX_MEMBERS = 32
_MAX_DIRECTORY_BYTES = 64 * 1024
_ZIP_FAILURES = (zipfile.BadZipFile, zlib.error, OSError, EOFError, struct.error, ValueError, RuntimeError, KeyError)


def read_file(path: Path, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Read a regular file of at most `max_bytes`."""
    try:
        data = read_regular(path, max_bytes)
    except (FileNotFoundError, NotAFileError):
        raise MotionError(f"Motion file '{printable(str(path))}' does not exist or is not a file.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MotionError(f"Motion file '{printable(str(path))}' cannot be read: {reason}.") from None
    if len(data) > max_bytes:
        raise MotionError(f"Motion file '{printable(str(path))}' is larger than the {max_bytes // 2**20} MiB allowed.")
    return data


def parse_npz(data: bytes, what: str, names: Optional[Sequence[str]] = None) -> Dict[str, np.ndarray]:
    """Return the arrays in the bytes of a `.npz` archive, stored or deflated.

    Args:
        data: the file's content.
        what: name of the file in errors.
        names: which members to read; missing ones are left out. None: all of them.

    Raises:
        MotionError: no such archive, truncated, larger than `MAX_FILE_BYTES` when unpacked, or a member that is refused
            by `parse_npy`.
    """
    _check_directory(data, what)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {info.filename[: -len(".npy")]: info for info in archive.infolist()}
            wanted = {name: info for name, info in members.items() if names is None or name in names}
            _check_members(list(wanted.values()), what)
            return {name: parse_npy(archive.read(info), f"{what}: {printable(name)}") for name, info in wanted.items()}
    except _ZIP_FAILURES as error:
        raise MotionError(f"{what} is not a readable .npz archive: {printable(str(error))[:160]}.") from None


def _check_directory(data: bytes, what: str) -> None:
    """Check the size of the archive's directory before `zipfile` reads it.

    Its end record is the last 22 bytes where there is no comment; a zip64 locator before it could declare more."""
    end = data[-22:]
    if len(end) < 22 or end[:4] != b"PK\x05\x06":
        raise MotionError(f"{what} is not a complete .npz archive; it may be truncated.")
    members, size = struct.unpack("<HI", end[10:16])
    if members > _MAX_MEMBERS or size > _MAX_DIRECTORY_BYTES or data[-42:-38] == b"PK\x06\x07":
        raise MotionError(f"{what} has more members than a motion clip.")


def _check_members(members: Sequence[zipfile.ZipInfo], what: str) -> None:
    if sum(info.file_size for info in members) > MAX_FILE_BYTES:
        raise MotionError(f"{what} unpacks to more than the {MAX_FILE_BYTES // 2**20} MiB allowed.")
    if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in members):
        raise MotionError(f"{what} has a compression that .npz does not use.")


def parse_npy(data: bytes, what: str) -> np.ndarray:
    """Return the array of numbers or text in the bytes of a `.npy` file.

    Raises:
        MotionError: not such a file, an array of objects, or a declared shape that does not match the file.
    """
    dtype, shape, fortran_order, start = parse_npy_header(data, what)
    if dtype.kind not in "biufU":
        raise MotionError(f"{what} contains {_kind(dtype)} instead of numbers or text.")
    return build_array(dtype, shape, fortran_order, data[start:], what)


def parse_npy_header(data: bytes, what: str) -> Tuple[np.dtype, Tuple[int, ...], bool, int]:
    """Return (dtype, shape, fortran_order, start of the data) declared by the bytes of a `.npy` file."""
    broken = MotionError(f"{what} is not a valid .npy array, or is truncated.")
    if data[:6] != NPY_MAGIC or len(data) < 12 or data[6] not in (1, 2, 3):
        raise broken
    start, form = (10, "<H") if data[6] == 1 else (12, "<I")
    (length,) = struct.unpack(form, data[8:start])
    if length > min(_MAX_HEADER_BYTES, len(data) - start) or b"\\" in data[start : start + length]:
        raise broken
    try:
        header = ast.literal_eval(data[start : start + length].decode("latin1").strip())
        shape, dtype = header["shape"], parse_dtype(header["descr"], what)
        fortran_order = bool(header["fortran_order"])
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError):
        raise broken from None
    return dtype, shape, fortran_order, start + length


def parse_dtype(descr: Any, what: str) -> np.dtype:
    """Build a plain dtype from its description; structured ones are refused."""
    if not isinstance(descr, str) or len(descr) > 16 or "," in descr:
        raise MotionError(f"{what} contains a structured array instead of plain numbers.")
    try:
        return np.dtype(descr)
    except (TypeError, ValueError, OverflowError):
        raise MotionError(f"{what} contains an array of unknown type {printable(descr)!r}.") from None


def build_array(dtype: np.dtype, shape: Any, fortran_order: bool, data: bytes, what: str) -> np.ndarray:
    """View `data` as an array, if the declared shape matches the bytes exactly."""
    whole = isinstance(shape, tuple) and all(isinstance(n, int) and n >= 0 for n in shape)
    if not whole or len(shape) > _MAX_DIMS or dtype.itemsize == 0 or math.prod(shape) * dtype.itemsize != len(data):
        text = printable(repr(shape)[:80]) if whole else "of an unexpected kind"
        raise MotionError(f"{what} declares an array of shape {text}, but contains {len(data)} bytes of data.")
    if dtype.kind == "U" and np.frombuffer(data, dtype=dtype.byteorder + "u4").max(initial=0) > sys.maxunicode:
        raise MotionError(f"{what} contains invalid text: a character beyond Unicode.")
    return np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if fortran_order else "C")


def _kind(dtype: np.dtype) -> str:
    return "pickled Python objects" if dtype.hasobject else f"values of type {dtype}"
