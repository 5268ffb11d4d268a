"""Keeping rl_games' many prints out of the terminal without losing them."""

import contextlib
from pathlib import Path
from typing import Iterator, Union

from amp_train.telemetry.append_file import AppendFile, AppendText


@contextlib.contextmanager
def stdout_to_file(path: Union[str, Path]) -> Iterator[None]:
    """Append what is printed to a file instead; a full disk stops nobody from printing."""
    with contextlib.closing(AppendFile(path, "lines")) as file, contextlib.redirect_stdout(AppendText(file)):
        yield
