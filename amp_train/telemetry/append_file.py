"""Files that grow by whole pieces, and whose failures do not end a training."""

import errno
import io
import logging
import os
from pathlib import Path
from typing import Any, Union

from tensorboardX import SummaryWriter

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


class AppendRecords:
    """Stands in for tensorboardX's RecordWriter, whose failure would end the thread that reads its queue: once the
    queue is full, the training would wait for it for ever.

    A record is its length, the length's checksum, the data and their checksum (TFRecord).
    """

    def __init__(self, record_writer: Any, file: AppendFile) -> None:
        self._record_writer, self._file = record_writer, file
        record_writer._writer = _Gather()

    def write(self, data: bytes) -> None:
        """Append one event."""
        self._record_writer.write(data)
        self._file.append(self._record_writer._writer.take())

    def flush(self) -> None:
        self._file.sync()

    def close(self) -> None:
        self._file.close()


class _Gather(io.RawIOBase):
    """Collects what is written piecemeal."""

    def __init__(self) -> None:
        self._parts = bytearray()

    def write(self, data: Any) -> int:
        self._parts += data
        return len(data)

    def take(self) -> bytes:
        """Return what was written since the last call."""
        taken = bytes(self._parts)
        self._parts.clear()
        return taken


def guard_event_file(summary_writer: Any) -> None:
    """Let a tensorboardX SummaryWriter outlive a disk that cannot be written; leave any other writer as it is."""
    if not isinstance(summary_writer, SummaryWriter):
        return
    events = summary_writer._get_file_writer().event_writer._ev_writer
    with events._lock:
        records = events._py_recordio_writer
        file = AppendFile(records.path, "events")
        try:
            records._writer.close()
        except OSError as error:
            file._warn_once(error)
        events._py_recordio_writer = AppendRecords(records, file)
