"""The real commands, as a user runs them: train, continue, play, sweep, in an empty directory."""

import csv
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from amp_train.checkpoint.load import safe_load
from amp_train.cli import play, train

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = [
    "num_envs=16",
    "num_threads=1",
    "task.env.episode_length=12",
    "train.params.config.horizon_length=8",
    "train.params.config.minibatch_size=64",
    "train.params.config.mini_epochs=1",
    "train.params.config.amp_minibatch_size=32",
    "train.params.config.amp_batch_size=32",
    "train.params.config.amp_obs_demo_buffer_size=256",
    "train.params.config.warm_start_steps=1",
    "train.params.config.amp_replay_buffer_size=256",
    "train.params.network.mlp.units=[16,8]",
    "train.params.network.disc.units=[16,8]",
]


def run(folder, command, *argv):
    """Run a command in a process of its own; return its stdout and stderr."""
    path = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(
        [sys.executable, "-m", "amp_train.cli." + command, *argv],
        cwd=str(folder),
        env=dict(os.environ, PYTHONPATH=path),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout, result.stderr


@pytest.fixture
def here(monkeypatch, tmp_path, in_process, caplog):
    """Run a command in this process, which saves the start, in an empty directory; return its stdout and warnings."""
    monkeypatch.chdir(tmp_path)
    return lambda command, *argv: (in_process(command, *argv).out, caplog.text)


def rows(run_dir):
    with (run_dir / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def newest(run_dir):
    return max((run_dir / "nn").glob("*.pth"), key=lambda path: path.stat().st_mtime_ns)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder in which a training named `first` of two iterations has run, and what it printed."""
    folder = tmp_path_factory.mktemp("e2e")
    printed = run(folder, "train", *SMALL, "experiment=first", "max_iterations=2", "seed=3")
    return folder, printed


def test_a_training_leaves_all_its_files_in_the_run_directory_and_says_where(trained):
    folder, (out, err) = trained
    run_dir = folder / "runs" / "first"
    assert [path.name for path in folder.iterdir()] == ["runs"]  # nothing strays
    for name in ("config.yaml", "metrics.csv", "metrics.jsonl", "curves.png", "rl_games.log", "video.mp4"):
        assert (run_dir / name).stat().st_size > 0, name
    assert list((run_dir / "summaries").glob("events*"))
    assert str(newest(run_dir).relative_to(folder)) in out
    assert "runs/first/curves.png" in out and "runs/first/video.mp4" in out
    assert "2/2" in err and "fps step" not in out


def test_metrics_have_a_row_an_iteration_with_what_one_wants_to_know(trained):
    folder, _ = trained
    first, second = rows(folder / "runs" / "first")
    assert [first["iteration"], second["iteration"]] == ["1", "2"]
    assert [first["frames"], second["frames"]] == ["128", "256"]  # 16 environments, 8 steps
    assert 1 <= float(second["episode_length"]) <= 12
    assert 0 <= float(second["style_reward_mean"])
    lines = (folder / "runs" / "first" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[1])["frames"] == 256


def test_the_checkpoint_alone_carries_configuration_and_versions(trained):
    folder, _ = trained
    checkpoint = newest(folder / "runs" / "first")
    torch.load(checkpoint, weights_only=True)
    extra = safe_load(checkpoint)["amp_train"]
    assert extra["config"]["num_envs"] == 16 and extra["config"]["seed"] == 3
    assert extra["versions"]["torch"] == torch.__version__
    saved = OmegaConf.load(folder / "runs" / "first" / "config.yaml")
    assert extra["config"] == OmegaConf.to_container(saved)


def test_a_continued_training_goes_on_counting_with_the_checkpoints_configuration(trained, here, tmp_path):
    checkpoint = newest(trained[0] / "runs" / "first")
    here(train, f"checkpoint={checkpoint}", "experiment=second", "max_iterations=3", "video=False")
    (row,) = rows(tmp_path / "runs" / "second")
    assert (row["iteration"], row["frames"]) == ("3", "384")
    config = OmegaConf.load(tmp_path / "runs" / "second" / "config.yaml")
    assert (config.num_envs, config.seed, list(config.train.params.network.mlp.units)) == (16, 3, [16, 8])


def test_playing_needs_the_checkpoint_only_and_leaves_a_video(trained, tmp_path):
    folder, _ = trained
    checkpoint = newest(folder / "runs" / "first")
    out, _ = run(tmp_path, "play", f"checkpoint={checkpoint}", "episodes=5", "num_envs=2", "video=out.mp4")
    assert out.startswith("6 episodes,")  # three in each of two environments
    assert "m/s" in out and "style reward" in out and "video: out.mp4" in out
    assert (tmp_path / "out.mp4").stat().st_size > 1000


def test_a_run_is_played_by_the_name_that_isaacgymenvs_gives_its_policy(trained, here):
    run_dir = trained[0] / "runs" / "first"
    out, _ = here(play, f"checkpoint={run_dir}/nn/first.pth", "episodes=2", "video=False")
    assert out.startswith("2 episodes,")


def test_ctrl_c_during_the_final_video_leaves_no_half_of_it(here, tmp_path, monkeypatch, capfd):
    def interrupted(path, *_):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("amp_train.viewers.record_video", interrupted)
    with pytest.raises(SystemExit) as caught:
        here(train, *SMALL, "max_iterations=1", "experiment=cut")
    printed = capfd.readouterr()
    assert caught.value.code == 130
    assert "video       none: interrupted. amp-play checkpoint=runs/cut/nn/" in printed.out
    assert "Traceback" not in printed.err
    assert not (tmp_path / "runs" / "cut" / "video.mp4").exists()
    assert newest(tmp_path / "runs" / "cut").is_file()


@pytest.mark.parametrize("redirection", ["| head -1", "<&- >&- 2>&-"])
def test_a_training_goes_on_when_its_terminal_is_gone(tmp_path, redirection):
    command = [
        sys.executable,
        "-m",
        "amp_train.cli.train",
        *SMALL,
        "max_iterations=2",
        "experiment=gone",
        "video=False",
    ]
    line = " ".join(map(shlex.quote, command)) + f" {redirection}; exit ${{PIPESTATUS[0]}}"
    path = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(
        ["bash", "-c", line], cwd=str(tmp_path), env=dict(os.environ, PYTHONPATH=path), capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert result.returncode == 0 and "Traceback" not in result.stderr
    run_dir = tmp_path / "runs" / "gone"
    assert [row["iteration"] for row in rows(run_dir)] == ["1", "2"]
    for file in ("metrics.csv", "metrics.jsonl", "config.yaml", "rl_games.log"):
        assert "Training HumanoidAMP" not in (run_dir / file).read_text()
    torch.load(newest(run_dir), weights_only=True)


def test_playing_is_reproducible_and_seeded(trained, here):
    checkpoint = f"checkpoint={newest(trained[0] / 'runs' / 'first')}"
    argv = [checkpoint, "episodes=4", "video=False", "deterministic=False"]
    first, again, other = (here(play, *argv, "seed=" + seed)[0] for seed in ("0", "0", "1"))
    assert first == again != other


def test_test_true_plays_as_in_isaacgymenvs(trained, here, tmp_path):
    checkpoint = f"checkpoint={newest(trained[0] / 'runs' / 'first')}"
    out, _ = here(train, "task=HumanoidAMP", "test=True", checkpoint, "num_envs=2", "video=False")
    assert "16 episodes," in out
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_gives_each_job_its_own_run_directory(here, tmp_path):
    here(train, "-m", *SMALL, "max_iterations=1", "video=False", "experiment=sweep", "seed=1,2")
    seeds = {path.name: OmegaConf.load(path / "config.yaml").seed for path in (tmp_path / "runs").glob("sweep_*")}
    assert seeds == {"sweep_0": 1, "sweep_1": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_wandb_offline_gets_the_scalars_and_leaves_no_trace_elsewhere(here, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    here(train, *SMALL, "max_iterations=1", "video=False", "experiment=w", "wandb_activate=True")
    (log,) = (tmp_path / "runs" / "w" / "wandb").glob("offline-run-*/run-*.wandb")
    content = log.read_bytes()
    for tag in (b"losses/a_loss", b"info/disc_agent_acc", b"info/episode_length"):
        assert tag in content
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_a_training_goes_on_when_wandb_cannot_start(here, monkeypatch):
    def broken(**_):
        raise RuntimeError("no network")

    monkeypatch.setattr("wandb.init", broken)
    out, warnings = here(train, *SMALL, "max_iterations=1", "video=False", "wandb_activate=True")
    assert "Trained 1 iterations" in out
    assert warnings.count("wandb stopped; training continues") == 1
