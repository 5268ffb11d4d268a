"""The three streams: normalised alike, remembered with the keep probability, demonstrations refreshed."""

import dataclasses

import pytest
import torch
from make_agent import CONFIG

from amp_train.learning.amp_streams import AmpStreams
from amp_train.learning.settings import AmpSettings


def make_streams(fetch_demo=lambda n: torch.full((n, 4), 3.0), **changes):
    return AmpStreams(dataclasses.replace(AmpSettings.from_config(CONFIG), **changes), 4, "cpu", fetch_demo)


@pytest.fixture
def streams():
    streams = make_streams()
    streams.fill_demos()
    return streams


def test_all_three_streams_are_normalised_by_the_same_statistics(streams):
    streams.remember(torch.full((64, 4), 3.0))
    streams.update_normalizer(torch.randn(64, 4))
    batch = streams.disc_batch(torch.full((16, 4), 3.0))
    # The same raw row, 3, is in every stream: it must come out the same, or its statistics would give it away.
    assert torch.equal(batch.agent, batch.replay) and torch.equal(batch.agent, batch.demo)
    assert not torch.equal(batch.agent, torch.full((16, 4), 3.0))


def test_statistics_take_in_as_many_rows_of_every_stream(streams):
    streams.remember(torch.zeros(64, 4))
    streams.update_normalizer(torch.full((50, 4), 6.0))
    # 50 rows each of 6 (agent), 0 (replay), 3 (demonstration), and the initial row of 0: mean 450 / 151.
    torch.testing.assert_close(streams.normalizer.running_mean, torch.full((4,), 450.0 / 151.0, dtype=torch.float64))
    assert streams.normalizer.count.item() == 151


def test_only_demonstrations_require_a_gradient(streams):
    batch = streams.disc_batch(torch.randn(16, 4))
    assert batch.demo.requires_grad and not batch.agent.requires_grad and not batch.replay.requires_grad


def test_the_agents_own_rows_stand_in_for_replay_in_the_first_epoch(streams):
    batch = streams.disc_batch(torch.randn(16, 4))
    assert torch.equal(batch.agent, batch.replay)


def test_everything_is_remembered_until_the_buffer_is_full_and_a_part_of_it_after():
    streams = make_streams(amp_replay_buffer_size=100, amp_replay_keep_prob=0.25)
    streams.remember(torch.zeros(60, 4))
    streams.remember(torch.ones(40, 4))
    assert sum(streams._replay.state_dict()["rows"][:, 0]) == 40
    streams.remember(torch.full((80, 4), 2.0))
    kept = (streams._replay.state_dict()["rows"][:, 0] == 2.0).sum().item()
    assert 20 - 12 < kept < 20 + 12  # binomial(80, 0.25): standard deviation 3.9


def test_a_keep_probability_of_zero_freezes_a_full_buffer():
    streams = make_streams(amp_replay_buffer_size=10, amp_replay_keep_prob=0.0)
    streams.remember(torch.zeros(10, 4))
    streams.remember(torch.ones(10, 4))
    assert streams._replay.state_dict()["rows"].sum() == 0


def test_without_normalisation_observations_pass_as_they_are():
    streams = make_streams(normalize_amp_input=False)
    streams.fill_demos()
    streams.update_normalizer(torch.randn(50, 4))
    amp_obs = 100.0 * torch.randn(16, 4)
    assert torch.equal(streams.disc_batch(amp_obs).agent, amp_obs)
    assert streams.normalizer.count.item() == 1


def test_fresh_demonstrations_replace_old_ones():
    fetched = iter((1.0, 2.0))
    streams = make_streams(lambda n: torch.full((n, 4), next(fetched)), amp_obs_demo_buffer_size=8)
    streams.fill_demos()
    assert streams.disc_batch(torch.zeros(64, 4)).demo.unique().numel() == 1
    streams.add_demos(3)
    assert streams.disc_batch(torch.zeros(64, 4)).demo.unique().numel() == 2
    assert streams.disc_batch(torch.zeros(64, 4)).demo.max() > streams.normalize(torch.ones(1)).max()
