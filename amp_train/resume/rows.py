"""Removing the rows that a training wrote after the checkpoint that it resumes from."""

import json
from pathlib import Path
from typing import Any, BinaryIO, Callable, Iterator, Optional, Union

from amp_train.checkpoint.atomic import write_atomically

COLUMN = "iteration"
MAX_LINE_BYTES, MAX_DIGITS = 1 << 20, 18


def cut_metrics(run_dir: Union[str, Path], iteration: int) -> None:
    """Keep the rows up to `iteration` in metrics.csv and metrics.jsonl; a truncated row is removed too."""
    _cut(Path(run_dir) / "metrics.csv", iteration, _csv_reader)
    _cut(Path(run_dir) / "metrics.jsonl", iteration, lambda file: (b"", _json_iteration))


def _cut(path: Path, last: int, reader: Callable[[BinaryIO], Any]) -> None:
    """Rewrite a file with its header and the rows whose iteration can be read and is not too late."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        header, iteration_of = reader(file)
        write_atomically(path, lambda out: _copy(file, out, header, lambda line: _is_kept(iteration_of(line), last)))


def _copy(file: BinaryIO, out: Any, header: bytes, is_kept: Callable[[bytes], bool]) -> None:
    for line in _whole_lines(file):
        if is_kept(line):
            out.write(header + line)
            header = b""


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    for line in iter(lambda: file.readline(MAX_LINE_BYTES), b""):
        if line.endswith(b"\n"):
            yield line


def _is_kept(iteration: Optional[int], last: int) -> bool:
    return iteration is not None and iteration <= last


def _csv_reader(file: BinaryIO) -> Any:
    """Return a CSV's header, and a function that reads a row's iteration."""
    header = file.readline(MAX_LINE_BYTES)
    columns = header.decode(errors="replace").strip().split(",")
    place = columns.index(COLUMN) if COLUMN in columns else None

    def iteration_of(line: bytes) -> Optional[int]:
        try:
            return None if place is None else _short_int(line.decode().strip().split(",")[place])
        except (ValueError, IndexError):
            return None

    return header, iteration_of


def _json_iteration(line: bytes) -> Optional[int]:
    try:
        return int(json.loads(line.decode(), parse_int=_short_int)[COLUMN])
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None


def _short_int(digits: str) -> int:
    """Read an integer; a million digits would take long."""
    if len(digits) > MAX_DIGITS:
        raise ValueError("too many digits")
    return int(digits)
