"""`FailureWeightedStarts`: initial states shares by how soon they lead to a fall."""

from types import SimpleNamespace
from typing import Any, List

import torch
from torch import Tensor

from amp_train.env.resets import FailureWeightedStarts

CONTROL_DT_S = 1 / 30
SECOND = 30  # steps


def starts(durations_s: List[float], weights: List[float], earliest_s: float = 0.0) -> FailureWeightedStarts:
    library: Any = SimpleNamespace(
        durations_s=torch.tensor(durations_s),
        weights=torch.tensor(weights),
        earliest_s=torch.full((len(durations_s),), earliest_s),
    )
    return FailureWeightedStarts(library, CONTROL_DT_S, torch.Generator().manual_seed(1))


def share(of: FailureWeightedStarts, n: int = 200_000) -> Tensor:
    return torch.bincount(of.draw(n)[0], minlength=len(of.failure_rate)) / n


def repeat(of: FailureWeightedStarts, bin_id: int, progress: int, terminated: bool, times: int = 300) -> None:
    for _ in range(times):
        of.learn(torch.tensor([bin_id]), torch.tensor([progress]), torch.tensor([terminated]))


def test_the_first_starts_are_uniform_over_each_clip_and_clips_shares_by_weight() -> None:
    of = starts([2.0, 0.5], [0.25, 0.75], earliest_s=0.1)
    _, clip_ids, times = of.draw(100_000)
    assert abs(float((clip_ids == 1).float().mean()) - 0.75) < 0.01
    for clip, duration in enumerate([2.0, 0.5]):
        of_clip = times[clip_ids == clip]
        assert 0.1 <= float(of_clip.min()) < 0.11 and duration - 0.01 < float(of_clip.max()) <= duration
        assert torch.allclose(torch.histc(of_clip, 4, 0.1, duration) / len(of_clip), torch.tensor(0.25), atol=0.01)


def test_where_episodes_soon_fail_more_begin_five_times_as_many() -> None:
    of = starts([1.0], [1.0])
    for bin_id in range(10):
        repeat(of, bin_id, 12 if bin_id == 3 else SECOND, terminated=bin_id == 3)
    assert of.failure_rate[3] == 1.0 and float(of.failure_rate.sum()) < 1.0 + 1e-5
    shares = share(of)
    assert torch.allclose(shares[3] / shares[[0, 1, 2, 4, 5, 6, 7, 8, 9]], torch.tensor(5.0), rtol=0.1)


def test_a_failure_after_a_second_is_none_and_a_place_forgives() -> None:
    of = starts([0.2], [1.0])
    repeat(of, 0, SECOND + 1, terminated=True)
    repeat(of, 1, SECOND - 1, terminated=False)
    assert of.failure_rate.tolist() == [1.0, 1.0]
    repeat(of, 1, SECOND, terminated=False)
    assert of.failure_rate[0] == 1.0 and of.failure_rate[1] < 1e-5
    repeat(of, 1, SECOND, terminated=True)
    assert of.failure_rate[1] > 1.0 - 1e-5


def test_a_step_counts_every_episode_once() -> None:
    of = starts([0.2], [1.0])
    bins = torch.tensor([0, 0, 0, 1, 1])
    of.learn(bins, torch.tensor([SECOND, SECOND, 5, 7, 40]), torch.tensor([False, False, True, False, True]))
    kept = 0.95**3
    assert torch.allclose(of.failure_rate, torch.tensor([kept + (1 - kept) / 3, 1.0], dtype=torch.float64))
