"""`ClipLowSteps`: for how long a clip has been low at every moment of it."""

from types import SimpleNamespace
from typing import Any, Callable

import pytest
import torch
from torch import Tensor

from amp_train.env.termination import ClipLowSteps

DT_S = 0.1


def library(*clips: Callable[[Tensor], Tensor]) -> Any:
    """Clips of 1 s, given by the root's height at any time; one that wraps is periodic in itself."""

    def state_at(clip_ids: Tensor, times_s: Tensor) -> SimpleNamespace:
        height = clips[int(clip_ids[0])](times_s)
        return SimpleNamespace(root_pos=torch.stack((height, height, height), dim=-1))

    class Library(SimpleNamespace):
        def __len__(self) -> int:
            return len(clips)

    return Library(
        durations_s=torch.ones(len(clips)),
        device=torch.device("cpu"),
        state_at=state_at,
        cycle_at=lambda clip_ids, times_s: (times_s.floor(), times_s % 1.0),
    )


def leap(times_s: Tensor) -> Tensor:
    """1 m up from 0.45 to 0.65 s of every second."""
    phase = times_s % 1.0
    return ((phase > 0.45) & (phase < 0.65)).float()


def rise(times_s: Tensor) -> Tensor:
    """Up from 0.75 s on; before the clip, as at its beginning."""
    return (times_s > 0.75).float()


def test_counts_since_the_last_leap_that_of_the_cycle_before_included() -> None:
    counts = ClipLowSteps(library(leap), 0.5, DT_S)
    times = torch.arange(10) * DT_S + 0.01
    for cycle in (0.0, 3.0):
        assert counts.at(torch.zeros(10, dtype=torch.long), cycle + times).tolist() == [4, 5, 6, 7, 8, 0, 0, 1, 2, 3]


def test_every_clip_has_its_own_and_one_that_has_not_risen_yet_counts_from_its_beginning() -> None:
    counts = ClipLowSteps(library(leap, rise), 0.5, DT_S)
    clip_ids, times = torch.tensor([1, 0, 1, 1]), torch.tensor([0.0, 0.0, 0.7, 0.8])
    assert counts.at(clip_ids, times).tolist() == [0, 4, 7, 0]


@pytest.mark.parametrize("time_s, count", [(0.999, 3), (0.0, 4), (1.0, 4), (1.0 + 1e-6, 4)])
def test_the_ends_of_a_clip_are_inside(time_s: float, count: int) -> None:
    counts = ClipLowSteps(library(leap), 0.5, DT_S)
    assert counts.at(torch.tensor([0]), torch.tensor([time_s])).tolist() == [count]
