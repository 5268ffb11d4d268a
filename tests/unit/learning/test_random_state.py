"""Every global generator goes on where it was."""

import random

import numpy as np
import pytest
import torch

from amp_train.learning.training_state import random_state, set_random_state

DRAWS = {
    "python": random.random,
    "python's gauss": lambda: random.gauss(0.0, 1.0),  # keeps a second value for the next call
    "numpy": np.random.rand,
    "numpy's gauss": np.random.randn,  # likewise
    "torch": lambda: torch.rand(()).item(),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS.keys())
def test_the_next_draws_are_the_same_after_a_detour(draw, tmp_path):
    draw()
    torch.save(random_state(), tmp_path / "state")
    expected = [draw() for _ in range(5)]
    set_random_state(torch.load(tmp_path / "state", weights_only=True))
    assert [draw() for _ in range(5)] == expected


@pytest.mark.parametrize("change", [{"position": 10**6}, {"position": -1}, {"keys": [0] * 10}])
def test_a_state_with_which_numpy_would_read_beyond_its_words_is_refused(change):
    state = random_state()
    state["numpy"] = {**state["numpy"], **change}
    with pytest.raises(ValueError, match="an impossible state"):
        set_random_state(state)
