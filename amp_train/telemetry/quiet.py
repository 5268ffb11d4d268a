"""Keeping rl_games' many prints out of the terminal without losing them."""

import contextlib
from pathlib import Path
from typing import Iterator, Union


@contextlib.contextmanager
def stdout_to_file(path: Union[str, Path]) -> Iterator[None]:
    """Append what is printed to a file instead."""
    with Path(path).open("a", buffering=1) as file, contextlib.redirect_stdout(file):
        yield
