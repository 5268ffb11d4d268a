"""Opening files whose name, or whose folder, comes from somebody else."""

import os
import re
import stat
from pathlib import Path
from typing import BinaryIO, Sequence

MAX_TEXT = 2000
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\u00a0-\ud7ff\ue000-\uffff]")


def printable(text: str) -> str:
    """Make foreign text safe for one line of a terminal or log: control characters out, length bounded."""
    return _UNPRINTABLE.sub("?", text[:MAX_TEXT])


class NotAFileError(OSError):
    """A folder, a named pipe or a device instead of a file."""


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; links are followed.

    A named pipe or a device would block, or never end: the type is checked after opening, without waiting for a writer,
    so that the file cannot be replaced in between.

    Raises:
        NotAFileError: not a regular file.
        OSError: it does not exist or may not be read.
        ValueError: an impossible file name.
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


def check_no_way_out(folder: Path, apart: Sequence[str] = ()) -> None:
    """Check that a folder contains only files, folders, and links that stay within it.

    Then no file that is opened in it for reading, cutting or writing is elsewhere, and none blocks.

    Args:
        folder: is looked through, with the folders in it.
        apart: names of folders in it that are not.

    Raises:
        NotAFileError: naming the first link out of the folder, named pipe, socket or device.
        OSError: the folder cannot be read.
    """
    inside, todo = os.path.realpath(folder), [str(folder)]
    while todo:
        with os.scandir(todo.pop()) as entries:
            for entry in entries:
                if entry.is_symlink():
                    target = os.path.realpath(entry.path)
                    if target != inside and not target.startswith(inside + os.sep):
                        raise NotAFileError(f"it contains a link out of it: '{_place(entry.path, folder)}'")
                elif entry.is_dir(follow_symlinks=False):
                    todo += [] if os.path.relpath(entry.path, folder) in apart else [entry.path]
                elif not entry.is_file(follow_symlinks=False):
                    raise NotAFileError(f"it contains a named pipe, socket or device: '{_place(entry.path, folder)}'")


def _place(path: str, folder: Path) -> str:
    return printable(os.path.relpath(path, folder))


def read_regular(path: Path, max_bytes: int) -> bytes:
    """Return a regular file's content, at most one byte more than `max_bytes`.

    Raises:
        OSError, ValueError: as `open_regular`.
    """
    with open_regular(path) as file:
        return file.read(max_bytes + 1)
