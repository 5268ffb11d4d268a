"""scripts/slurm/multi_node.sbatch: one training on two nodes of a real SLURM, over gloo."""

import pytest
from batch_jobs import losses, same, trained

pytestmark = pytest.mark.slurm

ITERATIONS, EARLY = 40, 10
TWO_NODES = ["--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=0"]


def test_two_nodes_train_as_one_and_go_on_exactly_after_usr1(cluster):
    length = f"max_iterations={ITERATIONS}"
    straight = cluster.submit("multi_node.sbatch", length, "experiment=straight", options=TWO_NODES)
    cluster.wait_for_end(straight)
    job = cluster.submit("multi_node.sbatch", length, "experiment=a", options=TWO_NODES)
    cluster.wait_for_iteration("a", EARLY)
    cluster.command("scancel", "--signal=USR1", "--batch", job)
    assert cluster.wait_for_end(job)["Restarts"] == "1"
    assert "Stopped by SIGUSR1 and saved" in cluster.log(job)
    assert same(trained(cluster, "a", ITERATIONS), trained(cluster, "straight", ITERATIONS))
    assert losses(cluster, "a") == losses(cluster, "straight")


def test_a_lost_process_ends_the_others_and_the_job_goes_on(cluster):
    saves = "train.params.config.save_frequency=10"
    job = cluster.submit(
        "multi_node.sbatch", "max_iterations=80", saves, "experiment=a", options=TWO_NODES, LOSE_RANK="1"
    )
    assert cluster.wait_for_end(job)["Restarts"] == "1"
    assert "Resuming runs/a after iteration" in cluster.log(job)
    assert len(losses(cluster, "a")) == 80
