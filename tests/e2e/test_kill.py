"""kill -9 at random moments, also while saving: every `resume=auto` succeeds, and the end is as if nothing had been."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

REPOSITORY = Path(__file__).resolve().parents[2]
ARGV = [
    "experiment=run", "resume=auto", "video=False", "eval_interval=3", "seed=5",
    "num_envs=16", "num_threads=1", "task.env.episode_length=12",
    "train.params.config.horizon_length=8", "train.params.config.minibatch_size=64",
    "train.params.config.mini_epochs=2", "train.params.config.save_best_after=1",
    "train.params.config.save_frequency=1",
    "train.params.config.save_max_share=1",
    "train.params.config.amp_minibatch_size=32", "train.params.config.amp_batch_size=32",
    "train.params.config.amp_obs_demo_buffer_size=256", "train.params.config.warm_start_steps=1",
    "train.params.config.amp_replay_buffer_size=200",
    "train.params.network.mlp.units=[16,8]", "train.params.network.disc.units=[16,8]",
]  # fmt: skip
TIMES = ("time_s", "samples_per_s")


def killed_trainings(folder, iterations, seed, kills):
    """Return what the program of that name tells of each process."""
    program = [sys.executable, str(Path(__file__).with_name("killed_trainings.py")), str(folder), str(seed), str(kills)]
    environ = dict(os.environ, OMP_NUM_THREADS="1", PYTHONPATH=str(REPOSITORY))
    environ.pop("SLURM_JOB_ID", None)
    result = subprocess.run(
        [*program, *ARGV, f"max_iterations={iterations}"],
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=1800,
    )
    return [json.loads(line) for line in result.stdout.splitlines()]


def rows(run_dir):
    with (run_dir / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]


def last_policy(run_dir):
    # A kill between saving the last and deleting the one before leaves both.
    path = max((run_dir / "nn").glob("last_*.pth"), key=lambda path: int(path.name.split("_ep_")[1].split("_")[0]))
    return torch.load(path, weights_only=True)


def assert_equal(one, other):
    """Compare nested containers bit for bit."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert set(one) == set(other)
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for a, b in zip(one, other):
            assert_equal(a, b)
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    else:
        assert one == other


def check(folder, iterations, seed, kills):
    whole, *lives = killed_trainings(folder, iterations, seed, kills)
    assert not whole["killed"] and whole["checkpoint"] == iterations
    assert sum(life["killed"] for life in lives) == kills
    for life, next_life in zip(lives, lives[1:] + [None]):
        assert not life["failed"], Path(life["log"]).read_text()
        # A checkpoint follows each row: of a row at most its own iteration can be lost.
        assert life["checkpoint"] >= life["row"] - 1, life
        if life["killed"] and next_life is not None:
            log = Path(next_life["log"]).read_text()
            resumed = f"after iteration {life['checkpoint']},"
            assert next_life["killed"] or (resumed if life["checkpoint"] else "nothing to resume") in log
    expected_rows = rows(folder / "whole" / "runs" / "run")
    expected = last_policy(folder / "whole" / "runs" / "run")
    assert len(expected_rows) == iterations
    for training in sorted({life["training"] for life in lives}):
        run_dir = folder / training / "runs" / "run"
        assert rows(run_dir) == expected_rows
        assert_equal(last_policy(run_dir), expected)
        assert not list(run_dir.rglob("*.partial"))


def test_three_kills_cost_nothing(tmp_path):
    check(tmp_path, iterations=5, seed=2, kills=3)


@pytest.mark.slow
def test_twenty_kills_cost_nothing(tmp_path):
    check(tmp_path, iterations=12, seed=1, kills=20)
