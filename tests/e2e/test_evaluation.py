"""amp-eval, and the evaluation during a training, as a user meets them."""

import csv
import json
import sys

import numpy as np
import pytest
import torch
from test_commands import SMALL

from amp_train.checkpoint.load import safe_load
from amp_train.cli import eval as evaluation
from amp_train.cli import train
from amp_train.evaluation import alignment


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("evaluation")


@pytest.fixture
def here(monkeypatch, folder, in_process):
    """Run a command in this process, in one empty directory; return its stdout."""
    monkeypatch.chdir(folder)
    return lambda command, *argv: in_process(command, *argv).out


def newest(folder, name):
    return str(max((folder / "runs" / name / "nn").glob("last*.pth"), key=lambda path: path.stat().st_mtime_ns))


@pytest.fixture
def trained(here, folder):
    """Two trainings that differ in whether they are evaluated."""
    for name, interval in (("with", 2), ("without", 0)):
        if not (folder / "runs" / name).exists():
            argv = ["seed=3", "max_iterations=3", "video=False", "experiment=" + name]
            here(train, *SMALL, *argv, f"eval_interval={interval}")
    return folder


def test_a_training_is_measured_at_the_interval_and_at_its_end(trained):
    with (trained / "runs" / "with" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["dtw_pose_error_m"] != "" for row in rows] == [False, True, True]
    assert 0.0 < float(rows[1]["dtw_pose_error_m"]) < 1.0
    assert 0.0 < float(rows[1]["eval_episode_s"]) <= 3.0 and 0.0 <= float(rows[1]["eval_fall_rate"]) <= 1.0
    assert {row["disc_health"] for row in rows} <= {"healthy", "saturated", "collapsed", "starved"}
    events = next((trained / "runs" / "with" / "summaries").glob("events*")).read_bytes()
    assert b"info/dtw_pose_error_m" in events and b"info/disc_healthy" in events


def test_a_training_learns_the_same_whether_it_is_measured_or_not(trained):
    measured, unmeasured = (safe_load(newest(trained, name)) for name in ("with", "without"))
    assert measured["frame"] == unmeasured["frame"] == 3 * 16 * 8
    for name, value in measured["model"].items():
        assert torch.equal(value, unmeasured["model"][name]), name


def test_a_checkpoint_is_evaluated_from_itself_alone(trained, here, tmp_path):
    out = tmp_path / "deep" / "report.json"
    argv = ["checkpoint=" + newest(trained, "with"), "episodes=3", "seeds=5,6", "episode_s=0.5"]
    printed = here(evaluation, *argv, f"out={out}", f"plots={tmp_path / 'plots'}")
    report = json.loads(out.read_text())
    needed = {
        "dtw_pose_error_m", "dtw_pose_error_std_m", "fall_rate", "mean_episode_s", "root_speed_m_s", "clip_speed_m_s",
        "style_reward", "episodes", "seeds",
    }  # fmt: skip
    assert needed <= set(report) and needed - {"episodes", "seeds"} <= set(report["noisy"])
    assert (report["episodes"], report["seeds"]) == (3, [5, 6])
    assert report["clip_speed_m_s"] == pytest.approx(0.98, abs=0.01)
    assert 0.0 < report["mean_episode_s"] <= 0.5 + 1e-6
    assert sum(report["ends"].values()) == 6  # each episode once
    assert report["clip_share"] == {"walk": 1.0}
    assert "pose error" in printed and "discriminator" in printed and str(out) in printed
    for name in ("alignment.png", "joint_angles.png", "height_speed.png"):
        assert (tmp_path / "plots" / name).stat().st_size > 1000


def test_pushes_make_a_policy_fall_and_change_nothing_else(here, tmp_path):
    def report(*argv):
        given = ["checkpoint=pretrained/walk", "episodes=4", "seeds=0", "episode_s=7"]
        printed = here(evaluation, *given, f"out={tmp_path / 'report.json'}", *argv)
        return printed, json.loads((tmp_path / "report.json").read_text())

    (_, alone), (printed, pushed) = report(), report("push=1500")
    found = pushed.pop("pushed")
    assert pushed == alone
    assert found["push_n"] == 1500.0 and found["fall_rate"] == 1.0 and sum(found["ends"].values()) == 4
    assert "pushed, 1500 N  100.0% falls" in printed


def test_an_evaluation_is_reproducible_and_its_episodes_begin_anywhere(trained, here, tmp_path):
    def errors(seeds):
        argv = ["checkpoint=" + newest(trained, "with"), "episodes=2", "episode_s=0.4", "seeds=" + seeds]
        here(evaluation, *argv, f"out={tmp_path / 'report.json'}")
        report = json.loads((tmp_path / "report.json").read_text())
        return report["dtw_pose_error_by_seed_m"], report["noisy"]["dtw_pose_error_by_seed_m"]

    assert errors("7") == errors("7") != errors("8")


@pytest.mark.parametrize(
    "argv, said",
    [
        ([], "checkpoint="),
        (["checkpoint=missing.pth"], "missing.pth"),
        (["checkpoint=missing.pth", "episodes=0"], "episodes"),
        (["checkpoint=missing.pth", "seeds=1,1"], "seeds"),
        (["checkpoint=missing.pth", "seeds=a"], "seeds"),
        (["checkpoint=missing.pth", "episode_s=-1"], "episode_s"),
        (["checkpoint=missing.pth", "out=True"], "out="),
        (["checkpoint=missing.pth", "seed=1"], "seeds="),
        (["checkpoint=missing.pth", "num_envs=4"], "episodes="),
        (["checkpoint=missing.pth", "bogus"], "bogus"),
    ],
)
def test_amp_eval_says_in_one_line_what_is_wrong(monkeypatch, tmp_path, capsys, argv, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["amp-eval", *argv])
    with pytest.raises(SystemExit) as caught:
        evaluation.main()
    printed = capsys.readouterr()
    assert caught.value.code == 2 and printed.out == ""
    assert said in printed.err and printed.err.count("\n") == 1


def test_a_place_where_nothing_can_be_written_is_said_before_the_work(trained, monkeypatch, tmp_path, capfd):
    (tmp_path / "file").write_text("")
    for argument in (
        f"out={tmp_path}",
        f"out={tmp_path}/file/x.json",
        f"plots={tmp_path}/file",
    ):
        monkeypatch.setattr(sys, "argv", ["amp-eval", "checkpoint=" + newest(trained, "with"), argument])
        with pytest.raises(SystemExit):
            evaluation.main()
        printed = capfd.readouterr()
        assert printed.out == "" and "cannot be written" in printed.err and printed.err.count("\n") == 1


def test_alignments_in_several_processes_are_those_in_one(monkeypatch):
    generator = np.random.default_rng(0)
    jobs = [(generator.random((12, 5)), 5) for _ in range(6)]
    monkeypatch.setattr(alignment, "SERIAL_CELLS", 0)
    for alone, together in zip(alignment.align_all(jobs), alignment.align_all(jobs, workers=2)):
        assert alone.error_m == together.error_m and np.array_equal(alone.path, together.path)
