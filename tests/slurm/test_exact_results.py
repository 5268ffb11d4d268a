"""Whatever ends a batch job early on a real SLURM, it goes on, and the result is the same to the last bit."""

import pytest
from batch_jobs import Cluster, losses, same, trained

pytestmark = pytest.mark.slurm

ITERATIONS, EARLY = 120, 30
LENGTH = [f"max_iterations={ITERATIONS}", "seed=5"]


@pytest.fixture(scope="module")
def uninterrupted(slurm: None, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """A training that ran from its first to its last iteration, as experiment `straight`."""
    cluster = Cluster(tmp_path_factory.mktemp("straight"))
    job = cluster.submit("train.sbatch", *LENGTH, "experiment=straight")
    assert cluster.wait_for_end(job)["Restarts"] == "0"
    return cluster


def assert_as_uninterrupted(cluster: Cluster, run: str, uninterrupted: Cluster) -> None:
    assert same(trained(cluster, run, ITERATIONS), trained(uninterrupted, "straight", ITERATIONS))
    rows = losses(cluster, run)
    assert len(rows) == ITERATIONS
    assert rows == losses(uninterrupted, "straight")


def test_after_usr1_a_job_is_requeued_and_ends_as_if_uninterrupted(cluster, uninterrupted):
    job = cluster.submit("train.sbatch", *LENGTH, "experiment=a")
    cluster.wait_for_iteration("a", EARLY)
    cluster.command("scancel", "--signal=USR1", "--batch", job)
    assert cluster.wait_for_end(job)["Restarts"] == "1"
    assert "Exit code 75: the job is requeued" in cluster.log(job)
    assert_as_uninterrupted(cluster, "a", uninterrupted)


def test_a_preempted_job_ends_as_if_uninterrupted(cluster, uninterrupted):
    job = cluster.submit("train.sbatch", *LENGTH, "experiment=a", options=["--partition=spot"])
    cluster.wait_for_iteration("a", EARLY)
    urgent = ["--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=sleep 1"]
    cluster.command("sbatch", *urgent)
    assert cluster.wait_for_end(job)["Restarts"] == "1"
    assert "Stopped by SIGTERM and saved" in cluster.log(job)
    assert_as_uninterrupted(cluster, "a", uninterrupted)


def test_scancel_saves_and_the_same_command_goes_on_later(cluster, uninterrupted):
    job = cluster.submit("train.sbatch", *LENGTH, "experiment=a")
    cluster.wait_for_iteration("a", EARLY)
    cluster.command("scancel", job)
    assert cluster.wait_for_end(job, "CANCELLED")["Restarts"] == "0"
    assert "Stopped by SIGTERM and saved" in cluster.log(job)
    again = cluster.submit("train.sbatch", *LENGTH, "experiment=a")
    cluster.wait_for_end(again)
    assert_as_uninterrupted(cluster, "a", uninterrupted)
