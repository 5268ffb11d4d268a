"""AMP observation normaliser: exact moments, moved only by `update`, in rl_games' layout."""

import torch
from rl_games.algos_torch.running_mean_std import RunningMeanStd

from amp_train.learning.normalizers import AmpObsNormalizer, update_running_stats


def test_statistics_equal_those_of_all_rows_together():
    normalizer = AmpObsNormalizer(3)
    batches = [5.0 + 2.0 * torch.randn(n, 3) for n in (100, 7, 400)]
    for batch in batches:
        normalizer.update(batch)
    together = torch.cat(batches).double()
    # The count starts at 1 with mean 0 and variance 1, as in rl_games.
    total = 1 + len(together)
    mean = together.sum(0) / total
    var = (1.0 + together.square().sum(0)) / total - mean.square()
    torch.testing.assert_close(normalizer.running_mean, mean, atol=1e-5, rtol=1e-5)  # batch moments are float32
    torch.testing.assert_close(normalizer.running_var, var, atol=1e-4, rtol=1e-4)
    assert normalizer.count.item() == total


def test_it_agrees_with_rl_games_running_mean_std():
    ours, theirs = AmpObsNormalizer(3), RunningMeanStd((3,))
    for _ in range(3):
        batch = 1.0 + 4.0 * torch.randn(64, 3)
        ours.update(batch)
        theirs.train()
        theirs(batch)
    theirs.eval()
    amp_obs = 20.0 * torch.randn(50, 3)
    torch.testing.assert_close(ours(amp_obs), theirs(amp_obs), atol=1e-5, rtol=1e-5)
    assert ours(amp_obs).abs().max() == 5.0


def test_rows_counted_twice_weigh_as_rows_taken_in_twice():
    rows = 3.0 + torch.randn(64, 3)
    once, twice = RunningMeanStd((3,)), RunningMeanStd((3,))
    update_running_stats(once, rows, times=2)
    for _ in range(2):
        twice.train()
        twice(rows)
    for name, value in twice.state_dict().items():
        torch.testing.assert_close(once.state_dict()[name], value, atol=1e-5, rtol=1e-5)


def test_its_state_is_that_of_rl_games():
    ours, theirs = AmpObsNormalizer(3).state_dict(), RunningMeanStd((3,)).state_dict()
    assert {k: (v.shape, v.dtype) for k, v in ours.items()} == {k: (v.shape, v.dtype) for k, v in theirs.items()}


def test_normalising_moves_nothing_in_whatever_mode():
    normalizer = AmpObsNormalizer(3)
    normalizer.update(torch.randn(10, 3))
    before = {name: value.clone() for name, value in normalizer.state_dict().items()}
    normalizer.train()
    normalizer(torch.randn(100, 3))
    assert all(torch.equal(before[name], value) for name, value in normalizer.state_dict().items())


def test_normalising_leaves_its_input_alone():
    amp_obs = 9.0 + torch.randn(4, 3)
    before = amp_obs.clone()
    AmpObsNormalizer(3)(amp_obs)
    assert torch.equal(amp_obs, before)
