"""What the end-to-end tests share."""

import sys
from typing import Any, Iterator

import pytest
from chromium import errors_of, open_browser


@pytest.fixture
def in_process(monkeypatch, capfd):
    """Run a command in this process, which saves the start; return its stdout and stderr."""

    def run(command, *argv):
        monkeypatch.setattr(sys, "argv", [command.__name__, *argv])
        command.main()
        return capfd.readouterr()

    return run


@pytest.fixture(scope="module")
def one_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with open_browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def browser(one_browser: Any) -> Any:
    """A browser that has forgotten the page, and the console, of the test before."""
    one_browser.get("about:blank")
    errors_of(one_browser)
    return one_browser
