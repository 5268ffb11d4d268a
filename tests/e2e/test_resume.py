"""A training that is stopped, crashes or finds a broken checkpoint goes on as if nothing had happened."""

import csv
import sys
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from amp_train.checkpoint.load import safe_load
from amp_train.checkpoint.store import read_manifests
from amp_train.cli import train
from amp_train.runner.stopping import EXIT_STOPPED, EXIT_USER_ERROR, StopRequest
from amp_train.telemetry import MetricsFiles

ITERATIONS = 7
ARGV = [
    f"max_iterations={ITERATIONS}", "experiment=run", "resume=auto", "video=False", "eval_interval=3", "seed=5",
    "num_envs=16", "num_threads=1",
    "task.env.episode_length=12",  # not a multiple of the horizon: checkpoints lie within episodes
    "train.params.config.horizon_length=8", "train.params.config.minibatch_size=64",
    "train.params.config.mini_epochs=2", "train.params.config.lr_schedule=adaptive",
    "train.params.config.save_best_after=1", "train.params.config.save_frequency=2",
    "train.params.config.save_max_share=1",
    "train.params.config.amp_minibatch_size=32", "train.params.config.amp_batch_size=32",
    "train.params.config.amp_obs_demo_buffer_size=256",
    "train.params.config.warm_start_steps=1",
    "train.params.config.amp_replay_buffer_size=200", "train.params.config.amp_replay_keep_prob=0.5",  # wraps around
    "task.task.randomize=True", "task.task.randomization_params.frequency=5",
    "task.task.randomization_params.observations.range_correlated=[0.0,0.01]",
    "train.params.network.mlp.units=[16,8]", "train.params.network.disc.units=[16,8]",
]  # fmt: skip
TIMES = ("time_s", "samples_per_s")


class Crash(BaseException):
    """Nobody catches it."""


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The run directory of a training that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["amp-train", *ARGV])
        train.main()
    return folder / "runs" / "run"


@pytest.fixture
def amp_train(monkeypatch, tmp_path, capfd):
    """Run the command in an empty directory; return what it printed."""
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()

    def run(*argv, exit_code=None):
        monkeypatch.setattr(sys, "argv", ["amp-train", *argv])
        if exit_code is None:
            train.main()
        else:
            with pytest.raises(SystemExit) as ended:
                train.main()
            assert ended.value.code == exit_code
        captured = capfd.readouterr()
        return captured.out + captured.err

    yield run
    torch.set_num_threads(threads)


@pytest.fixture
def crash_at(monkeypatch, amp_train):
    """Train until the row of an iteration is about to be written, and no further."""

    def crash(iteration, *argv):
        write = MetricsFiles.write

        def write_or_crash(self, row):
            write(self, row)
            if row["iteration"] == iteration:
                raise Crash

        with monkeypatch.context() as patch:
            patch.setattr(MetricsFiles, "write", write_or_crash)
            with pytest.raises(Crash):
                amp_train(*(argv or ARGV))

    return crash


@pytest.fixture
def stop_after(monkeypatch, amp_train):
    """Train until a reason to stop comes after so many iterations."""

    def stop(iterations, *argv):
        asked = []
        with monkeypatch.context() as patch:
            patch.setattr(
                StopRequest,
                "__call__",
                lambda self: asked.append(1) or ("a whim" if len(asked) == iterations else None),
            )
            return amp_train(*(argv or ARGV), exit_code=EXIT_STOPPED)

    return stop


def final_policy(run_dir):
    ((checkpoint, *_), damaged) = read_manifests(run_dir / "nn")
    assert damaged == [] and checkpoint.iteration == ITERATIONS
    return safe_load(checkpoint.policy)


def rows(run_dir):
    with (run_dir / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]


def scalars(run_dir):
    """Return every scalar of tensorboard's files, but for those that measure time or are drawn over it."""
    events = EventAccumulator(str(run_dir / "summaries"), size_guidance={"scalars": 0}, purge_orphaned_data=False)
    events.Reload()
    tags = [tag for tag in events.Tags()["scalars"] if not tag.startswith("performance/") and not tag.endswith("/time")]
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags}


