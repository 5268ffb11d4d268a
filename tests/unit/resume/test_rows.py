"""Rows from after a checkpoint are taken back, and halves of rows."""

import csv
import json
import tracemalloc

import pytest

from amp_train.resume.rows import cut_metrics
from amp_train.telemetry import MetricsFiles


def write_rows(folder, iterations):
    files = MetricsFiles(folder)
    for iteration in iterations:
        files.write({"iteration": iteration, "disc_advice": 'a "b", c', "pose": None})
    files.close()


def iterations(folder):
    """Return the iterations in both files, which must agree."""
    with (folder / "metrics.csv").open(newline="") as file:
        in_csv = [int(row["iteration"]) for row in csv.DictReader(file)]
    in_jsonl = [json.loads(line)["iteration"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert in_csv == in_jsonl
    return in_csv


def test_rows_after_the_checkpoint_go_and_the_next_session_writes_them_anew(tmp_path):
    write_rows(tmp_path, range(1, 13))
    cut_metrics(tmp_path, 10)
    assert iterations(tmp_path) == list(range(1, 11))
    write_rows(tmp_path, (11, 12))
    assert iterations(tmp_path) == list(range(1, 13))


def test_a_row_that_a_crash_cut_short_goes(tmp_path):
    write_rows(tmp_path, (1, 2))
    for name, half in (("metrics.csv", b"3,advi"), ("metrics.jsonl", b'{"iteration": 3, "disc')):
        with (tmp_path / name).open("ab") as file:
            file.write(half)
    cut_metrics(tmp_path, 5)
    assert iterations(tmp_path) == [1, 2]


def test_a_training_that_begins_anew_begins_with_other_columns_if_it_likes(tmp_path):
    write_rows(tmp_path, (1, 2))
    cut_metrics(tmp_path, 0)
    files = MetricsFiles(tmp_path)
    files.write({"iteration": 1, "other": 2})
    files.close()
    assert (tmp_path / "metrics.csv").read_text().split() == ["iteration,other", "1,2"]


def test_a_run_without_metrics_has_nothing_to_cut(tmp_path):
    cut_metrics(tmp_path, 3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "line",
    ['{"iteration": 1e999}', '{"iteration": %s}' % ("9" * 10**6), "[" * 10**5, '{"iteration": []}', "\udc80", "5"],
    ids=["infinite", "long", "nested", "list", "bytes", "number"],
)
def test_a_line_that_is_no_row_goes_whatever_it_is(tmp_path, line):
    write_rows(tmp_path, (1, 2))
    for name, foreign in (("metrics.jsonl", line), ("metrics.csv", line.partition(": ")[2].rstrip("}") + ",x,y")):
        with (tmp_path / name).open("ab") as file:
            file.write(foreign.encode(errors="surrogateescape") + b"\n")
    cut_metrics(tmp_path, 10**18)
    assert iterations(tmp_path) == [1, 2]


def test_a_file_of_gigabytes_without_a_row_is_not_read_at_once(tmp_path):
    write_rows(tmp_path, (1,))
    for name in ("metrics.csv", "metrics.jsonl"):
        with (tmp_path / name).open("r+b") as file:
            file.truncate(2**27)  # a hole, which takes no room on the disk
    tracemalloc.start()
    cut_metrics(tmp_path, 5)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()
    assert iterations(tmp_path) == [1]
