"""Check the types of sim=isaacgym against the package `isaacgym-stubs`, whose file must be repaired first: two of its
properties are called `lambda`, a keyword in Python. It lacks gymtorch, which is in tests/typings."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import List

REPOSITORY = Path(__file__).resolve().parents[1]
# Errors in the stubs themselves are ignored.
CONFIG = """[mypy]
ignore_missing_imports = True
disallow_untyped_defs = True
no_implicit_optional = True
[mypy-isaacgym.*]
ignore_errors = True
"""
# A file with one error, to verify that the stubs are used.
CANARY = "from isaacgym import gymapi\n\ngymapi.acquire_gym().simulate('no simulation')\n"


def stub_file() -> Path:
    """Return the stubs of gymapi as they were installed."""
    return Path(sysconfig.get_paths()["purelib"]) / "isaacgym-stubs" / "gymapi.pyi"


def mended(text: str) -> str:
    """Return the stubs in a form that Python can parse."""
    return text.replace("def lambda(", "def lambda_(")


def checked_files() -> List[str]:
    """Return every file that imports Isaac Gym."""
    package = REPOSITORY / "amp_train"
    return [str(path) for path in (package / "isaacgym_first.py", *sorted((package / "sim").glob("isaacgym*.py")))]


def main() -> int:
    """Run mypy; return 0 if its only error is the canary."""
    if not stub_file().is_file():
        print("isaacgym-stubs is not installed: pip install -e '.[lint]'")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        package, canary, config = Path(folder) / "isaacgym", Path(folder) / "canary.py", Path(folder) / "mypy.ini"
        package.mkdir()
        (package / "__init__.pyi").touch()
        (package / "gymapi.pyi").write_text(mended(stub_file().read_text()))
        shutil.copy(str(REPOSITORY / "tests" / "typings" / "isaacgym" / "gymtorch.pyi"), str(package))
        canary.write_text(CANARY)
        config.write_text(CONFIG)
        command = [sys.executable, "-m", "mypy", "--config-file", str(config), "--follow-imports=silent"]
        result = subprocess.run(
            [*command, "--no-error-summary", str(canary), *checked_files()],
            cwd=str(REPOSITORY),
            env=dict(os.environ, MYPYPATH=folder),
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    errors = [line for line in result.stdout.splitlines() if ": error: " in line]
    ours = [line for line in errors if "canary.py:3: error: Argument 1" not in line]
    print("\n".join(ours) or "sim=isaacgym agrees with isaacgym-stubs")
    if len(errors) == len(ours):
        print("but the stubs were not checked:\n" + result.stdout)
    return 0 if len(errors) == 1 and not ours else 1


if __name__ == "__main__":
    sys.exit(main())
