"""Files that grow by whole pieces, and whose failures do not end a training."""

import errno
import io
import logging
import os
from pathlib import Path
from typing import Union

logger = logging.getLogger(__name__)


class AppendFile:
    """Appends a piece wholly or not at all. The first failure is a warning, the others are counted.

    A full disk must cost no more than the pieces that did not fit: nothing is held back in a buffer, and half of a
    piece is cut off again, so that what is appended after the disk has room stands on a line of its own.
    """

    def __init__(self, path: Union[str, Path], pieces: str = "rows") -> None:
        """Open a file, new or not.

        Args:
            pieces: what it is made of, for the warnings.

        Raises:
            OSError: it cannot be opened.
        """
        self._path, self._pieces, self.num_lost = Path(path), pieces, 0
        self._file = open(str(path), "ab", buffering=0)  # noqa: SIM115 (open for as long as the training runs)

    def append(self, piece: bytes) -> bool:
        """Append a piece; return whether it is in the file."""
        try:
            end = os.fstat(self._file.fileno()).st_size
            written = self._file.write(piece)
            if written != len(piece):
                self._file.truncate(end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self._lose(error)
            return False
        return True

    def sync(self) -> None:
        """Have it on disk, as far as that can be done."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            self._warn_once(error)

    def close(self) -> None:
        """Close it and say what was lost; closing again does nothing."""
        if self._file.closed:
            return
        try:
            self._file.close()
        except OSError as error:
            self._warn_once(error)
        if self.num_lost:
            logger.warning("%s lacks %d %s that could not be written.", self._path, self.num_lost, self._pieces)

    def _lose(self, error: OSError) -> None:
        self._warn_once(error)
        self.num_lost += 1

    def _warn_once(self, error: OSError) -> None:
        if not self.num_lost:
            logger.warning("%s cannot be written, the training goes on: %s.", self._path, error.strerror or error)


class AppendText(io.TextIOBase):
    """A text stream to an AppendFile, for `print`."""

    def __init__(self, file: AppendFile) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._file.append(text.encode(errors="replace"))
        return len(text)
