"""Ten trainings in one process, as a sweep runs them, leave nothing behind in it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
RUNS = 10
SETTLED = 2  # what is loaded or built only once is there after so many runs
GROWTH_MB = 4.0  # a run, 1.5 measured (Hydra keeps each job's configuration); replay and demonstrations alone are 10 MB

# Runs the command's own sweep, with a look at the process after each job.
PROGRAM = """
import ctypes, gc, json, multiprocessing, os, sys, threading
from amp_train.cli import train

job = train.run_job
seen = []

def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

def look_after(cfg):
    job(cfg)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what is free but not yet given back is no leak
    seen.append(dict(files=len(os.listdir("/proc/self/fd")), threads=len(os.listdir("/proc/self/task")),
                     children=len(multiprocessing.active_children()), resident_mb=resident_mb()))

train.run_job = look_after
train.main()
json.dump(seen, open(os.environ["SEEN"], "w"))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="looks at the process through Linux's /proc")
def test_ten_trainings_in_one_process_leave_no_files_threads_processes_or_memory_behind(tmp_path):
    argv = [
        "-m", f"seed=range(1,{RUNS + 1})", "experiment=sweep", "max_iterations=3", "eval_interval=2",
        "num_envs=32",
        "num_threads=2", "task.env.episode_length=12", "train.params.config.horizon_length=8",
        "train.params.config.minibatch_size=64", "train.params.config.amp_minibatch_size=32",
        "train.params.config.amp_obs_demo_buffer_size=8192", "train.params.config.warm_start_steps=1",
        "train.params.config.amp_replay_buffer_size=4096",
    ]  # fmt: skip
    environment = dict(os.environ, SEEN=str(tmp_path / "seen.json"), PYTHONPATH=str(REPOSITORY))
    subprocess.run([sys.executable, "-c", PROGRAM, *argv], cwd=str(tmp_path), env=environment, check=True, timeout=900)

    seen = json.loads((tmp_path / "seen.json").read_text())

    assert len(seen) == RUNS
    settled, last = seen[SETTLED], seen[-1]
    assert {name: last[name] for name in ("files", "threads", "children")} == {
        name: settled[name] for name in ("files", "threads", "children")
    }
    assert (last["resident_mb"] - settled["resident_mb"]) / (RUNS - 1 - SETTLED) < GROWTH_MB, seen
