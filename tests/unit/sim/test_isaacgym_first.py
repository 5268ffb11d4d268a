"""Isaac Gym comes before torch, and what stands in the way is said in one line."""

import os
import subprocess
import sys
from pathlib import Path

import isaacgym_double
import pytest

from amp_train import isaacgym_first
from amp_train.errors import MissingPackageError

REPOSITORY = Path(__file__).resolve().parents[3]


def imported_by(argv: str, before: str = "") -> str:
    """Call `import_isaacgym_first` in a fresh Python that finds the stand-in; return what it imported."""
    code = before + f"from amp_train.isaacgym_first import import_isaacgym_first as first; first({argv}); "
    code += "import sys; print('isaacgym.gymapi' in sys.modules, 'torch' in sys.modules)"
    path = os.pathsep.join([str(REPOSITORY), str(isaacgym_double.DOUBLES)])
    environment = dict(os.environ, PYTHONPATH=path)
    return subprocess.check_output([sys.executable, "-c", code], env=environment, text=True).strip()


@pytest.mark.parametrize(
    "argv, imported",
    [("['sim=isaacgym']", True), ("['checkpoint=x.pth']", True), ("['sim=mujoco']", False)],
)
def test_it_is_imported_without_torch_and_only_where_it_may_be_needed(argv: str, imported: bool) -> None:
    assert imported_by(argv) == f"{imported} False"


def test_where_torch_came_first_it_is_said_that_isaacgym_must() -> None:
    code = (
        "import torch; from amp_train.isaacgym_first import *\n"
        "import_isaacgym_first(['sim=isaacgym'])\n"
        "try: load_gymapi()\nexcept Exception as error: print(error)"
    )
    path = os.pathsep.join([str(REPOSITORY), str(isaacgym_double.DOUBLES)])
    environment = dict(os.environ, PYTHONPATH=path)
    said = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert "must be imported before torch" in said and said.count("\n") == 1


def test_without_the_package_the_error_says_where_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isaacgym_first, "is_installed", lambda: False)
    with pytest.raises(MissingPackageError, match="developer.nvidia.com/isaac-gym.*Python 3.8"):
        isaacgym_first.load_gymapi()


def test_a_package_that_does_not_load_is_reported_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "isaacgym").mkdir()
    (tmp_path / "isaacgym" / "__init__.py").write_text("raise ImportError('libpython3.8.so.1.0: no such file')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(isaacgym_first, "_failures", [])
    torch = sys.modules.pop("torch")
    try:
        isaacgym_first.import_isaacgym_first([])
    finally:
        sys.modules["torch"] = torch
    with pytest.raises(MissingPackageError, match="does not load: libpython3.8.so.1.0: no such file"):
        isaacgym_first.load_gymapi()
