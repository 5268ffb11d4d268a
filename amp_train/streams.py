"""Output streams may close (a closed window, `| head -1`, a closed descriptor): the program continues without them."""

import contextlib
import os
import sys
from typing import Any, Iterator, Optional, TextIO

DESCRIPTORS = (0, 1, 2)  # stdin, stdout, stderr


class LenientStream:
    """A stream whose reader may end, be closed, or have a full disk: after that, output is discarded."""

    def __init__(self, stream: Optional[TextIO], descriptor: Optional[int] = None) -> None:
        """Take a stream.

        Args:
            stream: None: there was none when the program was started.
            descriptor: the stream's, which is sent to nowhere after the first failure: what Python has buffered would
                fail again when it ends. None: it belongs to somebody else.
        """
        self._stream = open(os.devnull, "w") if stream is None else stream  # noqa: SIM115
        self._descriptor = descriptor

    def write(self, text: str) -> int:
        """Write, or do nothing."""
        with self._lenient():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or do nothing."""
        with self._lenient():
            self._stream.flush()

    @contextlib.contextmanager
    def _lenient(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            if self._descriptor is not None:
                _to_nowhere(self._descriptor)  # the buffer would fail again at exit
        except ValueError:  # closed
            pass

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def lasting_streams() -> Iterator[None]:
    """Keep stdin, stdout and stderr open, and ignore failures to write to them.

    A closed descriptor is opened to /dev/null: otherwise the next file that is opened would take its number, and
    receive what is printed.
    """
    for descriptor in DESCRIPTORS:
        if not _is_open(descriptor):
            _to_nowhere(descriptor)
    former = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_lenient(stream, number) for stream, number in zip(former, (1, 2)))
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = former


def _lenient(stream: Any, descriptor: int) -> Any:
    if stream is None:  # it was closed when Python started
        stream = os.fdopen(descriptor, "w", closefd=False)
    return LenientStream(stream, descriptor)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _to_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
    os.set_inheritable(descriptor, True)
