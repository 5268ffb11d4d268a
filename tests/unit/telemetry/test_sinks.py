"""Where measurements go: files, the bar, tensorboard and beyond."""

import csv
import io
import json

import torch

from amp_train.telemetry import MetricsFiles, ProgressBar, stdout_to_file
from amp_train.telemetry.observer import EpisodeMeter
from amp_train.telemetry.sinks import ScalarSink, ScalarTee


def row(iteration, **values):
    base = {"iteration": iteration, "samples_per_s": 1000.0, "episode_length": 20.0}
    return dict(base, **values)


def test_episode_lengths_and_ends_are_averaged_and_then_forgotten():
    meter = EpisodeMeter("cpu")
    nobody = torch.tensor([False, False, False])
    meter.add(torch.tensor([True, True, False]), torch.tensor([10.0, 20.0, 7.0]), torch.tensor([True, False, False]))
    meter.add(nobody, torch.tensor([1.0, 1.0, 8.0]), nobody)
    meter.add(torch.tensor([False, False, True]), torch.tensor([2.0, 2.0, 60.0]), nobody)
    assert meter.pop() == (3, 30.0, 1 / 3)
    assert meter.pop() == (0, None, None)


def test_metrics_files_hold_a_row_an_iteration(tmp_path):
    files = MetricsFiles(tmp_path)
    files.write(row(1, episode_length=None))
    files.write(row(2))
    with (tmp_path / "metrics.csv").open() as file:  # on disk before they are closed
        first, second = csv.DictReader(file)
    assert (first["iteration"], first["episode_length"]) == ("1", "")
    assert (second["iteration"], second["episode_length"]) == ("2", "20.0")
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["episode_length"] is None
    files.close()


def test_a_continued_run_appends_to_its_metrics_under_one_header(tmp_path):
    for iteration in (1, 2):
        files = MetricsFiles(tmp_path)
        files.write(row(iteration, new_column=3) if iteration == 2 else row(iteration))
        files.close()
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert lines[0] == "iteration,samples_per_s,episode_length"
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2"]
    assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[1])["new_column"] == 3


def test_the_bar_shows_where_the_training_is_and_whether_it_learns():
    stream = io.StringIO()
    bar = ProgressBar(stream)
    bar.start(40, 50)
    bar.write(row(41, style_reward_mean=0.5, disc_agent_acc=0.9, disc_demo_acc=0.7))
    bar.write(row(42, episode_length=None))
    bar.close()
    shown = stream.getvalue()
    assert "42/50" in shown
    last = shown.split("\r")[-1]
    assert "1000 samples/s" in last and "episode 20 steps" in last  # the last length known
    bar = ProgressBar(stream)
    bar.start(0, 1)
    bar.write(row(1, style_reward_mean=0.5, disc_agent_acc=0.9, disc_demo_acc=0.7))
    bar.close()
    assert "style 0.500, disc acc 0.80" in stream.getvalue()


def test_the_bar_shows_the_task_reward_of_a_task_with_a_goal_only():
    stream = io.StringIO()
    for reward in (1.0, 0.25):
        bar = ProgressBar(stream)
        bar.start(0, 1)
        bar.write(row(1, style_reward_mean=0.5, task_reward_mean=reward))
        bar.close()
    assert "style 0.500, task 0.250" in stream.getvalue() and "task 1" not in stream.getvalue()


def test_a_terminal_that_is_gone_does_not_end_the_training():
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError("nobody reads")

        def flush(self):
            raise OSError("no terminal")

    bar = ProgressBar(Gone())
    bar.start(0, 20 + 1)
    for iteration in range(21):
        bar.write(row(iteration, disc_advice="Lower it."))
    bar.close()


def test_the_bar_tells_of_diverged_physics_only_where_there_is_some():
    bar = ProgressBar(io.StringIO())
    assert "diverged" not in bar._summary(row(1, num_diverged=0))
    assert "3 diverged" in bar._summary(row(2, num_diverged=3))


class Recorder(ScalarSink):
    def __init__(self):
        self.logged = []

    def log(self, scalars, step):
        self.logged.append((step, scalars))


class FakeWriter:
    def __init__(self):
        self.scalars, self.closed = [], False

    def add_scalar(self, tag, value, step=None):
        self.scalars.append((tag, value, step))

    def close(self):
        self.closed = True

    def flush(self):
        self.flushed = True


def test_scalars_of_one_step_reach_the_sink_together_and_all_reach_tensorboard():
    writer, sink = FakeWriter(), Recorder()
    tee = ScalarTee(writer, sink)
    tee.add_scalar("losses/a", torch.tensor(1.5), 100)
    tee.add_scalar("rewards/step", 2.0, 100)
    tee.add_scalar("rewards/iter", 2.0, 1)
    tee.add_scalar("rewards/time", 2.0, 0.5)
    tee.add_scalar("text", "not a number", 100)
    tee.add_scalar("losses/a", 2.5, 200)
    assert sink.logged == [(100, {"losses/a": 1.5, "rewards/step": 2.0})]
    tee.close()
    assert sink.logged[1] == (200, {"losses/a": 2.5})
    assert len(writer.scalars) == 6 and writer.closed


def test_what_waits_for_its_step_to_end_is_handed_on_before_a_checkpoint():
    writer, sink = FakeWriter(), Recorder()
    tee = ScalarTee(writer, sink)
    tee.add_scalar("losses/a", 1.5, 100)
    tee.flush()
    assert sink.logged == [(100, {"losses/a": 1.5})] and writer.flushed


def test_prints_of_rl_games_go_to_a_file(tmp_path, capsys):
    with stdout_to_file(tmp_path / "log"):
        print("build mlp")
    print("shown")
    assert capsys.readouterr().out == "shown\n"
    assert (tmp_path / "log").read_text() == "build mlp\n"


def test_the_bar_says_once_what_to_change_when_the_discriminator_stays_unfit():
    stream = io.StringIO()
    bar = ProgressBar(stream)
    bar.start(0, 200)
    for iteration in range(100):
        bar.write(row(iteration, disc_health="saturated", disc_advice="Lower it."))
    bar.write(row(101, disc_health="healthy", disc_advice="", dtw_pose_error_m=0.0451, eval_frames_covered=0.9))
    bar.write(row(102, disc_health="healthy", disc_advice="", dtw_pose_error_m=None))
    summary = bar._summary(row(103, disc_health="healthy", disc_advice="", dtw_pose_error_m=None))
    bar.close()
    assert stream.getvalue().count("Lower it.") == 1
    assert "disc healthy" in summary and "pose error 0.045 m on 90% of the clip" in summary
