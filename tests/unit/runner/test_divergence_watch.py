"""Rare divergence is dumped and survived; frequent divergence ends the training with one line."""

import logging
from types import SimpleNamespace

import pytest
import torch

from amp_train.env.divergence import Divergences
from amp_train.errors import SimulationError
from amp_train.runner import divergence_watch
from amp_train.runner.divergence_watch import DivergenceWatch

STEPS = 16384  # 1024 environments, 16 steps


class Env:
    """Tells what it is told to."""

    spec = None

    def __init__(self, *nums, steps=STEPS):
        self._found = iter(nums)
        self._steps = steps
        self.simulator = SimpleNamespace(pop_warnings=list)

    def pop_divergences(self):
        empty = torch.zeros(0)
        return Divergences(next(self._found), self._steps, empty, empty, empty, empty)


@pytest.fixture(autouse=True)
def _dumps(monkeypatch):
    monkeypatch.setattr(divergence_watch, "save_dump", lambda path, *_: path.write_bytes(b"dump"))


def watch(tmp_path, *nums, share=0.01, **kwargs):
    """Check one iteration for each number; return after how many it was ended, None if never."""
    watching = DivergenceWatch(Env(*nums, **kwargs), tmp_path, share)
    for iteration in range(1, len(nums) + 1):
        try:
            watching.check(iteration)
        except SimulationError:
            return iteration
    return None


def test_below_the_rate_the_training_goes_on_and_above_it_stops(tmp_path):
    assert watch(tmp_path, *[163] * 5) is None  # of 16384 it is 0.995 %
    assert watch(tmp_path, 0, 0, 164, 0) == 3


def test_the_rate_is_counted_anew_after_each_window(tmp_path):
    assert watch(tmp_path, *[0] * 50, 164) == 51  # the quiet past does not excuse it
    assert watch(tmp_path, *[100] * 50) is None


def test_few_steps_are_gathered_before_they_count_and_yet_a_flood_is_seen_early(tmp_path):
    assert watch(tmp_path, *[1] * 78, steps=128) is None  # 0.78 %
    assert watch(tmp_path, *[2] * 78, steps=128) == 51  # 102 are more than 1 % of any 10,000 steps


def test_the_message_says_how_often_where_to_look_and_what_to_change(tmp_path):
    watching = DivergenceWatch(Env(500), tmp_path, 0.01)
    with pytest.raises(SimulationError) as caught:
        watching.check(7)
    message = str(caught.value)
    for word in ("500", "16384", "max_diverged_share=0.01", "iteration 7", "diverged_physics_ep_7.npz", "decimation"):
        assert word in message
    assert "\n" not in message


def test_only_the_first_dumps_are_written_even_over_several_sessions(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        watch(tmp_path, 1, 0, 1)
        watch(tmp_path, 0, 0, 0, 1, 1, 1)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"diverged_physics_ep_{n}.npz" for n in (1, 3, 4)]
    assert len(caplog.records) == 3 and "training continues" in caplog.text


def test_a_dump_that_cannot_be_written_is_a_warning(tmp_path, caplog, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(divergence_watch, "save_dump", full)
    assert watch(tmp_path, 1) is None
    assert "No space left on device" in caplog.text


def test_what_the_simulator_says_is_said(tmp_path, caplog):
    env = Env(0)
    env.simulator.pop_warnings = lambda: ["sim.njmax=8 is too small"]
    DivergenceWatch(env, tmp_path, 0.5).check(1)
    assert "sim.njmax=8 is too small" in caplog.text


class Log(Env):
    """Counts as the environments do: what was read is not told again."""

    def __init__(self, num, steps):
        super().__init__()
        self._num, self._steps_an_iteration, self._ran = num, steps, 0

    def iterate(self):
        self._ran += 1

    def pop_divergences(self):
        self._found, self._steps, self._ran = iter([self._num * self._ran]), self._steps_an_iteration * self._ran, 0
        return super().pop_divergences()


@pytest.mark.parametrize("every", [1, 7, 50, 1000])
def test_a_resumed_training_is_ended_when_the_uninterrupted_one_is(tmp_path, every):
    watching = DivergenceWatch(Log(2, 128), tmp_path, 0.01)
    for iteration in range(1, 60):
        watching._env.iterate()
        if iteration % every == 0:  # a checkpoint before the iteration is checked, and a session that goes on from it
            state = watching.state_dict()
            watching = DivergenceWatch(Log(2, 128), tmp_path, 0.01)
            watching.load_state_dict(state)
        if iteration == 51:  # as without interruption, see above
            with pytest.raises(SimulationError):
                watching.check(iteration)
            return
        watching.check(iteration)
