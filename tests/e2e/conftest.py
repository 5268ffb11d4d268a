"""What the end-to-end tests share."""

import sys

import pytest


@pytest.fixture
def in_process(monkeypatch, capfd):
    """Run a command in this process, which saves the start; return its stdout and stderr."""

    def run(command, *argv):
        monkeypatch.setattr(sys, "argv", [command.__name__, *argv])
        command.main()
        return capfd.readouterr()

    return run
