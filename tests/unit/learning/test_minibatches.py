"""Shuffled minibatches: every row once a mini epoch, in a new order, all tensors alike."""

import torch

from amp_train.learning.buffers import ShuffledMinibatches


def make(batch=12, minibatch=4, amp_minibatch=3):
    dataset = ShuffledMinibatches(batch, minibatch, amp_minibatch, "cpu")
    ids = torch.arange(batch)
    rollout = {"obs": ids.unsqueeze(-1).float(), "returns": 10 * ids, "disc_obs": 100 * ids, "rnn_states": None}
    dataset.update_values_dict(rollout)
    return dataset


def mini_epoch(dataset):
    return [dataset[i] for i in range(len(dataset))]


def test_a_mini_epoch_shows_every_row_once():
    seen = torch.cat([minibatch["returns"] for minibatch in mini_epoch(make())])
    assert sorted(seen.tolist()) == [10 * i for i in range(12)]


def test_the_order_changes_from_mini_epoch_to_mini_epoch():
    dataset = make(batch=64, minibatch=64, amp_minibatch=8)
    assert not torch.equal(mini_epoch(dataset)[0]["returns"], mini_epoch(dataset)[0]["returns"])


def test_rows_of_all_tensors_belong_together():
    for minibatch in mini_epoch(make()):
        assert torch.equal(minibatch["returns"], 10 * minibatch["obs"].squeeze(-1).long())
        assert torch.equal(minibatch["disc_obs"], 10 * minibatch["returns"][:3])


def test_values_that_are_no_tensors_are_left_out():
    assert set(make()[0]) == {"obs", "returns", "disc_obs"}


def test_the_rollout_is_released_on_request():
    dataset = make()
    dataset.update_values_dict(None)
    assert dataset.values_dict == {}
