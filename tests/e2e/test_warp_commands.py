"""The real commands with sim=mujoco_warp, on the CPU."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from amp_train.checkpoint.load import safe_load
from amp_train.cli import eval as evaluation
from amp_train.cli import play, train

pytestmark = pytest.mark.warp
SMALL = [
    "sim=mujoco_warp", "num_envs=8", "num_threads=1", "task.env.episode_length=12", "seed=3", "video=False",
    "experiment=run", "train.params.config.horizon_length=8", "train.params.config.minibatch_size=64",
    "train.params.config.mini_epochs=1", "train.params.config.amp_minibatch_size=32", "eval_interval=1",
    "train.params.config.amp_batch_size=32", "train.params.config.amp_obs_demo_buffer_size=256",
    "train.params.config.warm_start_steps=1", "train.params.config.amp_replay_buffer_size=256",
    "task.task.randomize=True",
    "train.params.network.mlp.units=[16,8]", "train.params.network.disc.units=[16,8]",
]  # fmt: skip


@pytest.fixture
def here(monkeypatch, tmp_path, in_process):
    """Run a command in this process, in an empty directory; return what it printed."""
    monkeypatch.chdir(tmp_path)
    return lambda command, *argv: "".join(in_process(command, *argv))


def test_a_training_runs_continues_exactly_and_its_policy_is_played_and_measured(here, tmp_path):
    printed = here(train, *SMALL, "max_iterations=4", "train_dir=whole")
    assert "8 environments (mujoco_warp" in printed
    here(train, *SMALL, "max_iterations=2", "train_dir=parts")
    here(train, *SMALL, "max_iterations=4", "train_dir=parts", "resume=auto")
    policies = [sorted((tmp_path / name / "run" / "nn").glob("last*ep_4*.pth"))[0] for name in ("whole", "parts")]
    whole, parts = (safe_load(path)["model"] for path in policies)
    assert all((whole[name] == parts[name]).all() for name in whole), "the physics went on bit for bit"
    with (tmp_path / "whole" / "run" / "metrics.csv").open() as file:
        assert all(float(row["dtw_pose_error_m"]) > 0 for row in csv.DictReader(file))
    checkpoint = f"checkpoint={policies[0]}"
    assert "2 episodes" in here(play, checkpoint, "episodes=2", "video=False")
    assert "pose error" in here(evaluation, checkpoint, "sim=mujoco", "episodes=2", "seeds=1", "episode_s=0.5")


def test_the_benchmark_of_the_gpu_measures_every_row_apart(tmp_path):
    script = Path(__file__).resolve().parents[2] / "scripts" / "bench_gpu.py"
    own = [key for key in SMALL if not key.startswith(("num_envs=", "sim=", "experiment="))]
    command = [
        sys.executable,
        str(script),
        "num_envs=8,10",
        "matmul=fp32",
        *own,
        "train.params.config.horizon_length=16",
    ]
    done = subprocess.run(command, cwd=str(tmp_path), stdout=subprocess.PIPE, text=True, timeout=500, check=True)
    fits, does_not_fit = json.loads(done.stdout.splitlines()[-1])
    assert fits["num_envs"] == 8 and fits["most_rows"] > 0 and 0.0 < fits["play_share"] < 1.0
    assert min(fits[name] for name in fits if name.endswith("per_s")) > 0
    assert does_not_fit["num_envs"] == 10 and "minibatch_size" in does_not_fit["failed"]
    assert list(tmp_path.iterdir()) == []


def test_the_simulators_part_by_no_more_than_rounding_until_legs_touch(tmp_path):
    script = Path(__file__).resolve().parents[2] / "scripts" / "compare_simulators.py"
    command = [sys.executable, str(script), "motion=spinkick", "out=drift.png", "num_threads=1"]
    done = subprocess.run(command, cwd=str(tmp_path), stdout=subprocess.PIPE, text=True, timeout=500, check=True)
    roots, joints = [line for line in done.stdout.splitlines() if "mujoco / mujoco_warp" in line]
    for line in (roots, joints):
        of_median = [float(part.split(" s ")[1].split(" / ")[0]) for part in line.split(" at ")[1].split(", ")]
        assert len(of_median) == 3 and of_median[0] < 2e-6 and of_median[2] < 1e-4
    assert (tmp_path / "drift.png").stat().st_size > 1000


def test_a_buffer_that_is_too_small_is_said_once(here, caplog):
    here(train, *SMALL, "max_iterations=3", "sim.njmax=8", "eval_interval=0")
    (said,) = [line for line in caplog.messages if "too small" in line]
    assert said.startswith("sim.njmax=8 is too small: up to ") and "Give sim.njmax=" in said
