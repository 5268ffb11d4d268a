"""A disk that cannot be written costs rows, never the training, and never half a row."""

import errno

from amp_train.telemetry import MetricsFiles, stdout_to_file
from amp_train.telemetry.files import AppendFile

FULL = OSError(errno.ENOSPC, "No space left on device")


class FullDisk:
    """Wraps a raw file that takes `room` more bytes, then none."""

    def __init__(self, file, room):
        self._file, self.room, self.num_writes = file, room, 0

    def write(self, data):
        self.num_writes += 1
        taken = min(len(data), self.room)
        if taken == 0:
            raise FULL
        self.room -= taken
        return self._file.write(data[:taken])

    def __getattr__(self, name):
        return getattr(self._file, name)


def fill(file, room):
    file._file = FullDisk(file._file, room)
    return file._file


def test_a_piece_that_does_not_fit_is_cut_off_again_and_the_next_one_follows_whole(tmp_path, caplog):
    file = AppendFile(tmp_path / "f")
    assert file.append(b"first\n")
    disk = fill(file, room=3)
    assert not file.append(b"second\n")  # half of it would fit
    assert not file.append(b"third\n")
    disk.room = 100
    assert file.append(b"fourth\n")
    file.close()
    assert (tmp_path / "f").read_bytes() == b"first\nfourth\n"
    assert [record.getMessage().split("f ", 1)[1] for record in caplog.records] == [
        "cannot be written; training continues: No space left on device.",
        "lacks 2 rows that could not be written.",
    ]


def test_metrics_begin_with_their_header_even_if_the_disk_was_full_at_first(tmp_path):
    files = MetricsFiles(tmp_path)
    disks = [fill(files._csv, 0), fill(files._jsonl, 0)]
    files.write({"iteration": 1})
    for disk in disks:
        disk.room = 1000
    files.write({"iteration": 2})
    files.close()
    assert (tmp_path / "metrics.csv").read_text().splitlines() == ["iteration", "2"]
    assert (tmp_path / "metrics.jsonl").read_text() == '{"iteration": 2}\n'


def test_prints_go_on_when_their_file_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr(AppendFile, "append", lambda self, piece: self._lose(FULL))
    with stdout_to_file(tmp_path / "log"):
        print("anything")
