"""Train, kill -9, continue, again and again: test_kill.py's program, which forks before torch has threads.

    killed_trainings.py FOLDER SEED KILLS ARGUMENT...

Trains once without harm in FOLDER/whole, then in FOLDER/killed0, killed1, ... with KILLS kills at random moments, until
the training under way has ended. Prints a line of JSON for each process.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import torch

import amp_train.runner.ranks
import amp_train.runner.training  # noqa: F401  loaded before the forks
from amp_train.checkpoint import atomic
from amp_train.checkpoint.store import newest_valid
from amp_train.cli import train
from amp_train.env import AmpEnv
from amp_train.learning import training_loop

STEP, DISK, CLOCK = "step", "disk", "clock"  # what is counted until the kill: control steps, disk operations, seconds
MODES = (DISK, STEP, CLOCK, DISK)


class Moment:
    """Kills this process at the n-th operation of a kind, before or after it."""

    def __init__(self, at: float, after: bool) -> None:
        self._at, self._after, self.count = at, after, 0

    def wrapped(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            if self.count == self._at and not self._after:
                kill_this()
            result = function(*args, **kwargs)
            if self.count == self._at:
                kill_this()
            return result

        return call

    def writing(self, write: Callable[..., int]) -> Callable[..., int]:
        """Write a half before the kill."""

        def call(file: Any, data: Any) -> int:
            self.count += 1
            if self.count == self._at:
                write(file, memoryview(data)[: len(data) // 2])
                file.flush()
                kill_this()
            return write(file, data)

        return call


def kill_this() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def lie_in_wait(mode: str, moment: Moment) -> None:
    if mode == STEP:
        AmpEnv.step = moment.wrapped(AmpEnv.step)  # type: ignore[method-assign]
    if mode == DISK:
        for name in ("fsync", "replace", "unlink"):
            setattr(os, name, moment.wrapped(getattr(os, name)))
        atomic._DigestingFile.write = moment.writing(atomic._DigestingFile.write)  # type: ignore[method-assign]


def run(folder: Path, arguments: List[str], mode: str, at: float, after: bool) -> Dict[str, Any]:
    """Train in a process of its own until it ends or is killed; return how that went."""
    folder.mkdir(exist_ok=True)
    log = folder / f"log{len(list(folder.glob('log*.txt')))}.txt"
    started_s = time.monotonic()
    pid = os.fork()
    if pid == 0:
        moment = Moment(at, after)
        lie_in_wait(mode, moment)
        train_here(folder, log, arguments)
        (folder / "count").write_text(str(moment.count))
        os._exit(0)
    status = wait_or_kill(pid, at if mode == CLOCK else None)
    checkpoint, _ = newest_valid(folder / "runs" / "run" / "nn")
    return {
        "training": folder.name,
        "mode": mode,
        "at": at,
        "killed": os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL,
        "failed": os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0,
        "seconds": time.monotonic() - started_s,
        "checkpoint": checkpoint.iteration if checkpoint else 0,
        "row": last_row(folder / "runs" / "run" / "metrics.jsonl"),
        "log": str(log),
    }


def train_here(folder: Path, log: Path, arguments: List[str]) -> None:
    os.chdir(folder)
    output = os.open(str(log), os.O_WRONLY | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = ["amp-train", *arguments]
    try:
        train.main()
    except BaseException as error:
        sys.stderr.write(f"{error!r}\n")
        sys.stderr.flush()
        os._exit(1)


def wait_or_kill(pid: int, after_s: Optional[float]) -> int:
    deadline_s = None if after_s is None else time.monotonic() + after_s
    while True:
        done, status = os.waitpid(pid, 0 if deadline_s is None else os.WNOHANG)
        if done:
            return status
        if deadline_s is not None and time.monotonic() >= deadline_s:
            os.kill(pid, signal.SIGKILL)
            deadline_s = None
        time.sleep(0.001)


def last_row(path: Path) -> int:
    """Return the iteration of the last whole row."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
    return int(json.loads(lines[-1].decode())["iteration"]) if lines else 0


def main() -> None:
    folder, seed, kills, arguments = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
    train._report = lambda *_: None  # pictures take longer than these trainings; loaded before the forks
    training_loop.NEGLIGIBLE_S = float("inf")  # on a busy disk saves would be put off
    torch.set_num_threads(1)
    rng = random.Random(seed)
    whole = run(folder / "whole", arguments, DISK, 0, False)
    seconds, operations = whole["seconds"], int((folder / "whole" / "count").read_text())
    print(json.dumps(whole), flush=True)
    done, number = 0, 0
    while True:
        mode = MODES[done % len(MODES)] if done < kills else STEP
        # About a third of a training for each life; the last one goes to its end.
        limits = {STEP: rng.randrange(1, 24), DISK: rng.randrange(1, operations // 3), CLOCK: rng.uniform(0, seconds)}
        at = limits[mode] if done < kills else 0
        ended = run(folder / f"killed{number}", arguments, mode, at, rng.random() < 0.5)
        print(json.dumps(ended), flush=True)
        if ended["failed"] or done == kills:
            return
        done += ended["killed"]
        number += not ended["killed"]


if __name__ == "__main__":
    main()
