"""`amp-train -m hydra/launcher=slurm`: a sweep as jobs of a real SLURM, and what its signal does to one of them."""

import importlib.util
import re
import signal
import subprocess
from pathlib import Path
from typing import Iterator, List

import pytest
from batch_jobs import PATIENCE_S, SMALL, Cluster, losses, same, trained, wait_until

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(
        importlib.util.find_spec("hydra_plugins.hydra_submitit_launcher") is None,
        reason="hydra-submitit-launcher is not installed",
    ),
]
ITERATIONS, EARLY = 100, 20


class Sweep:
    """The command that submits a sweep and waits for its jobs."""

    def __init__(self, cluster: Cluster, *argv: str):
        self.cluster = cluster
        options = [
            "hydra/launcher=slurm",
            "hydra.launcher.cpus_per_task=1",
            "hydra.launcher.timeout_min=10",
            "hydra.launcher.mem_gb=1",
        ]
        self.process = subprocess.Popen(
            [str(cluster.program), "-m", *options, *SMALL, *argv],
            cwd=str(cluster.folder),
            env=cluster.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def jobs(self) -> List[str]:
        """Return the ids of the sweep's jobs."""
        return sorted(path.name for path in self.cluster.folder.glob("runs/sweeps/*/.submitit/*_*") if path.is_dir())

    def log(self, job: str) -> str:
        paths = self.cluster.folder.glob(f"runs/sweeps/*/.submitit/{job}/*_log.out")
        return "".join(path.read_text() for path in paths)

    def wait(self) -> str:
        out, _ = self.process.communicate(timeout=PATIENCE_S)
        return out


@pytest.fixture
def sweep(cluster: Cluster) -> Iterator["type"]:
    started: List[Sweep] = []

    def start(*argv: str) -> Sweep:
        started.append(Sweep(cluster, *argv))
        return started[0]

    yield start
    for one in started:
        one.process.kill()


@pytest.mark.parametrize("named", [True, False], ids=["experiment given", "no experiment given"])
def test_a_sweep_trains_each_seed_and_a_preempted_job_goes_on_in_its_run_directory(cluster, sweep, named):
    name = ["experiment=sweep"] if named else []
    running = sweep("seed=5,6", f"max_iterations={ITERATIONS}", *name)
    wait_until(lambda: len(running.jobs()) == 2, cluster.logs)
    first = running.jobs()[0]
    wait_until(lambda: any(len(cluster.metrics(run)) > EARLY for run in cluster.runs()), cluster.logs)
    cluster.command("scancel", "--signal=USR2", first)
    out = running.wait()
    assert running.process.returncode == 0, out
    assert cluster.show(first)["Restarts"] == "1"
    assert "Stopped by SIGUSR1 and saved" in running.log(first)
    assert len(cluster.runs()) == 2
    for run in cluster.runs():
        assert len(losses(cluster, run)) == ITERATIONS
    if named:
        job = cluster.submit("train.sbatch", "seed=5", f"max_iterations={ITERATIONS}", "experiment=straight")
        cluster.wait_for_end(job)
        assert same(trained(cluster, "sweep_0", ITERATIONS), trained(cluster, "straight", ITERATIONS))


def test_a_job_that_fails_is_told_to_the_sweep(sweep):
    running = sweep("seed=5,6", "motion.file=missing.npz")
    out = running.wait()
    assert running.process.returncode == 3
    (folder,) = re.findall(r"^Error: Exit code 2; the job's output in (.*) says why\.$", out, re.MULTILINE)
    (log,) = Path(folder).glob("*_log.out")
    assert "Motion 'missing.npz' not found" in log.read_text()


def test_a_sweep_that_slurm_refuses_is_one_line(sweep):
    running = sweep("seed=5,6", "hydra.launcher.partition=nowhere")
    out = running.wait()
    assert running.process.returncode == 2
    assert out.endswith("Error: SLURM refused the sweep: invalid partition specified: nowhere.\n")
    assert "Traceback" not in out


def test_ctrl_c_ends_the_waiting_only(cluster, sweep):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background ignores it
    running = sweep("seed=5,6", "max_iterations=2", "experiment=sweep")
    wait_until(lambda: len(running.jobs()) == 2, cluster.logs)
    running.process.send_signal(signal.SIGINT)
    running.wait()
    assert running.process.returncode == 130
    for job in running.jobs():
        cluster.wait_for_end(job)
