"""Start several processes of one training on this machine, as a launcher would, and wait for them."""

import contextlib
import os
import random
import socket
import subprocess
import sys
from pathlib import Path
from typing import List, NamedTuple, Sequence

REPOSITORY = Path(__file__).resolve().parents[1]


class Ended(NamedTuple):
    """How a process ended."""

    returncode: int
    output: str


def start_ranks(command: Sequence[str], world_size: int, folder: Path, **environ: str) -> "List[subprocess.Popen[str]]":
    """Start `python COMMAND` world_size times, with torchrun's variables."""
    common = {
        "WORLD_SIZE": str(world_size),
        "LOCAL_WORLD_SIZE": str(world_size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")]),
    }
    common.update(environ)
    return [
        subprocess.Popen(
            [sys.executable, *command],
            cwd=str(folder),
            env=dict(os.environ, RANK=str(rank), LOCAL_RANK=str(rank), **common),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(world_size)
    ]


def wait_for(processes: "List[subprocess.Popen[str]]", timeout_s: float = 400.0) -> List[Ended]:
    """Wait for all; none is left behind."""
    try:
        outputs = [process.communicate(timeout=timeout_s)[0] for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.communicate()
    return [Ended(process.returncode, output) for process, output in zip(processes, outputs)]


def _free_port() -> int:
    """Find a port below those that the kernel gives to clients, which tests beside this one could get meanwhile."""
    while True:
        port = random.SystemRandom().randrange(15000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
