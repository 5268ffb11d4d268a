"""Sinks of measurements: their interface, the metrics files, and a tee for tensorboard's scalars."""

import contextlib
import csv
import io
import json
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Union

from amp_train.telemetry.files import AppendFile

MAX_HEADER_BYTES = 1 << 16  # of a CSV
# rl_games writes rewards and lengths three times, over frames, epochs and seconds; the first is enough elsewhere.
OTHER_AXES = ("/iter", "/time")

# A number, a word, or None if nothing was measured.
Row = Dict[str, Any]


class RowSink:
    """Receives one row of plain numbers and words per iteration; None if nothing was measured."""

    def start(self, iteration: int, max_iterations: int) -> None:
        """Begin after `iteration` iterations, 0 for a new training."""

    def write(self, row: Row) -> None:
        """Take the row of one iteration."""

    def sync(self) -> None:
        """Sync to disk."""

    def close(self) -> None:
        """Release files and displays."""


class ScalarSink:
    """Takes the scalars that also go to tensorboard."""

    def log(self, scalars: Dict[str, float], step: int) -> None:
        """Take the scalars of one step, in samples."""

    def close(self) -> None:
        """Send the remaining scalars."""


class MetricsFiles(RowSink):
    """Appends to both metrics files of a run; every row is written before the next iteration."""

    def __init__(self, run_dir: Union[str, Path]) -> None:
        csv_path = Path(run_dir) / "metrics.csv"
        self._columns: List[str] = _columns_of(csv_path)
        self._csv, self._jsonl = AppendFile(csv_path), AppendFile(Path(run_dir) / "metrics.jsonl")

    def write(self, row: Row) -> None:
        """Append a row. The CSV keeps its first columns."""
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
    with path.open("rb") as file:
        return next(csv.reader([file.readline(MAX_HEADER_BYTES).decode(errors="replace")]), [])


class ScalarTee:
    """Replaces a SummaryWriter; the scalars of one step reach the sink together."""

    def __init__(self, writer: Any, sink: ScalarSink) -> None:
        self._writer, self._sink = writer, sink
        self._scalars: Dict[str, float] = {}
        self._step: Optional[int] = None

    def add_scalar(self, tag: str, value: Any, global_step: Any = None, *args: Any, **kwargs: Any) -> None:
        """Write a scalar to tensorboard and remember it for the sink."""
        self._writer.add_scalar(tag, value, global_step, *args, **kwargs)
        if global_step is None or tag.endswith(OTHER_AXES):
            return
        if global_step != self._step:
            self._hand_on()
            self._step = int(global_step)
        with contextlib.suppress(TypeError, ValueError):  # other than single numbers: tensorboard only
            self._scalars[tag] = float(value)

    def flush(self) -> None:
        """Pass on the remaining scalars and sync tensorboard to disk."""
        self._hand_on()
        self._writer.flush()

    def close(self) -> None:
        """Pass on the remaining scalars and close the writer."""
        self._hand_on()
        self._writer.close()

    def _hand_on(self) -> None:
        if self._scalars and self._step is not None:
            self._sink.log(self._scalars, self._step)
        self._scalars = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)
