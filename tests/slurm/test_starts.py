"""Batch jobs that do their work, and such as never will."""

import pytest

pytestmark = pytest.mark.slurm


def test_a_submitted_job_trains_in_a_run_directory_of_its_own(cluster):
    job = cluster.submit("train.sbatch", "max_iterations=2", options=["--job-name=walk"])
    cluster.wait_for_end(job)
    (run,) = (cluster.folder / "runs").iterdir()
    assert run.name == "walk-" + job
    assert list((run / "nn").glob("last_*_ep_2_*.pth"))


def test_a_job_that_only_crashes_is_not_requeued_for_ever(cluster):
    job = cluster.submit("train.sbatch", "experiment=a", CRASH="yes")
    ended = cluster.wait_for_end(job, "FAILED")
    assert (ended["Restarts"], ended["ExitCode"]) == ("2", "137:0")
    assert "3 starts in a row wrote no later checkpoint" in cluster.log(job)


def test_a_wrong_command_line_is_not_requeued(cluster):
    job = cluster.submit("train.sbatch", "motion=wlak")
    ended = cluster.wait_for_end(job, "FAILED")
    assert (ended["Restarts"], ended["ExitCode"]) == ("0", "2:0")
    assert "Did you mean 'walk'?" in cluster.log(job)
