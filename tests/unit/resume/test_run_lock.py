"""Two trainings never share a run directory."""

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from amp_train.errors import ConfigError
from amp_train.resume.run_dir import LOCK_NAME, RunLock

REPOSITORY = Path(__file__).resolve().parents[3]
HOLDER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from amp_train.resume.run_dir import RunLock
with RunLock(Path(sys.argv[2])):
    print("held", flush=True)
    time.sleep(20)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of tmp_path."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(REPOSITORY), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_training_is_refused_with_the_holders_name_and_a_killed_one_holds_nothing(holder, tmp_path):
    with pytest.raises(ConfigError) as caught, RunLock(tmp_path):
        pass
    message = str(caught.value)
    assert f"process {holder.pid} on {socket.gethostname()}" in message
    assert "experiment=" in message and "\n" not in message
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with RunLock(tmp_path):
        assert str(os.getpid()) in (tmp_path / LOCK_NAME).read_text()


def test_a_lock_ends_with_its_block_and_can_be_taken_again(tmp_path):
    for _ in range(2):
        with RunLock(tmp_path), pytest.raises(ConfigError, match="in use"), RunLock(tmp_path):
            pass


def test_a_program_started_meanwhile_does_not_keep_the_lock(tmp_path):
    with RunLock(tmp_path):
        survivor = subprocess.Popen(["sleep", "5"], close_fds=False)
    try:
        with RunLock(tmp_path):
            pass
    finally:
        survivor.kill()
        survivor.wait()


def test_a_file_system_that_cannot_lock_is_one_warning(tmp_path, monkeypatch, caplog):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with RunLock(tmp_path), RunLock(tmp_path):
        pass
    assert [record.getMessage().count("has no locks (No locks available)") for record in caplog.records] == [1, 1]


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / LOCK_NAME).mkdir()  # what root cannot open for writing either
    with pytest.raises(ConfigError, match="cannot be written"), RunLock(tmp_path):
        pass


@pytest.mark.parametrize("place", [".lock", "config.yaml", "metrics.csv", "summaries", "nn", "rl_games.log"])
def test_a_directory_with_a_link_out_of_it_is_not_entered(tmp_path, place):
    run_dir, victim = tmp_path / "run", tmp_path / "victim"
    run_dir.mkdir()
    victim.write_text("precious")
    (run_dir / place).symlink_to(victim)
    with pytest.raises(ConfigError, match="link out of it") as caught, RunLock(run_dir):
        pass
    assert place in str(caught.value) and "\n" not in str(caught.value)
    assert victim.read_text() == "precious"


def test_a_directory_with_a_named_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(str(tmp_path / LOCK_NAME))
    with pytest.raises(ConfigError, match="named pipe"), RunLock(tmp_path):
        pass
