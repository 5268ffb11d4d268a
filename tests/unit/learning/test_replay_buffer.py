"""Replay buffer: the newest rows, drawn uniformly, in every state of filling."""

import pytest
import torch

from amp_train.errors import ConfigError
from amp_train.learning.buffers import ReplayBuffer


def rows(first, count):
    return torch.arange(first, first + count, dtype=torch.float32).unsqueeze(-1)


def held(buffer):
    return sorted(buffer.state_dict()["rows"].flatten().tolist())


def test_a_half_full_buffer_is_sampled_uniformly():
    buffer = ReplayBuffer(10, (1,), "cpu")
    buffer.store(rows(0, 7))
    counts = torch.bincount(buffer.sample(70_000).flatten().long(), minlength=10)
    # 10 000 expected of each: a standard deviation is 93, so 5 % off is beyond 5 of them.
    assert (counts[:7] - 10_000).abs().max() < 500
    assert counts[7:].sum() == 0


@pytest.mark.parametrize("count", [1, 4, 9, 10])
def test_oldest_rows_are_replaced_first(count):
    buffer = ReplayBuffer(10, (1,), "cpu")
    buffer.store(rows(0, 10))
    buffer.store(rows(10, count))
    assert held(buffer) == list(range(count, 10 + count))


def test_storing_exactly_the_capacity_fills_the_buffer():
    buffer = ReplayBuffer(10, (1,), "cpu")
    buffer.store(rows(0, 10))
    assert len(buffer) == 10 and buffer.is_full
    assert set(buffer.sample(1000).flatten().tolist()) == set(range(10))


def test_of_more_rows_than_fit_the_last_stay():
    buffer = ReplayBuffer(10, (1,), "cpu")
    buffer.store(rows(0, 3))
    buffer.store(rows(100, 25))
    assert held(buffer) == list(range(115, 125))


def test_sampling_nothing_is_a_clear_error():
    with pytest.raises(RuntimeError, match="empty replay buffer"):
        ReplayBuffer(10, (1,), "cpu").sample(1)


def test_a_buffer_without_room_is_refused():
    with pytest.raises(ConfigError, match="at least one row"):
        ReplayBuffer(0, (1,), "cpu")


def test_a_sample_does_not_change_with_the_buffer():
    buffer = ReplayBuffer(2, (1,), "cpu")
    buffer.store(rows(0, 2))
    sample = buffer.sample(4)
    before = sample.clone()
    buffer.store(rows(50, 2))
    assert torch.equal(sample, before)


@pytest.mark.parametrize("stored", [4, 10, 13])
def test_a_restored_buffer_goes_on_like_the_original(stored):
    original, restored = ReplayBuffer(10, (1,), "cpu"), ReplayBuffer(10, (1,), "cpu")
    original.store(rows(0, stored))
    restored.load_state_dict(original.state_dict())
    for buffer in (original, restored):
        buffer.store(rows(100, 8))
    assert held(original) == held(restored)


def test_rows_of_another_shape_are_refused():
    with pytest.raises(ConfigError, match="do not fit"):
        ReplayBuffer(10, (2,), "cpu").load_state_dict({"rows": torch.zeros(3, 1), "next": 3})
