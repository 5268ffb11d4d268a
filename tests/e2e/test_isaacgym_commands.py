"""The real commands with sim=isaacgym, on the stand-in for Isaac Gym, which refuses to be imported after torch."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import isaacgym_double
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = [
    "sim=isaacgym", "num_envs=8", "num_threads=1", "task.env.episode_length=12", "seed=3", "video=False",
    "train.params.config.horizon_length=8", "train.params.config.minibatch_size=64",
    "train.params.config.mini_epochs=1", "train.params.config.amp_minibatch_size=32",
    "train.params.config.amp_batch_size=32", "train.params.config.amp_obs_demo_buffer_size=256",
    "train.params.config.warm_start_steps=1",
    "train.params.config.amp_replay_buffer_size=256",
    "train.params.network.mlp.units=[16,8]", "train.params.network.disc.units=[16,8]",
]  # fmt: skip


def run(folder, command, *argv, isaac_gym=True, exit_code=0):
    """Run a command in a process of its own; return what it printed."""
    path = [str(REPOSITORY)] + [str(isaacgym_double.DOUBLES)] * isaac_gym
    result = subprocess.run(
        [sys.executable, "-m", "amp_train.cli." + command, *argv],
        cwd=str(folder),
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert result.returncode == exit_code, result.stdout
    return result.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a training of two iterations, and what it printed."""
    folder = tmp_path_factory.mktemp("isaacgym")
    return folder, run(folder, "train", *SMALL, "experiment=run", "max_iterations=2")


def metrics(folder):
    with (folder / "runs" / "run" / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_training_runs_and_says_with_what(trained):
    folder, printed = trained
    assert "8 environments (isaacgym" in printed
    assert len(metrics(folder)) == 2 and list((folder / "runs" / "run" / "nn").glob("*.pth"))
    assert "no pose error is measured during training. Use amp-eval" in printed


def test_the_policy_can_be_played(trained):
    folder, _ = trained
    checkpoint = sorted((folder / "runs" / "run" / "nn").glob("*.pth"))[0]
    printed = run(folder, "play", f"checkpoint={checkpoint}", "episodes=2", "video=False")
    assert "2 episodes" in printed and "m/s" in printed


def test_a_training_is_continued(trained):
    folder, _ = trained
    run(folder, "train", *SMALL, "experiment=run", "max_iterations=3", "resume=auto")
    assert [row["iteration"] for row in metrics(folder)] == ["1", "2", "3"]


def test_what_isaac_gym_cannot_randomise_is_one_line(tmp_path):
    printed = run(tmp_path, "train", *SMALL, "task.task.randomize=True", exit_code=2)
    assert "sim=isaacgym cannot randomize sim_params.gravity, actor_params.humanoid.rigid_body_prop" in printed
    assert printed.count("Error: ") == 1 and "Traceback" not in printed and list(tmp_path.iterdir()) == []


def test_without_isaac_gym_one_line_says_where_to_get_it(tmp_path):
    printed = run(tmp_path, "train", *SMALL, isaac_gym=False, exit_code=2)
    said = printed[printed.index("Error: ") :]  # on Python 3.8 the package gym has a word of its own before
    assert said.startswith("Error: sim=isaacgym needs NVIDIA's Isaac Gym.") and said.count("\n") == 1
    assert "developer.nvidia.com" in printed and list(tmp_path.iterdir()) == []
