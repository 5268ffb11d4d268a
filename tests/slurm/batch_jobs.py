"""Batch jobs of small trainings on a SLURM: submit, watch, wait."""

import csv
import io
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence

import torch

from amp_train.checkpoint.load import safe_load

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTS = REPOSITORY / "scripts" / "slurm"
# The machine may be busy, and a requeued job waits some seconds.
PATIENCE_S = 400.0
# A training of 15 iterations a second or so.
SMALL = [
    "num_envs=16",
    "num_threads=1",
    "task.env.episode_length=12",
    "train.params.config.horizon_length=8",
    "train.params.config.minibatch_size=64",
    "train.params.config.mini_epochs=1",
    "train.params.config.amp_minibatch_size=32",
    "train.params.config.amp_batch_size=32",
    "train.params.config.amp_obs_demo_buffer_size=256",
    "train.params.config.warm_start_steps=1",
    "train.params.config.amp_replay_buffer_size=256",
    "train.params.network.mlp.units=[16,8]",
    "train.params.network.disc.units=[16,8]",
    "video=False",
    "eval_interval=0",
]
# `amp-train`, but with CRASH every start dies at once, as on a machine without memory, and with LOSE_RANK=1 the first
# start of rank 1 dies after the first checkpoint.
PROGRAM = """#!/usr/bin/env bash
[ -z "${{CRASH:-}}" ] || kill -KILL $$
if [ "${{LOSE_RANK:-none}}" = "${{SLURM_PROCID:-}}" ] && [ "${{SLURM_RESTART_COUNT:-0}}" = 0 ]; then
    (until [ -n "$(find runs -name 'last_*.json')" ]; do sleep 0.2; done; kill -KILL $$) &
fi
exec {} -m amp_train.cli.train "$@"
"""


def wait_until(is_true: Callable[[], object], say: Callable[[], str], patience_s: float = PATIENCE_S) -> None:
    """Wait, and fail with what `say` gives when it takes too long."""
    deadline = time.monotonic() + patience_s
    while not is_true():
        assert time.monotonic() < deadline, f"waited {patience_s:.0f} s in vain:\n{say()}"
        time.sleep(0.3)


class Cluster:
    """The commands of SLURM, for jobs that run in one folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        home = folder / "home"
        (home / ".venv" / "bin").mkdir(parents=True)
        (home / "scripts").symlink_to(REPOSITORY / "scripts")
        self.program = home / ".venv" / "bin" / "amp-train"
        self.program.write_text(PROGRAM.format(sys.executable))
        self.program.chmod(0o755)
        self.environ = dict(os.environ, AMP_TRAIN_HOME=str(home), PYTHONPATH=str(REPOSITORY))

    def command(self, *argv: str) -> str:
        result = subprocess.run(
            list(argv),
            cwd=str(self.folder),
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert result.returncode == 0, result.stdout
        return result.stdout

    def submit(self, script: str, *argv: str, options: Sequence[str] = (), **environ: str) -> str:
        """Submit one of scripts/slurm; return the job's id."""
        self.environ.update(environ)
        options = ["--parsable", "--cpus-per-task=1", "--mem=500", *options]
        job = self.command("sbatch", *options, str(SCRIPTS / script), *SMALL, *argv).strip()
        for name in environ:
            del self.environ[name]
        return job

    def show(self, job: str) -> Dict[str, str]:
        """Return what SLURM knows of a job: JobState, Restarts, ExitCode ..."""
        words = self.command("scontrol", "--oneliner", "show", "job", job).split()
        return {key: value for key, _, value in (word.partition("=") for word in words)}

    def log(self, job: str) -> str:
        """Return what a job has written, in all its starts."""
        return "".join(path.read_text() for path in self.folder.glob(f"*-{job}.out"))

    def logs(self) -> str:
        return "".join(path.read_text() for path in self.folder.glob("*.out"))

    def wait_for_iteration(self, run: str, iteration: int) -> None:
        """Wait until a training has written so many rows of its metrics."""
        wait_until(lambda: len(self.metrics(run)) > iteration, self.logs)

    def metrics(self, run: str) -> List[str]:
        path = self.folder / "runs" / run / "metrics.csv"
        return path.read_text().splitlines() if path.exists() else []

    def runs(self) -> List[str]:
        """Return the names of the run directories."""
        return sorted(path.parent.name for path in self.folder.glob("runs/*/config.yaml"))

    def wait_for_end(self, job: str, state: str = "COMPLETED") -> Dict[str, str]:
        """Wait until a job has ended and is not requeued; check how."""
        ends = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
        wait_until(lambda: self.show(job)["JobState"] in ends, lambda: self.log(job))
        found = self.show(job)
        assert found["JobState"] == state, self.log(job)
        return found


def same(first: Any, second: Any) -> bool:
    """Compare to the last bit."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(same(a, b) for a, b in zip(first, second))
    return bool(first == second)


def losses(cluster: Cluster, run: str) -> List[Dict[str, str]]:
    """Return the rows of metrics.csv without what the clock says."""
    rows = csv.DictReader(io.StringIO("\n".join(cluster.metrics(run))))
    return [{key: value for key, value in row.items() if key not in ("time_s", "samples_per_s")} for row in rows]


def trained(cluster: Cluster, run: str, iterations: int) -> Dict[str, Any]:
    """Return what the last checkpoint holds of the learning: parameters, statistics, optimizers, counters."""
    (path,) = (cluster.folder / "runs" / run / "nn").glob(f"last_*_ep_{iterations}_*.pth")
    return {key: value for key, value in safe_load(str(path)).items() if key != "amp_train"}
