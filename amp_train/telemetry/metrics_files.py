"""Metrics as files: `metrics.csv` for a spreadsheet and `metrics.jsonl` for a program, a row an iteration."""

import csv
import json
from pathlib import Path
from typing import List, Union

from amp_train.telemetry.sinks import Row, RowSink


class MetricsFiles(RowSink):
    """Appends to both files in a run directory; every row is on disk before the next iteration."""

    def __init__(self, run_dir: Union[str, Path]) -> None:
        self._csv_path = Path(run_dir) / "metrics.csv"
        self._columns: List[str] = _columns_of(self._csv_path)
        self._csv = self._csv_path.open("a", newline="", buffering=1)
        self._jsonl = (Path(run_dir) / "metrics.jsonl").open("a", buffering=1)

    def write(self, row: Row) -> None:
        """Append a row. The CSV keeps the columns it began with."""
        if not self._columns:
            self._columns = list(row)
            csv.writer(self._csv).writerow(self._columns)
        csv.DictWriter(self._csv, self._columns, extrasaction="ignore").writerow(row)
        self._jsonl.write(json.dumps(row) + "\n")

    def close(self) -> None:
        self._csv.close()
        self._jsonl.close()


def _columns_of(path: Path) -> List[str]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return next(csv.reader(file), [])
