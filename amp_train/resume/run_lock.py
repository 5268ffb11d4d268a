"""One training to a run directory at a time."""

import errno
import fcntl
import logging
import os
import socket
from pathlib import Path
from typing import Any, Optional, TextIO

from amp_train.errors import ConfigError

logger = logging.getLogger(__name__)

LOCK_NAME = ".lock"
TAKEN = (errno.EWOULDBLOCK, errno.EACCES)


class RunLock:
    """Holds a run directory for this process, as a context manager.

    The kernel drops the lock with the process, however that ends; the file stays and means nothing by itself. Over NFS
    it holds between machines.
    """

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / LOCK_NAME
        self._file: Optional[TextIO] = None

    def __enter__(self) -> "RunLock":
        """Take the lock.

        Raises:
            ConfigError: another process has it, or the directory cannot be written.
        """
        try:
            file = self._path.open("a+")
        except OSError as error:
            raise ConfigError(
                "Run directory '{}' cannot be written: {}.".format(self._path.parent, error.strerror)
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in TAKEN:
                holder = _holder(file)
                file.close()
                raise ConfigError(
                    "Run directory '{}' is in use by {}. Wait for it, or choose another experiment=.".format(
                        self._path.parent, holder
                    )
                ) from error
            logger.warning(
                "The file system of '%s' cannot lock (%s): do not start a second training in this directory.",
                self._path.parent,
                error.strerror,
            )
        self._file = file
        _sign(file)
        return self

    def __exit__(self, *_: Any) -> None:
        """Let go of the directory."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _sign(file: TextIO) -> None:
    """Note who holds the lock; on a full disk nobody is told."""
    try:
        file.truncate(0)
        file.write("process {} on {}\n".format(os.getpid(), socket.gethostname()))
        file.flush()
    except OSError as error:
        logger.warning("The holder of a run directory could not be noted: %s.", error.strerror)


def _holder(file: TextIO) -> str:
    file.seek(0)
    return file.read(200).strip() or "another process"
