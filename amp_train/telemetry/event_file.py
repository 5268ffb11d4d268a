"""Tensorboard's file, written at once: what is reported before a checkpoint is in the file when it is saved.

tensorboardX's own writer keeps events in a queue and a buffer, and a thread of its own writes them: after a crash up to
two minutes are missing, nobody knows where in the file a checkpoint stood, and a full disk ends the thread, after which
the training waits for the queue for ever.
"""

import socket
import struct
import time
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Union

from tensorboardX import SummaryWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import masked_crc32c
from tensorboardX.summary import scalar

from amp_train.telemetry.append_file import AppendFile

PREFIX = "events.out.tfevents."
EMPTY_BYTES = 64  # a file with nothing but its version is smaller


class EventFile:
    """Stands in for a SummaryWriter as far as scalars go; every session of a training has a file of its own."""

    def __init__(self, folder: Union[str, Path]) -> None:
        """Begin a file in a folder that exists.

        Raises:
            OSError: it cannot be opened.
        """
        self.folder = Path(folder)
        # Tensorboard reads in the order of the names: by time, and within a second by number.
        number = len(list(self.folder.glob(PREFIX + "*"))) + 1
        name = "{}{:010d}.{}.{:06d}".format(PREFIX, int(time.time()), socket.gethostname(), number)
        self._file = AppendFile(self.folder / name, "events")
        self._append(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def add_scalar(self, tag: str, value: Any, global_step: Optional[float] = None) -> None:
        """Append a scalar: a number, or a tensor or array of one."""
        step = None if global_step is None else int(global_step)
        self._append(Event(wall_time=time.time(), step=step, summary=scalar(tag, value)))

    def flush(self) -> None:
        """Have everything on disk."""
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


def event_file_instead_of(writer: Any) -> Any:
    """Take the place of a SummaryWriter that has written nothing yet; any other writer is returned as it is."""
    if not isinstance(writer, SummaryWriter):
        return writer
    writer.close()
    for path in Path(writer.logdir).glob(PREFIX + "*"):
        if path.stat().st_size < EMPTY_BYTES:
            path.unlink()
    return EventFile(writer.logdir)


def sizes_of_event_files(folder: Union[str, Path]) -> Dict[str, int]:
    """Return how many bytes each event file has now, by name."""
    return {path.name: path.stat().st_size for path in Path(folder).glob(PREFIX + "*")}


def cut_event_files(folder: Union[str, Path], sizes: Mapping[str, int]) -> None:
    """Take away what was written since the files had these sizes; files that were not there yet are removed."""
    for path in Path(folder).glob(PREFIX + "*"):
        size = sizes.get(path.name, 0)
        if size == 0:
            path.unlink()
        elif size < path.stat().st_size:
            with path.open("r+b") as file:
                file.truncate(size)
