"""What goes wrong around a training, through the real command: exit codes, one line each, and nothing lost."""

import csv
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from amp_train.checkpoint.store import newest_valid
from amp_train.cli import train
from amp_train.learning import training_loop
from amp_train.paths import MOTIONS_DIR
from amp_train.resume.run_dir import RunLock
from amp_train.runner import divergence_watch
from amp_train.runner.stopping import EXIT_FAILED, EXIT_STOPPED, EXIT_USER_ERROR
from amp_train.sim.mujoco_cpu import MujocoSimulator
from amp_train.telemetry import MetricsFiles

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = [
    "experiment=run", "max_iterations=4", "video=False", "eval_interval=0", "num_envs=16", "num_threads=1",
    "train.params.config.horizon_length=8", "train.params.config.minibatch_size=64",
    "train.params.config.mini_epochs=1", "train.params.config.save_frequency=1",
    "train.params.config.save_max_share=1",
    "train.params.config.amp_minibatch_size=32", "train.params.config.amp_batch_size=32",
    "train.params.config.amp_obs_demo_buffer_size=256", "train.params.config.warm_start_steps=1",
    "train.params.config.amp_replay_buffer_size=256",
    "train.params.network.mlp.units=[16,8]", "train.params.network.disc.units=[16,8]",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _saves_are_never_put_off(monkeypatch):
    """As they would be on a busy machine, where one takes long."""
    monkeypatch.setattr(training_loop, "NEGLIGIBLE_S", float("inf"))


@pytest.fixture
def amp_train(monkeypatch, tmp_path, capfd):
    """Run the command in an empty directory; return its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()

    def run(*argv):
        flags = [text for text in argv if text.startswith("-")]
        monkeypatch.setattr(sys, "argv", ["amp-train", *flags, *SMALL, *argv[len(flags) :]])
        try:
            train.main()
            code = 0
        except SystemExit as ended:
            code = ended.code
        printed = capfd.readouterr()
        return code, printed.out + printed.err

    yield run
    torch.set_num_threads(threads)


@pytest.fixture
def at_row(monkeypatch):
    """Do something just after the row of an iteration was written."""

    def plan(iteration, do):
        write = MetricsFiles.write

        def then_do(self, row):
            write(self, row)
            if row["iteration"] == iteration:
                do()

        monkeypatch.setattr(MetricsFiles, "write", then_do)

    return plan


def rows(run_dir):
    with (run_dir / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def saved_iteration(run_dir):
    checkpoint, damaged = newest_valid(run_dir / "nn")
    assert damaged == []
    return checkpoint.iteration


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_the_training_after_the_iteration_saved_with_the_code_to_go_on(amp_train, at_row, name, tmp_path):
    number = getattr(signal, name)
    handler = signal.getsignal(number)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background ignores it
    at_row(2, lambda: os.kill(os.getpid(), number))
    code, printed = amp_train()
    assert code == EXIT_STOPPED and saved_iteration(tmp_path / "runs" / "run") == 2
    assert f"Stopped by {name} and saved. Continue with: amp-train resume=runs/run" in printed
    signal.signal(number, handler)


def test_a_time_limit_ends_the_training_saved(amp_train, tmp_path):
    code, printed = amp_train("max_time_s=0.01")
    assert code == EXIT_STOPPED and saved_iteration(tmp_path / "runs" / "run") == 1
    assert "Stopped by max_time_s=0.01 and saved" in printed


def test_a_time_limit_of_a_sweeps_job_lets_the_next_one_run(amp_train, tmp_path):
    code, printed = amp_train("-m", "seed=1,2", "max_time_s=0.01")
    assert code == 0 and printed.count("Stopped by max_time_s") == 2, printed
    assert [saved_iteration(tmp_path / "runs" / f"run_{job}") for job in (0, 1)] == [1, 1]


def test_a_second_training_in_a_run_directory_is_refused(amp_train, tmp_path):
    run_dir = tmp_path / "runs" / "run"
    run_dir.mkdir(parents=True)
    with RunLock(run_dir):
        for resume in ("never", "auto"):
            code, printed = amp_train("resume=" + resume)
            assert code == EXIT_USER_ERROR
            assert f"in use by process {os.getpid()} on {socket.gethostname()}" in printed
    assert sorted(path.name for path in run_dir.iterdir()) == [".lock"]


def test_a_full_disk_is_found_out_before_anything_starts(amp_train, small_disk):
    disk = small_disk(200_000)
    code, printed = amp_train(f"train_dir={disk}")
    assert code == EXIT_USER_ERROR
    assert "No space left on device" in printed and "Traceback" not in printed
    assert list(disk.iterdir()) == []


def diverge(monkeypatch, env_ids, steps):
    """Let the simulator say that some worlds diverge in some of its steps."""
    diverged, count = MujocoSimulator.diverged, [0]

    def says(self):
        count[0] += 1
        mask = diverged(self)
        if count[0] in steps:
            mask[env_ids] = True
        return mask

    monkeypatch.setattr(MujocoSimulator, "diverged", says)


def test_a_diverged_world_is_restarted_counted_dumped_and_the_training_goes_on(amp_train, monkeypatch, tmp_path):
    diverge(monkeypatch, [3, 5], steps=[10])
    code, printed = amp_train()
    run_dir = tmp_path / "runs" / "run"
    assert code == 0
    assert [row["num_diverged"] for row in rows(run_dir)] == ["0", "2", "2", "2"]
    assert np.load(run_dir / "diverged_physics_ep_2.npz")["env_id"].tolist() == [3, 5]
    assert "2 diverged" in printed


def test_physics_that_diverges_all_the_time_ends_the_training_with_one_line(amp_train, monkeypatch, tmp_path):
    diverge(monkeypatch, slice(None), steps=range(9, 1000))
    code, printed = amp_train()
    assert code == EXIT_FAILED
    (line,) = [line for line in printed.splitlines() if line.startswith("Error: ")]
    assert "Physics diverged in 128 of the last 256 environment steps" in line
    assert "diverged_physics_ep_2.npz" in line and "Traceback" not in printed
    # Of the iteration that went wrong too: its networks are finite.
    assert saved_iteration(tmp_path / "runs" / "run") == 2


def test_a_resumed_training_is_ended_by_diverging_physics_when_the_uninterrupted_one_is(
    amp_train, at_row, monkeypatch, tmp_path
):
    monkeypatch.setattr(divergence_watch, "MIN_WINDOW_STEPS", 600)
    diverge(monkeypatch, [3], steps=range(1, 1000))  # 8 times an iteration; more than 18 are too many
    argv = ["max_diverged_share=0.03", "max_iterations=9"]
    code, printed = amp_train(*argv, "experiment=whole")
    assert code == EXIT_FAILED and "diverged in 24 of the last 384 environment steps" in printed
    at_row(2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert amp_train(*argv)[0] == EXIT_STOPPED
    code, printed = amp_train(*argv, "resume=auto")
    assert code == EXIT_FAILED and "diverged in 24 of the last 384 environment steps" in printed
    assert saved_iteration(tmp_path / "runs" / "run") == saved_iteration(tmp_path / "runs" / "whole") == 3


def test_a_clip_that_vanishes_under_a_training_is_missed_by_nobody_but_the_video(amp_train, at_row, tmp_path):
    clip = tmp_path / "mine.npz"
    shutil.copy(str(MOTIONS_DIR / "walk.npz"), str(clip))
    at_row(1, clip.unlink)
    code, printed = amp_train("motion.file=mine.npz", "motion.contact_bodies=[all]", "eval_interval=2", "video=True")
    assert code == 0 and "Trained 4 iterations" in printed
    assert [bool(row["dtw_pose_error_m"]) for row in rows(tmp_path / "runs" / "run")] == [False, True, False, True]
    assert "video       none:" in printed and "mine.npz" in printed


def test_a_clip_that_changed_is_noticed_when_the_training_is_resumed(amp_train, at_row, tmp_path):
    clip = tmp_path / "mine.npz"
    shutil.copy(str(MOTIONS_DIR / "walk.npz"), str(clip))
    at_row(2, lambda: (shutil.copy(str(MOTIONS_DIR / "run.npz"), str(clip)), os.kill(os.getpid(), signal.SIGTERM)))
    argv = ["motion.file=mine.npz", "motion.contact_bodies=[all]"]
    assert amp_train(*argv)[0] == EXIT_STOPPED
    code, printed = amp_train(*argv, "resume=auto")
    assert code == EXIT_USER_ERROR and "mine.npz" in printed and "resume_allow" in printed


def start(folder, *argv, **environ):
    """Start the command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "amp_train.cli.train", *SMALL, *argv],
        cwd=str(folder),
        env=dict(os.environ, PYTHONPATH=str(REPOSITORY), PYTHONUNBUFFERED="1", **environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_a_wandb_that_never_answers_delays_neither_the_training_nor_its_end(tmp_path):
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(50)  # takes every connection and says nothing
    url = f"http://127.0.0.1:{server.getsockname()[1]}"
    process = start(tmp_path, "wandb_activate=True", WANDB_BASE_URL=url, WANDB_API_KEY="0" * 40, WANDB_MODE="online")
    read_at_s = [(line, time.time()) for line in process.stdout]
    process.wait(300)
    ended_s = time.time()
    server.close()
    out = "".join(line for line, _ in read_at_s)
    assert process.returncode == 0 and "Trained 4 iterations" in out, out
    assert out.count("wandb stopped; training continues") == 1
    (trained_s,) = [at_s for line, at_s in read_at_s if "Trained 4 iterations" in line]
    (drawn_s,) = [at_s for line, at_s in read_at_s if "  curves " in line]
    last_row_s = (tmp_path / "runs" / "run" / "metrics.csv").stat().st_mtime
    # 30 s of patience, then 2 s at the exit, and as much again for a busy machine; without limits it takes 100 s.
    assert trained_s - last_row_s < 45.0 and ended_s - drawn_s < 20.0


@pytest.mark.slow
def test_a_training_outlives_wandbs_own_process(tmp_path):
    process = start(
        tmp_path,
        "wandb_activate=True",
        "max_iterations=200",
        "train.params.config.save_frequency=100",
        WANDB_MODE="offline",
    )
    deadline_s = time.monotonic() + 300.0
    while process.poll() is None and not kill_wandb(process.pid):
        assert time.monotonic() < deadline_s, "wandb did not start"
        time.sleep(0.05)
    out, _ = process.communicate(timeout=500)
    assert process.returncode == 0 and "Trained 200 iterations" in out, out
    assert len(rows(tmp_path / "runs" / "run")) == 200


def kill_wandb(parent_pid):
    """Kill wandb's process, a child of another, if it is there; return whether it was."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            is_child = int(stat.read_text().rpartition(")")[2].split()[1]) == parent_pid
            if is_child and "wandb-core" in stat.with_name("cmdline").read_text():
                time.sleep(1.0)  # it has begun to work
                os.kill(int(stat.parent.name), signal.SIGKILL)
                return True
        except (OSError, ProcessLookupError):
            continue
    return False
