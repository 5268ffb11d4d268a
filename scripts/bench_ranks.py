"""Measure training in several processes; `python scripts/bench_ranks.py [ranks=N] [key=value ...]`.

Runs `amp-train` itself, on the CPU, in turn: alone on one thread, alone on N threads with N times the environments, and
as N processes of one thread each. The overrides go to all of them; num_envs is per process. Prints a table and, as its
last line, one JSON object with samples/s, medians over rounds of each round's median iteration, and

  scaling_efficiency   N processes / (N x one process on one thread): what meeting once a minibatch leaves
  against_threads      N processes / one process on N threads, same number of environments in all
"""

import csv
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Dict, List

ROUNDS, ITERATIONS, WARM_UP_ITERATIONS = 3, 12, 3
DEFAULT_ENVS, DEFAULT_RANKS = 512, 2
FIXED = ["video=False", "eval_interval=0", "experiment=bench", f"max_iterations={ITERATIONS}"]
TRAIN = ["-m", "amp_train.cli.train"]


def samples_per_s(launcher: List[str], overrides: List[str]) -> float:
    """Train in an empty directory; return the median rate of the iterations after the first ones."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, *launcher, *FIXED, *overrides, f"train_dir={folder}"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}")
        with (Path(folder) / "bench" / "metrics.csv").open() as file:
            rates = [float(row["samples_per_s"]) for row in csv.DictReader(file)]
    return statistics.median(rates[WARM_UP_ITERATIONS:])


def one_round(ranks: int, num_envs: int, overrides: List[str]) -> Dict[str, float]:
    """Measure each way of training once."""

    def given(envs: int, threads: int, several: bool) -> List[str]:
        own = [f"num_envs={envs}", f"num_threads={threads}", f"multi_gpu={several}"]
        return own + overrides

    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}"]
    one = samples_per_s(TRAIN, given(num_envs, 1, False))
    threads = samples_per_s(TRAIN, given(ranks * num_envs, ranks, False))
    processes = samples_per_s([*torchrun, *TRAIN], given(num_envs, 1, True))
    return {
        "one_thread": one,
        "threads": threads,
        "processes": processes,
        "scaling_efficiency": processes / (ranks * one),
        "against_threads": processes / threads,
    }


def main(argv: List[str]) -> None:
    own = dict(text.split("=", 1) for text in argv if text.startswith(("ranks=", "num_envs=")))
    ranks, num_envs = int(own.get("ranks", DEFAULT_RANKS)), int(own.get("num_envs", DEFAULT_ENVS))
    overrides = [text for text in argv if not text.startswith(("ranks=", "num_envs="))]
    rounds = [one_round(ranks, num_envs, overrides) for _ in range(ROUNDS)]
    results = {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}
    sys.stdout.write(f"{ranks} processes of {num_envs} environments each, medians of {ROUNDS} rounds\n")
    for name, value in results.items():
        sys.stdout.write(f"  {name:<20}{value:>12,.2f}\n")
    sys.stdout.write(json.dumps({name: round(value, 4) for name, value in results.items()}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
