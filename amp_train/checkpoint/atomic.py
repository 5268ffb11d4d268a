"""Writing a file so that a crash at any moment leaves either the former one or the new one, whole."""

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Any, BinaryIO, Callable, NamedTuple, Optional, Union

PARTIAL_SUFFIX = ".partial"
READ_BYTES = 1 << 20


class Digest(NamedTuple):
    """What a file must be: its size in bytes and its sha256 in hexadecimal."""

    num_bytes: int
    sha256: str


class _DigestingFile:
    """A binary file that is only written to, and knows the digest of what went through."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._sha256, self._num_bytes = file, hashlib.sha256(), 0
        self.error: Optional[OSError] = None

    def write(self, data: Any) -> int:
        try:
            written = self._file.write(data)
        except OSError as error:
            self.error = error
            raise
        self._sha256.update(data)
        self._num_bytes += written
        return written

    def flush(self) -> None:
        self._file.flush()

    @property
    def digest(self) -> Digest:
        return Digest(self._num_bytes, self._sha256.hexdigest())


def write_atomically(path: Union[str, Path], write: Callable[[Any], Any]) -> Digest:
    """Write a file beside its place, have it on disk, and only then give it its name.

    Args:
        path: where; a file already there is replaced.
        write: gets the open binary file.

    Returns:
        The digest of what was written.

    Raises:
        OSError: the disk is full or may not be written; no partial file is left, and a former file is untouched.
    """
    path = Path(path)
    partial = path.with_name(path.name + PARTIAL_SUFFIX)
    try:
        with partial.open("wb") as file:
            digesting = _DigestingFile(file)
            _write_or_say_why(write, digesting)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
    sync_directory(path.parent)
    return digesting.digest


def _write_or_say_why(write: Callable[[Any], Any], file: _DigestingFile) -> None:
    """Write; raise what the disk said, which torch.save turns into a RuntimeError about positions."""
    try:
        write(file)
    except RuntimeError as error:
        if file.error is None:
            raise
        raise file.error from error


def sync_directory(path: Union[str, Path]) -> None:
    """Have the names in a directory on disk, where its file system can do that."""
    with contextlib.suppress(OSError):  # some network file systems refuse to sync a directory
        descriptor = os.open(str(path), os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def digest_of(path: Union[str, Path]) -> Digest:
    """Read a file through and return its digest."""
    sha256, num_bytes = hashlib.sha256(), 0
    with Path(path).open("rb") as file:
        for block in iter(lambda: file.read(READ_BYTES), b""):
            sha256.update(block)
            num_bytes += len(block)
    return Digest(num_bytes, sha256.hexdigest())


def remove_partial_files(folder: Union[str, Path]) -> int:
    """Remove what a crash left half written in a folder; return how many files that were."""
    partial = list(Path(folder).glob("*" + PARTIAL_SUFFIX))
    for path in partial:
        path.unlink()
    return len(partial)
