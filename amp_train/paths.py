"""Paths of the bundled files: package data when installed, else the checkout's top level."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _bundled(name: str) -> Path:
    packaged = _PACKAGE / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / name


CONF_DIR = _bundled("conf")
MOTIONS_DIR = _bundled("motions")
ASSETS_DIR = _PACKAGE / "character" / "assets"
PRETRAINED_DIR = _PACKAGE / "pretrained"