def assert_same(run_dir, other):
    policy, expected = final_policy(run_dir), final_policy(other)
    for name, tensor in expected["model"].items():
        assert torch.equal(policy["model"][name], tensor), name
    for number, moments in expected["optimizer"]["state"].items():
        for name, moment in moments.items():
            assert torch.equal(policy["optimizer"]["state"][number][name], moment), name
    assert policy["optimizer"]["param_groups"] == expected["optimizer"]["param_groups"]
    assert policy["last_mean_rewards"] == expected["last_mean_rewards"]
    for name, tensor in expected["amp_input_mean_std"].items():
        assert torch.equal(policy["amp_input_mean_std"][name], tensor), name
    assert rows(run_dir) == rows(other)
    assert scalars(run_dir) == scalars(other)


def test_the_uninterrupted_training_is_what_it_takes_to_tell(uninterrupted):
    its_rows, steps = rows(uninterrupted), [step for step, _ in scalars(uninterrupted)["losses/disc_loss"]]
    assert [row["iteration"] for row in its_rows] == [str(i) for i in range(1, ITERATIONS + 1)]
    assert steps == [128 * i for i in range(ITERATIONS)]
    assert [bool(row["dtw_pose_error_m"]) for row in its_rows] == [False, False, True, False, False, True, True]
    assert len({row["lr"] for row in its_rows}) > 1  # the adaptive rate moves
    assert {row["episodes"] for row in its_rows} != {"0"}


def test_a_training_that_crashed_is_continued_from_its_last_checkpoint_bit_for_bit(crash_at, amp_train, uninterrupted):
    crash_at(5)  # the last checkpoint is of iteration 4: a row and scalars too many
    assert len(rows(Path("runs/run"))) == 5
    printed = amp_train(*ARGV)
    assert "Resuming runs/run after iteration 4, 512 samples" in printed
    assert_same(Path("runs/run"), uninterrupted)


def test_a_training_that_was_stopped_says_how_to_go_on_and_goes_on_bit_for_bit(stop_after, amp_train, uninterrupted):
    printed = stop_after(3)
    assert "Stopped by a whim and saved. Continue with: amp-train resume=runs/run" in printed
    assert len(rows(Path("runs/run"))) == 3
    amp_train("resume=runs/run")  # with the checkpoint's configuration
    assert_same(Path("runs/run"), uninterrupted)


SCHEDULED = "task.task.randomization_params.actor_params.humanoid.rigid_body_properties.mass.schedule_steps=30"
VARIANTS = {
    "adaptive starts": ["motion=spin"],
    "a data set": ["motion=locomotion"],
    "the PPO recipe": ["train=HumanoidAMPPPO"],
    "the PPO recipe of a low gradient penalty": ["train=HumanoidAMPPPOLowGP"],
    "the recipe for IsaacGymEnvs": ["recipe=isaacgymenvs"],
    "random draws whose range grows": ["task.task.randomize=True", SCHEDULED],
    "a task with a goal": ["task=HumanoidAMPHeading"],
    "a task with a ball that is touched": ["task=HumanoidAMPDribble", "task.goal.ball_distance_m=[0.2,0.4]"],
    "a task with targets": ["task=HumanoidAMPStrike"],
    "episodes that go on from a fall": ["task=HumanoidAMPGetup", "task.goal.go_on_prob=0.9", "task.goal.drop_prob=0.3"],
    "terrain": ["task=HumanoidAMPObstacles"],
}


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_every_kind_of_training_goes_on_bit_for_bit(variant, amp_train, stop_after):
    argv = [text for text in ARGV if not text.startswith(("task.task.randomi", "eval_interval="))]
    argv += [*VARIANTS[variant], "eval_interval=0"]
    amp_train(*argv, "experiment=whole")
    stop_after(4, *argv)
    assert rows(Path("runs/run"))[-1]["iteration"] == "4"
    amp_train(*argv)
    assert_same(Path("runs/run"), Path("runs/whole"))


