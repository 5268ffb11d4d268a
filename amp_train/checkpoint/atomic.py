"""Writing a file so that a crash leaves either the old or the new one, and handling disk errors."""

import contextlib
import hashlib
import logging
import os
from pathlib import Path
from typing import Any, BinaryIO, Callable, NamedTuple, Optional, Union

from amp_train.errors import SaveError
from amp_train.untrusted import open_regular

logger = logging.getLogger(__name__)

PARTIAL_SUFFIX = ".partial"
READ_BYTES = 1 << 20


class Digest(NamedTuple):
    """What a file must be: its size in bytes and its sha256 in hexadecimal."""

    num_bytes: int
    sha256: str


class _DigestingFile:
    """A binary file that is only written to, and computes the digest of what was written."""

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
    """Write a file under a temporary name, sync it, and only then give it its name.

    Args:
        path: where; a file already there is replaced.
        write: gets the open binary file.

    Returns:
        The digest of what was written.

    Raises:
        OSError: the disk is full or may not be written; no partial file is left, and an existing file is untouched.
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
    """Write; raise the disk's own error, which torch.save turns into a RuntimeError about positions."""
    try:
        write(file)
    except RuntimeError as error:
        if file.error is None:
            raise
        raise file.error from error


def sync_directory(path: Union[str, Path]) -> None:
    """Sync a directory to disk, if its file system can do that."""
    with contextlib.suppress(OSError):  # some network file systems refuse to sync a directory
        descriptor = os.open(str(path), os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def digest_of(path: Union[str, Path]) -> Digest:
    """Read a file through and return its digest."""
    sha256, num_bytes = hashlib.sha256(), 0
    with open_regular(Path(path)) as file:
        for block in iter(lambda: file.read(READ_BYTES), b""):
            sha256.update(block)
            num_bytes += len(block)
    return Digest(num_bytes, sha256.hexdigest())


def remove_partial_files(folder: Union[str, Path]) -> int:
    """Remove files that a crash left half written in a folder; return their number."""
    partial = [path for path in Path(folder).glob("*" + PARTIAL_SUFFIX) if not path.is_dir()]
    for path in partial:
        path.unlink()
    return len(partial)


MAX_IN_A_ROW = 5


def failure_of(save: Callable[[], Any]) -> Optional[str]:
    """Save something; return None, or in a few words why that failed."""
    try:
        save()
    except OSError as error:
        place = f": '{error.filename}'" if error.filename else ""
        return f"{error.strerror or error}{place}"
    return None


class SaveFaults:
    """Counts consecutive failed saves.

    Args:
        what: is saved, for the messages.
        max_in_a_row: this many failures end the training; None: none do, and only the first in a row is logged.
    """

    def __init__(self, what: str, max_in_a_row: Optional[int] = MAX_IN_A_ROW) -> None:
        self._what, self._max_in_a_row = what, max_in_a_row
        self._in_a_row = 0
        self._reason = ""

    def note(self, failure: Optional[str]) -> None:
        """Count the outcome of a save, as `failure_of` returns it.

        Raises:
            SaveError: it was one failure too many.
        """
        if failure is None:
            self._in_a_row = 0
            return
        self._in_a_row += 1
        self._reason = failure
        if self._in_a_row == self._max_in_a_row:
            self.check_end()
        if self._max_in_a_row is None and self._in_a_row > 1:
            return
        logger.warning(
            "The %s could not be saved (%s). The previous one is intact; training continues and tries again.",
            self._what,
            failure,
        )

    def check_end(self) -> None:
        """Check that nothing is lost if the training ends now.

        Raises:
            SaveError: the last save failed.
        """
        if self._in_a_row:
            raise SaveError(
                f"The {self._what} could not be saved {self._in_a_row} time(s) in a row: {self._reason}. What was "
                "trained since the last checkpoint is lost. Free space or make the folder writable, and continue from "
                "the last checkpoint."
            )
