"""Files that grow during a training: rows, rl_games' output, and tensorboard's events.

Each piece is written at once: everything reported before a checkpoint is in the file when it is saved. tensorboardX's
own writer queues events for a separate thread: after a crash up to two minutes are missing, the position of a
checkpoint in the file is unknown, and a full disk ends the thread, after which the training waits forever."""

import contextlib
import errno
import io
import logging
import os
import re
import socket
import struct
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple, Union

from tensorboardX import SummaryWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import masked_crc32c
from tensorboardX.summary import scalar

logger = logging.getLogger(__name__)

PREFIX = "events.out.tfevents."
EMPTY_BYTES = 64  # a file that contains only its version is smaller


class AppendFile:
    """Appends each piece completely or not at all. The first failure is a warning, later ones are counted.

    A full disk loses only the pieces that did not fit: nothing is buffered, and half-written pieces are cut off, so
    that the next piece starts on a new line.
    """

    def __init__(self, path: Union[str, Path], pieces: str = "rows") -> None:
        """Open a file, new or not.

        Args:
            pieces: their name, for warnings.

        Raises:
            OSError: it cannot be opened.
        """
        self._path, self._pieces, self.num_lost = Path(path), pieces, 0
        self._file = open(str(path), "ab", buffering=0)  # noqa: SIM115 (open for as long as the training runs)

    def append(self, piece: bytes) -> bool:
        """Append a piece; return whether it was written."""
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
        """Sync it to disk, if possible."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            self._warn_once(error)

    def close(self) -> None:
        """Close it and warn about lost pieces; closing again does nothing."""
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
            logger.warning("%s cannot be written; training continues: %s.", self._path, error.strerror or error)


class AppendText(io.TextIOBase):
    """A text stream to an AppendFile, for `print`."""

    def __init__(self, file: AppendFile) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._file.append(text.encode(errors="replace"))
        return len(text)


@contextlib.contextmanager
def stdout_to_file(path: Union[str, Path]) -> Iterator[None]:
    """Redirect prints to a file; a full disk does not make them fail."""
    with contextlib.closing(AppendFile(path, "lines")) as file, contextlib.redirect_stdout(AppendText(file)):
        yield


class EventFile:
    """Replaces a SummaryWriter for scalars; every session of a training has its own file."""

    def __init__(self, folder: Union[str, Path]) -> None:
        """Begin a file in a folder that exists.

        Raises:
            OSError: it cannot be opened.
        """
        self.folder = Path(folder)
        self._file = AppendFile(self.folder / _next_name(self.folder), "events")
        self._append(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def add_scalar(self, tag: str, value: Any, global_step: Optional[float] = None) -> None:
        """Append a scalar: a number, or a tensor or array of one."""
        step = None if global_step is None else int(global_step)
        self._append(Event(wall_time=time.time(), step=step, summary=scalar(tag, value)))

    def add_gif(self, tag: str, gif: bytes, size: Tuple[int, int], global_step: int) -> None:
        """Append an animated GIF of `size` (width, height) pixels, shown among tensorboard's images."""
        image = Summary.Image(width=size[0], height=size[1], colorspace=3, encoded_image_string=gif)
        summary = Summary(value=[Summary.Value(tag=tag, image=image)])
        self._append(Event(wall_time=time.time(), step=int(global_step), summary=summary))

    def flush(self) -> None:
        """Sync everything to disk."""
        self._file.sync()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _append(self, event: Event) -> None:
        """Append a record: its length, the length's checksum, the data and their checksum (TFRecord)."""
        data = event.SerializeToString()
        length = struct.pack("<Q", len(data))
        checksums = [struct.pack("<I", masked_crc32c(part)) for part in (length, data)]
        self._file.append(length + checksums[0] + data + checksums[1])


def _next_name(folder: Path) -> str:
    """Return a name that sorts last: tensorboard reads in this order, and the clock may have been set back."""
    beginnings = [path.name[len(PREFIX) :][:10] for path in _event_files(folder)]
    later_s = [int(text) + 1 for text in beginnings if re.fullmatch("[0-9]{10}", text)]
    return f"{PREFIX}{max([int(time.time()), *later_s]):010d}.{socket.gethostname()}"


def _event_files(folder: Union[str, Path]) -> List[Path]:
    return [path for path in Path(folder).glob(PREFIX + "*") if path.is_file()]


def event_file_instead_of(writer: Any) -> Any:
    """Replace a SummaryWriter that has written nothing yet; any other writer is returned unchanged."""
    if not isinstance(writer, SummaryWriter):
        return writer
    writer.close()
    for path in _event_files(writer.logdir):
        if path.stat().st_size < EMPTY_BYTES:
            path.unlink()
    return EventFile(writer.logdir)


def sizes_of_event_files(folder: Union[str, Path]) -> Dict[str, int]:
    """Return the current size in bytes of each event file, by name."""
    return {path.name: path.stat().st_size for path in _event_files(folder)}


def cut_event_files(folder: Union[str, Path], sizes: Mapping[str, int]) -> None:
    """Cut the files back to these sizes; files without a size are removed."""
    for path in _event_files(folder):
        size = sizes.get(path.name, 0)
        if size == 0:
            path.unlink()
        elif size < path.stat().st_size:
            with path.open("r+b") as file:
                file.truncate(size)
