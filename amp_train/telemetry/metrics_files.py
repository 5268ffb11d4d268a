"""Metrics as files: `metrics.csv` for a spreadsheet and `metrics.jsonl` for a program, a row an iteration."""

import csv
import io
import json
from pathlib import Path
from typing import Any, List, Sequence, Union

from amp_train.telemetry.append_file import AppendFile
from amp_train.telemetry.sinks import Row, RowSink


class MetricsFiles(RowSink):
    """Appends to both files in a run directory; every row is on disk before the next iteration."""

    def __init__(self, run_dir: Union[str, Path]) -> None:
        csv_path = Path(run_dir) / "metrics.csv"
        self._columns: List[str] = _columns_of(csv_path)
        self._csv, self._jsonl = AppendFile(csv_path), AppendFile(Path(run_dir) / "metrics.jsonl")

    def write(self, row: Row) -> None:
        """Append a row. The CSV keeps the columns it began with."""
        if not self._columns and self._csv.append(_csv_line(list(row))):
            self._columns = list(row)
        if self._columns:
            self._csv.append(_csv_line([row.get(name) for name in self._columns]))
        self._jsonl.append(json.dumps(row).encode() + b"\n")

    def sync(self) -> None:
        self._csv.sync()
        self._jsonl.sync()

    def close(self) -> None:
        self._csv.close()
        self._jsonl.close()


def _csv_line(values: Sequence[Any]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(values)
    return line.getvalue().encode()


def _columns_of(path: Path) -> List[str]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return next(csv.reader(file), [])
