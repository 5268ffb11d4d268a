"""Taking back the rows that a training wrote after the checkpoint from which it is continued."""

import json
from pathlib import Path
from typing import Callable, List, Optional, Union

from amp_train.checkpoint.atomic import write_atomically

COLUMN = "iteration"


def cut_metrics(run_dir: Union[str, Path], iteration: int) -> None:
    """Leave the rows up to `iteration` in metrics.csv and metrics.jsonl; a row that a crash cut short goes too."""
    csv_lines = _lines(Path(run_dir) / "metrics.csv")
    columns = csv_lines[0].decode(errors="replace").strip().split(",") if csv_lines else []
    place = columns.index(COLUMN) if COLUMN in columns else None
    _cut(Path(run_dir) / "metrics.csv", iteration, lambda line: _csv_iteration(line, place), csv_lines[:1])
    _cut(Path(run_dir) / "metrics.jsonl", iteration, _json_iteration, [])


def _lines(path: Path) -> List[bytes]:
    return path.read_bytes().splitlines(keepends=True) if path.is_file() else []


def _cut(path: Path, last: int, iteration_of: Callable[[bytes], Optional[int]], header: List[bytes]) -> None:
    """Rewrite a file with its header and the rows whose iteration can be read and is not too late."""
    if not path.is_file():
        return
    rows = []
    for line in _lines(path)[len(header) :]:
        iteration = iteration_of(line) if line.endswith(b"\n") else None
        if iteration is not None and iteration <= last:
            rows.append(line)
    content = b"".join(header + rows if rows else [])
    write_atomically(path, lambda file: file.write(content))


def _csv_iteration(line: bytes, place: Optional[int]) -> Optional[int]:
    try:
        return None if place is None else int(line.decode().strip().split(",")[place])
    except (ValueError, IndexError):
        return None


def _json_iteration(line: bytes) -> Optional[int]:
    try:
        return int(json.loads(line.decode())[COLUMN])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
