"""Fuzz a loader guided by coverage: `python scripts/fuzz.py TARGET [seconds]`; without a target, each in turn.

Needs atheris (`pip install -e ".[fuzz]"`), which drives libFuzzer: inputs that reach new branches are kept and changed
further. It starts from valid inputs made on the fly (tests/fuzz/targets.py) and stops at the first that a loader does
not load or refuse with the project's own error within 2 s; the input is saved in the folder that it prints.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests" / "fuzz"
RSS_LIMIT_MB = 2500
INSTRUMENTED = ["amp_train.untrusted", "amp_train.motion", "amp_train.checkpoint", "amp_train.config.stored"]


def fuzz(name: str, seconds: int) -> None:
    """Fuzz one loader in this process, which libFuzzer ends."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        from amp_train.config import stored as foreign  # noqa: F401
        from amp_train.motion import load_clip  # noqa: F401
    sys.path.insert(0, str(TESTS))
    import targets
    import torch

    torch.set_num_threads(1)
    target = targets.TARGETS[name]
    folder = Path(tempfile.mkdtemp(prefix=f"amp_fuzz_{name}_"))
    for part in ("corpus", "inputs", "found", "here"):
        (folder / part).mkdir()
    for index, seed in enumerate(target.seeds()):
        (folder / "corpus" / f"seed{index}").write_bytes(seed)
    os.chdir(str(folder / "here"))

    def one_input(data: bytes) -> None:
        targets.attempt(target, data, folder / "inputs")

    options = [f"-max_total_time={seconds}", "-timeout=10", f"-rss_limit_mb={RSS_LIMIT_MB}"]
    options += ["-max_len=8192", f"-artifact_prefix={folder}/found/", "-print_final_stats=1", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *options, str(folder / "corpus")], one_input)
    atheris.Fuzz()


def main() -> int:
    """Run the command."""
    arguments = sys.argv[1:]
    seconds = int(arguments.pop()) if arguments and arguments[-1].isdigit() else 60
    if arguments:
        fuzz(arguments[0], seconds)
        return 0
    sys.path.insert(0, str(TESTS))
    from targets import TARGETS

    codes = {}
    for name in sorted(TARGETS):
        print(f"== {name} ({seconds} s)", flush=True)
        codes[name] = subprocess.call([sys.executable, __file__, name, str(seconds)])
    failed = [name for name, code in codes.items() if code]
    print(f"Findings in: {', '.join(failed)}" if failed else "No findings.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
