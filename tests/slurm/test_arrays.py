"""scripts/slurm/array.sbatch on a real SLURM."""

import pytest
from omegaconf import OmegaConf

pytestmark = pytest.mark.slurm


def test_an_array_trains_every_clip_with_every_seed_and_requeues_one_task_alone(cluster):
    options = ["--array=0-3", "--job-name=grid"]
    job = cluster.submit("array.sbatch", "max_iterations=60", options=options, MOTIONS="walk run", SEEDS="1 2")
    last = f"{job}_3"
    run = f"grid-{job}_run_seed2"
    cluster.wait_for_iteration(run, 10)
    cluster.command("scancel", "--signal=USR1", "--batch", last)
    ended = [cluster.wait_for_end(f"{job}_{task}") for task in range(4)]
    assert [task["Restarts"] for task in ended] == ["0", "0", "0", "1"]
    configs = [OmegaConf.load(path) for path in sorted((cluster.folder / "runs").glob("*/config.yaml"))]
    assert [(c.motion.name, c.seed) for c in configs] == [("run", 1), ("run", 2), ("walk", 1), ("walk", 2)]


def test_an_array_of_the_wrong_size_says_the_right_one(cluster):
    job = cluster.submit("array.sbatch", options=["--array=0-1"], MOTIONS="walk run", SEEDS="1 2")
    cluster.wait_for_end(f"{job}_0", "FAILED")
    assert "--array=0-3" in cluster.log(job + "_0")
