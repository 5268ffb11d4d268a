"""Opening files by a name that somebody else chose."""

import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

MAX_TEXT = 2000
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\u00a0-\ud7ff\ue000-\uffff]")


def printable(text: str) -> str:
    """Make foreign text safe for one line of a terminal or log: control characters out, length bounded."""
    return _UNPRINTABLE.sub("?", text[:MAX_TEXT])


class NotAFileError(OSError):
    """A folder, a named pipe or a device where a file belongs."""


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; links are followed.

    A named pipe or a device would block, or never end: it is told from a file after opening, without waiting for a
    writer, so that nobody can exchange the one for the other in between.

    Raises:
        NotAFileError: something else than a regular file.
        OSError: it does not exist or may not be read.
        ValueError: no possible name of a file.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOCTTY", 0)
    descriptor = os.open(str(path), flags)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotAFileError("it is not a regular file")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path, max_bytes: int) -> bytes:
    """Return a regular file's content, at most one byte more than `max_bytes`.

    Raises:
        OSError, ValueError: as `open_regular`.
    """
    with open_regular(path) as file:
        return file.read(max_bytes + 1)