def test_after_going_back_and_a_kill_the_training_goes_on_from_there_and_no_row_is_missing(
    crash_at, amp_train, uninterrupted
):
    crash_at(5)
    newest, before = read_manifests("runs/run/nn")[0]
    assert (newest.iteration, before.iteration) == (4, 2)
    crash_at(3, f"resume={before.policy}")  # no checkpoint is due at 3
    assert [c.iteration for c in read_manifests("runs/run/nn")[0]] == [2]
    assert [c.iteration for c in read_manifests("runs/run/superseded")[0]] == [4]
    assert "\n4," in Path(f"runs/run/superseded/{newest.name}.metrics.csv").read_text()
    printed = amp_train(*ARGV)
    assert "after iteration 2" in printed
    assert_same(Path("runs/run"), uninterrupted)


def test_a_broken_checkpoint_is_named_and_skipped_and_the_one_before_it_used(crash_at, amp_train, uninterrupted):
    crash_at(5)
    newest, before = read_manifests("runs/run/nn")[0]
    assert (newest.iteration, before.iteration) == (4, 2)
    content = bytearray(newest.state().read_bytes())
    content[len(content) // 2] ^= 1
    newest.state().write_bytes(content)
    refusal = amp_train(f"resume={newest.policy}", exit_code=EXIT_USER_ERROR)
    assert f"{newest.name} is damaged" in refusal and "resume=runs/run" in refusal
    printed = amp_train(*ARGV)
    assert f"Skipped checkpoint {newest.name}: {newest.state().name} is corrupted" in printed
    assert "after iteration 2" in printed
    assert Path("runs/run/superseded", newest.policy.name).is_file()
    assert_same(Path("runs/run"), uninterrupted)


def test_a_training_that_crashed_before_its_first_checkpoint_begins_anew(crash_at, amp_train, uninterrupted):
    crash_at(1)
    assert "nothing to resume in runs/run" in amp_train(*ARGV)
    assert_same(Path("runs/run"), uninterrupted)


def test_a_finished_training_is_left_as_it_is(crash_at, amp_train, uninterrupted, monkeypatch):
    monkeypatch.chdir(uninterrupted.parents[1])
    before = {path: path.stat().st_mtime_ns for path in (uninterrupted / "nn").iterdir()}
    assert f"All {ITERATIONS} iterations are done" in amp_train(*ARGV)
    assert {path: path.stat().st_mtime_ns for path in (uninterrupted / "nn").iterdir()} == before
    error = amp_train("resume=runs/run", exit_code=EXIT_USER_ERROR)
    assert "has done 7 of 7 iterations: set a larger max_iterations=" in error


def test_what_would_make_it_another_training_is_refused_or_allowed_by_name(uninterrupted, amp_train, tmp_path):
    folder = f"resume={uninterrupted}"
    error = amp_train(folder, "max_iterations=9", "train.params.config.gamma=0.5", exit_code=EXIT_USER_ERROR)
    assert "train.params.config.gamma: 0.97 -> 0.5" in error
    assert "resume_allow=[train.params.config.gamma]" in error
    error = amp_train(folder, "num_envs=32", exit_code=EXIT_USER_ERROR)
    assert "num_envs: 16 -> 32" in error and "checkpoint=" in error
    assert list(tmp_path.iterdir()) == []


class FakeWandb:
    """Records what wandb would get; a server drops steps below its newest, as wandb's does."""

    def __init__(self):
        self.runs, self.logged = [], {}

    def init(self, **args):
        self.runs.append((args["id"], args["resume"]))
        return self

    def log(self, scalars, step):
        scalars = {k: v for k, v in scalars.items() if not k.startswith("performance/")}
        before = self.logged.setdefault(step, {})
        assert {k: scalars.get(k) for k in before} == before  # what is dropped was the same
        before.update(scalars)

    def finish(self):
        pass


def test_wandb_continues_the_same_run_without_gap_or_contradiction(crash_at, amp_train, monkeypatch, uninterrupted):
    fake, argv = FakeWandb(), [*ARGV, "wandb_activate=True"]
    monkeypatch.setattr("wandb.init", fake.init)
    crash_at(5, *argv)
    assert len(fake.logged) >= 4
    amp_train(*argv)
    assert len(set(fake.runs)) == 1 and fake.runs[0][1] == "allow" and len(fake.runs) == 2
    assert sorted(fake.logged) == [128 * i for i in range(ITERATIONS)]
    expected = dict(scalars(uninterrupted)["losses/disc_loss"])
    assert {step: got["losses/disc_loss"] for step, got in fake.logged.items()} == pytest.approx(expected, rel=1e-6)
