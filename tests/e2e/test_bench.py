"""`make bench`, as a command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bench.py"
SMALL = [
    "num_envs=16", "num_threads=1", "train.params.config.minibatch_size=128",
    "train.params.config.amp_minibatch_size=32", "train.params.config.amp_obs_demo_buffer_size=256",
    "train.params.config.amp_batch_size=32", "train.params.config.warm_start_steps=1",
]  # fmt: skip


@pytest.mark.mujoco
def test_a_task_with_goals_is_compared_with_the_same_clips_without(tmp_path):
    command = [sys.executable, str(SCRIPT), "task=HumanoidAMPDribble", *SMALL]
    done = subprocess.run(command, cwd=str(tmp_path), stdout=subprocess.PIPE, text=True, timeout=500, check=True)
    results = json.loads(done.stdout.splitlines()[-1])
    assert results["imitation_steps_per_s"] > 0 and results["train_samples_per_s"] > 0
    assert 0.1 < results["task_efficiency"] < 3.0 and "HumanoidAMPDribble on dribble" in done.stdout
