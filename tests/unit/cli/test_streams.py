"""The terminal goes away: no traceback, the program goes on, and nothing lands in another file."""

import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
from amp_train.streams import lasting_streams
with lasting_streams():
    file = open("result", "w")
    for number in range(20000):
        print("out", number, flush=number % 100 == 0)
        print("err", number, file=sys.stderr)
    os.write(2, b"from a signal handler")
    file.write("whole")
    file.close()
sys.exit(7)
"""


def shell(folder, command):
    """Run a line of bash; return its exit code of the first command of a pipe, and what was said."""
    result = subprocess.run(["bash", "-c", command], cwd=str(folder), capture_output=True, text=True, timeout=120)
    return result.returncode, result.stdout, result.stderr


@pytest.mark.parametrize(
    "redirection",
    ["| head -1", "2>&1 | head -1", "2>&-", ">&-", "<&- >&- 2>&-", "<&-", ">/dev/full 2>&1"],
)
def test_a_program_goes_on_without_its_streams_and_ends_as_it_wants_to(tmp_path, redirection):
    (tmp_path / "program.py").write_text(PROGRAM)
    command = f"{sys.executable} program.py {redirection}; exit ${{PIPESTATUS[0]}}"
    code, out, err = shell(tmp_path, command)
    assert code == 7
    assert (tmp_path / "result").read_text() == "whole"
    assert "Traceback" not in out + err and "Exception ignored" not in out + err


@pytest.mark.parametrize("redirection", ["| head -1", "2>&- | head -1", ">&- 2>&-"])
@pytest.mark.parametrize(
    "command, code",
    [("train --help", 0), ("play --help", 0), ("motion --help", 0), ("motion check wlak", 2), ("train motion=wlak", 2)],
)
def test_a_command_whose_reader_is_gone_ends_with_its_own_code(tmp_path, command, code, redirection):
    line = f"{sys.executable} -m amp_train.cli.{command} {redirection}; exit ${{PIPESTATUS[0]}}"
    found, out, err = shell(tmp_path, line)
    assert found == code
    assert "Traceback" not in out + err and "Exception ignored" not in out + err
