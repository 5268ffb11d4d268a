"""A file is the former one or the new one, never half of it."""

import errno
import hashlib
import os

import pytest
import torch

from amp_train.checkpoint.atomic import digest_of, remove_partial_files, write_atomically


def test_the_digest_is_that_of_what_is_in_the_file(tmp_path):
    path = tmp_path / "f"
    digest = write_atomically(path, lambda file: [file.write(b"ab"), file.write(memoryview(b"cde"))])
    assert digest == (5, hashlib.sha256(b"abcde").hexdigest()) == digest_of(path)


def test_a_tensor_file_written_through_it_is_a_tensor_file(tmp_path):
    digest = write_atomically(tmp_path / "f", lambda file: torch.save({"a": torch.arange(1000)}, file))
    assert digest == digest_of(tmp_path / "f")
    assert torch.equal(torch.load(tmp_path / "f", weights_only=True)["a"], torch.arange(1000))


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_failure_at_any_step_leaves_the_former_file_and_nothing_else(tmp_path, monkeypatch, step):
    path = tmp_path / "f"
    path.write_bytes(b"former")

    def fail(*_):
        raise OSError(errno.EIO, "broken")

    if step != "write":
        monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="broken"):
        write_atomically(path, lambda file: fail() if step == "write" else file.write(b"new"))
    assert path.read_bytes() == b"former" and list(tmp_path.iterdir()) == [path]


def test_the_name_is_given_only_after_the_content_is_on_disk(tmp_path, monkeypatch):
    order, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: [order.append("fsync"), fsync(fd)])
    monkeypatch.setattr(os, "replace", lambda a, b: [order.append("replace"), replace(a, b)])
    write_atomically(tmp_path / "f", lambda file: file.write(b"new"))
    assert order == ["fsync", "replace", "fsync"]  # the file, its name, the directory


def test_a_full_disk_is_called_so_and_not_what_torch_makes_of_it(tmp_path, monkeypatch):
    class Full:
        """/dev/full, but with a name of its own."""

        def __init__(self, file):
            self._file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self._file.close()

        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

        def __getattr__(self, name):
            return getattr(self._file, name)

    opened = type(tmp_path).open
    monkeypatch.setattr(type(tmp_path), "open", lambda self, *args: Full(opened(self, *args)))
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomically(tmp_path / "f", lambda file: torch.save({"a": torch.zeros(10000)}, file))
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


def test_partial_files_of_a_crash_are_removed_and_whole_ones_stay(tmp_path):
    (tmp_path / "a.pth.partial").touch()
    (tmp_path / "a.pth").touch()
    assert remove_partial_files(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]
