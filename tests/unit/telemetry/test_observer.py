"""The observer: one row an iteration from rl_games' hooks."""

from types import SimpleNamespace

import pytest
import torch

from amp_train.distributed.ranks import ALONE, Ranks
from amp_train.telemetry import TrainingObserver
from amp_train.telemetry.sinks import RowSink, ScalarSink, ScalarTee


class Recorder(RowSink):
    def __init__(self):
        self.started, self.rows, self.closed = None, [], False

    def start(self, iteration, max_iterations):
        self.started = (iteration, max_iterations)

    def write(self, row):
        self.rows.append(row)

    def close(self):
        self.closed = True


class Writer:
    def __init__(self):
        self.scalars, self.closed = {}, False

    def add_scalar(self, tag, value, step):
        self.scalars[tag, step] = value

    def close(self):
        self.closed = True


@pytest.fixture
def agent():
    return SimpleNamespace(
        ppo_device="cpu",
        ranks=ALONE,
        writer=Writer(),
        epoch_num=7,
        max_epochs=9,
        frame=700,
        curr_frames=100,
        current_lengths=torch.tensor([5.0, 50.0, 500.0]),
        epoch_stats={"style_reward_mean": 0.25},
    )


def step(observer, done, terminated):
    observer.process_infos({"terminate": torch.tensor(terminated)}, torch.tensor(done))


def test_a_row_tells_episodes_samples_and_what_the_agent_measured(agent):
    sink = Recorder()
    observer = TrainingObserver([sink], counts=lambda: {"num_diverged": 2})
    observer.after_init(agent)
    step(observer, [True, False, True], [True, False, False])
    assert sink.started == (6, 9)  # iteration 7 has begun
    observer.after_steps()
    observer.after_print_stats(600, 7, 1.0)
    (row,) = sink.rows
    assert (row["iteration"], row["frames"], row["episodes"]) == (7, 700, 2)
    assert (row["episode_length"], row["termination_share"]) == (252.5, 0.5)
    assert (row["style_reward_mean"], row["num_diverged"]) == (0.25, 2)
    assert row["samples_per_s"] > 0
    assert agent.writer.scalars["info/episode_length", 600] == 252.5
    assert agent.writer.scalars["info/num_diverged", 600] == 2


class TwinRanks(Ranks):
    """Two ranks, of which the other one counts the same."""

    world_size = 2

    def sum(self, values):
        return [2.0 * value for value in values]


def test_episodes_samples_and_counts_of_all_processes_are_told(agent):
    sinks = [Recorder(), Recorder()]
    for sink, agent.ranks in zip(sinks, (ALONE, TwinRanks())):
        observer = TrainingObserver([sink], counts=lambda: {"num_diverged": 2})
        observer.after_init(agent)
        step(observer, [True, False, True], [True, False, False])
        observer._last_s -= 100.0  # so that the few microseconds between the readings do not count
        observer.after_steps()
        observer.after_print_stats(600, 7, 1.0)
    alone, twin = sinks[0].rows[0], sinks[1].rows[0]
    assert (twin["episodes"], twin["num_diverged"]) == (4, 4) and (alone["episodes"], alone["num_diverged"]) == (2, 2)
    assert twin["samples_per_s"] == pytest.approx(2.0 * alone["samples_per_s"], rel=0.1)
    assert (twin["episode_length"], twin["termination_share"]) == (252.5, 0.5)


def test_an_iteration_without_an_end_has_no_episode_length(agent):
    sink = Recorder()
    observer = TrainingObserver([sink])
    observer.after_init(agent)
    step(observer, [False, False, False], [False, False, False])
    observer.after_steps()
    observer.after_print_stats(600, 7, 1.0)
    assert sink.rows[0]["episode_length"] is None
    assert ("info/episode_length", 600) not in agent.writer.scalars


def test_closing_hands_on_the_last_scalars_and_closes_everything(agent):
    class Scalars(ScalarSink):
        logged, closed = None, False

        def log(self, scalars, step):
            self.logged = (scalars, step)

        def close(self):
            self.closed = True

    sink, scalars, writer = Recorder(), Scalars(), agent.writer
    observer = TrainingObserver([sink], scalars)
    observer.after_init(agent)
    assert isinstance(agent.writer, ScalarTee)
    agent.writer.add_scalar("losses/a", 1.0, 3)
    observer.close()
    assert scalars.logged == ({"losses/a": 1.0}, 3)
    assert sink.closed and scalars.closed and writer.closed


def test_closing_before_the_agent_exists_is_harmless():
    sink = Recorder()
    TrainingObserver([sink]).close()
    assert sink.closed


def test_a_row_has_the_discriminators_health_and_tensorboard_has_it_as_a_number(agent):
    agent.epoch_stats = {
        "disc_agent_acc": 1.0, "disc_demo_acc": 1.0, "disc_agent_logit": -6.0, "disc_demo_logit": 5.0,
        "style_reward_std": 0.04,
    }  # fmt: skip
    sink = Recorder()
    observer = TrainingObserver([sink], extra=lambda: {"dtw_pose_error_m": None}, reward_scale=2.0)
    observer.after_init(agent)
    step(observer, [False, False, False], [False, False, False])
    observer.after_steps()
    observer.after_print_stats(600, 7, 1.0)
    assert sink.rows[0]["disc_health"] == "saturated" and "disc_grad_penalty" in sink.rows[0]["disc_advice"]
    assert agent.writer.scalars["info/disc_healthy", 600] == 0.0
    assert ("info/dtw_pose_error_m", 600) not in agent.writer.scalars
