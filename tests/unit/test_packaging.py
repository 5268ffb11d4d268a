"""What is shipped. What README.md and docs/ say one can type: tests/docs."""

import configparser
import importlib
from pathlib import Path
from typing import List

import pytest

ROOT = Path(__file__).resolve().parents[2]
SETUP = configparser.ConfigParser()
SETUP.read(str(ROOT / "setup.cfg"))
FOLDERS = {"amp_train.conf": ROOT / "conf", "amp_train.motions": ROOT / "motions", "amp_train": ROOT / "amp_train"}
SHIPPED_KINDS = (".yaml", ".npz", ".xml", ".md", ".pth", ".json")


@pytest.mark.parametrize("package", sorted(FOLDERS))
def test_every_data_file_is_package_data(package: str) -> None:
    patterns = [p.strip() for p in SETUP["options.package_data"][package].split(",")]
    files = [f.relative_to(FOLDERS[package]) for f in FOLDERS[package].rglob("*") if f.suffix in SHIPPED_KINDS]
    assert files
    # A star matches no slash, as in setuptools.
    left_out = [f for f in files if not any(len(Path(p).parts) == len(f.parts) and f.match(p) for p in patterns)]
    assert left_out == []


def test_console_scripts_exist() -> None:
    entries = [line for line in SETUP["options.entry_points"]["console_scripts"].splitlines() if line]
    assert {e.split("=")[0].strip() for e in entries} >= {"amp-train", "amp-play"}
    for entry in entries:
        module, _, name = entry.split("=")[1].strip().partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_every_bundled_clip_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    missing = [f.stem for f in (ROOT / "conf" / "motion").glob("*.yaml") if f.stem not in readme]
    assert missing == []


def test_constraints_are_versions_that_setup_cfg_allows() -> None:
    required = {line.split("=")[0].split(">")[0].split("[")[0].strip().lower() for line in _requirements()}
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert all("==" in pin.split(";")[0] for pin in pins)
    pinned = {pin.split("==")[0].lower() for pin in pins}
    assert required - pinned == set()


def _requirements() -> List[str]:
    lines = SETUP["options"]["install_requires"].splitlines()
    for extra in ("test", "lint"):
        lines += SETUP["options.extras_require"][extra].splitlines()
    return [line for line in lines if line and not line.startswith("#")]
