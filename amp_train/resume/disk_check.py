"""Whether a run directory can be written, found out before a simulator starts."""

import contextlib
import os
import tempfile
from pathlib import Path

from amp_train.errors import ConfigError

PROBE_BYTES = 1 << 20  # a full disk still takes an empty file


def check_writable(folder: Path) -> None:
    """Write a little where `folder` is, or is going to be, and take it away again.

    Raises:
        ConfigError: it cannot be written.
    """
    existing = next(path for path in [folder.absolute(), *folder.absolute().parents] if path.exists())
    try:
        _write_probe(existing)
    except OSError as error:
        raise ConfigError(
            "'{}' cannot be written: {}. Make room or give another train_dir=.".format(
                existing, error.strerror or error
            )
        ) from error


def _write_probe(folder: Path) -> None:
    descriptor, path = tempfile.mkstemp(prefix=".probe_", dir=str(folder))
    try:
        with open(descriptor, "wb", buffering=0) as file:
            written = file.write(bytes(PROBE_BYTES))
            file.write(bytes(PROBE_BYTES - written))  # says why the first was short
            os.fsync(descriptor)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)
