"""SLURM's time limit, which it enforces by itself."""

import pytest
from batch_jobs import losses

pytestmark = pytest.mark.slurm


def test_a_job_whose_time_runs_out_saves_and_goes_on(cluster):
    options = ["--time=1", "--signal=B:USR1@30"]  # one minute is the least that SLURM knows
    job = cluster.submit("train.sbatch", "max_iterations=1000000", "experiment=a", options=options)
    cluster.wait_for_restart(job)
    saved = len(cluster.metrics("a"))
    assert saved > 1
    cluster.wait_for_iteration("a", saved)
    cluster.command("scancel", job)
    cluster.wait_for_end(job, "CANCELLED")
    iterations = [int(float(row["iteration"])) for row in losses(cluster, "a")]
    assert iterations == list(range(1, len(iterations) + 1))
