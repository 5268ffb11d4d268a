"""Folders and files that a stranger filled: nothing outside is opened, nothing is waited for."""

import os
import shutil
import socket
from pathlib import Path

import pytest

from amp_train.untrusted import NotAFileError, check_no_way_out, open_regular


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run directory with files, folders and links that stay within it; tmp_path/outside lies beside it."""
    folder = tmp_path / "run"
    (folder / "nn").mkdir(parents=True)
    (folder / "nn" / "last.pth").write_bytes(b"policy")
    (folder / "best.pth").symlink_to("nn/last.pth")
    (folder / "wandb").mkdir()
    (folder / "wandb" / "latest-run").symlink_to("../nn")
    (tmp_path / "outside").mkdir()
    return folder


def test_files_folders_and_links_within_are_let_pass(folder: Path, tmp_path: Path) -> None:
    check_no_way_out(folder)
    (tmp_path / "link").symlink_to(folder)
    check_no_way_out(tmp_path / "link")


@pytest.mark.parametrize("target", ["../outside", "/etc/passwd", "../run2", "../outside/not-there", "nn/../../outside"])
@pytest.mark.parametrize("place", ["metrics.csv", "nn/x.state"])
def test_a_link_that_leads_out_is_named(folder: Path, target: str, place: str) -> None:
    (folder / place).symlink_to(target if target.startswith("/") else folder / target)
    with pytest.raises(NotAFileError, match=f"a link out of it: '{place}'"):
        check_no_way_out(folder)


def test_a_folder_that_is_a_link_to_elsewhere_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "summaries").symlink_to(tmp_path / "outside")
    with pytest.raises(NotAFileError, match="summaries"):
        check_no_way_out(folder)


def test_what_one_would_wait_for_is_named_without_waiting(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(str(folder / "nn" / "pipe"))
    with pytest.raises(NotAFileError, match="named pipe, socket or device: 'nn/pipe'"):
        check_no_way_out(folder)
    (folder / "nn" / "pipe").unlink()
    monkeypatch.chdir(folder)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as own:
        own.bind("own")
        with pytest.raises(NotAFileError, match="'own'"):
            check_no_way_out(folder)


def test_a_name_with_control_characters_reaches_no_terminal(folder: Path) -> None:
    (folder / "a\x1b[2J\n").symlink_to("/")
    with pytest.raises(NotAFileError) as caught:
        check_no_way_out(folder)
    assert str(caught.value).isprintable()


def test_a_pipe_is_not_opened_for_reading(tmp_path: Path) -> None:
    os.mkfifo(str(tmp_path / "pipe"))
    with pytest.raises(NotAFileError):
        open_regular(tmp_path / "pipe")


def test_a_folder_of_another_program_may_hold_links_but_not_be_one(folder: Path, tmp_path: Path) -> None:
    (folder / "wandb" / "run-1").mkdir()
    (folder / "wandb" / "run-1" / "debug-core.log").symlink_to(tmp_path / "outside" / "core.log")
    with pytest.raises(NotAFileError, match="wandb/run-1/debug-core.log"):
        check_no_way_out(folder)
    check_no_way_out(folder, apart=("wandb",))
    (folder / "nn" / "wandb").mkdir()
    (folder / "nn" / "wandb" / "out").symlink_to("/")
    with pytest.raises(NotAFileError, match="nn/wandb/out"):
        check_no_way_out(folder, apart=("wandb",))
    (folder / "nn" / "wandb" / "out").unlink()
    shutil.rmtree(str(folder / "wandb"))
    (folder / "wandb").symlink_to(tmp_path / "outside")
    with pytest.raises(NotAFileError, match="'wandb'"):
        check_no_way_out(folder, apart=("wandb",))
