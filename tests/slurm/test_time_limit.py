"""SLURM's time limit, which it enforces by itself."""

import pytest
from batch_jobs import losses, wait_until

pytestmark = pytest.mark.slurm


def test_a_job_whose_time_runs_out_saves_and_goes_on(cluster):
    # SLURM may send the signal up to a minute early: after 40 to 100 s.
    options = ["--time=2", "--signal=B:USR1@20"]
    job = cluster.submit("train.sbatch", "max_iterations=1000000", "experiment=a", options=options)
    wait_until(lambda: "Resuming runs/a after iteration" in cluster.log(job), lambda: cluster.log(job))
    assert "Stopped by SIGUSR1 and saved" in cluster.log(job)
    saved = len(cluster.metrics("a"))
    cluster.wait_for_iteration("a", saved)
    cluster.command("scancel", job)
    cluster.wait_for_end(job, "CANCELLED")
    iterations = [int(float(row["iteration"])) for row in losses(cluster, "a")]
    assert iterations == list(range(1, len(iterations) + 1))
