"""An optimizer state that does not fit is refused before a fused kernel would read beyond it."""

import pytest
import torch
from torch import nn, optim

from amp_train.errors import CheckpointError
from amp_train.learning.rl_games_ppo import fit_optimizer_state


@pytest.fixture
def optimizer():
    model = nn.Linear(3, 2)
    adam = optim.Adam(model.parameters(), lr=1e-3)
    model(torch.ones(1, 3)).sum().backward()
    adam.step()
    return adam


def moments(**changes):
    whole = {"step": torch.tensor(1.0), "exp_avg": torch.zeros(2, 3), "exp_avg_sq": torch.zeros(2, 3)}
    return {**whole, **changes}


def test_its_own_state_fits(optimizer):
    fitted = fit_optimizer_state(optimizer.state_dict(), optimizer, keep_saved_lr=True)
    optimizer.load_state_dict(fitted)
    assert fitted["param_groups"][0]["lr"] == 1e-3


@pytest.mark.parametrize(
    "state",
    [
        {0: moments(exp_avg=torch.zeros(1))},
        {0: moments(exp_avg_sq=torch.full((2, 3), float("nan")))},
        {0: moments(step=torch.zeros(5))},
        {0: moments(exp_avg="x")},
        {0: moments(more=torch.zeros(2, 3))},
        {7: moments()},
        {"0": moments()},
        {0: []},
    ],
)
def test_moments_of_another_shape_or_kind_are_refused(optimizer, state):
    saved = {"state": state, "param_groups": [{"lr": 1e-3, "params": [0, 1]}]}
    with pytest.raises(CheckpointError, match="optimizer state"):
        fit_optimizer_state(saved, optimizer, keep_saved_lr=False)


@pytest.mark.parametrize("saved", [[], {}, {"param_groups": []}, {"param_groups": [5], "state": {}},
                                   {"param_groups": [{"params": 5}], "state": {}}])  # fmt: skip
def test_what_is_no_state_of_an_optimizer_is_refused(optimizer, saved):
    with pytest.raises(CheckpointError, match="not written by torch"):
        fit_optimizer_state(saved, optimizer, keep_saved_lr=False)


@pytest.mark.parametrize("lr", ["1e-3", float("nan"), -1.0, None, float("inf")])
def test_a_learning_rate_that_is_none_is_refused(optimizer, lr):
    saved = {"state": {}, "param_groups": [{"lr": lr, "params": [0, 1]}]}
    with pytest.raises(CheckpointError, match="learning rate"):
        fit_optimizer_state(saved, optimizer, keep_saved_lr=True)
