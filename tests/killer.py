"""A process that is killed at any operation on files, for tests that try each."""

import os
import shutil
from pathlib import Path
from typing import Any, Callable

from amp_train.checkpoint import atomic


class Killed(BaseException):
    """What ends a process at a file operation; nothing that comes after it takes effect."""


class Killer:
    """Lets so many operations on files pass, then none; a copy that is cut off leaves half a file."""

    def __init__(self, monkeypatch: Any, survived: int) -> None:
        self.left, self.used_up = survived, False
        for place, names in ((os, ("fsync", "replace", "unlink")), (Path, ("open", "unlink", "replace", "mkdir"))):
            for name in names:
                monkeypatch.setattr(place, name, self._counted(getattr(place, name)))
        monkeypatch.setattr(atomic._DigestingFile, "write", self._counted(atomic._DigestingFile.write))
        monkeypatch.setattr(shutil, "copyfile", self._counted(shutil.copyfile, _half))

    def _counted(
        self, function: Callable[..., Any], instead: Callable[..., Any] = lambda *_: None
    ) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self.left == 0:
                if not self.used_up:
                    instead(*args)
                self.used_up = True
                raise Killed
            self.left -= 1
            return function(*args, **kwargs)

        return call


def _half(source: Any, target: Any) -> None:
    with open(source, "rb") as whole, open(target, "wb") as half:
        content = whole.read()
        half.write(content[: len(content) // 2])
