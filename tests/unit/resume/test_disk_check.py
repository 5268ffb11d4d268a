"""A run directory that cannot be written is found out beforehand, and nothing is left behind."""

import pytest

from amp_train.errors import ConfigError
from amp_train.resume.run_dir import check_writable


def test_a_writable_place_is_left_as_it_was_even_if_the_folder_is_not_there_yet(tmp_path):
    check_writable(tmp_path)
    check_writable(tmp_path / "runs" / "mine")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size, options, said", [(1 << 16, "rw", "No space left"), (1 << 24, "ro", "Read-only")])
def test_a_full_or_read_only_disk_is_one_line(small_disk, size, options, said):
    disk = small_disk(size, options)
    with pytest.raises(ConfigError) as caught:
        check_writable(disk / "runs")
    assert said in str(caught.value) and str(disk) in str(caught.value) and "\n" not in str(caught.value)
    assert list(disk.iterdir()) == []


def test_a_file_in_the_place_of_a_folder_is_one_line(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        check_writable(tmp_path / "runs")
