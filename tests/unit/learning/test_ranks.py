"""Two processes on gloo train as one. They run once (rank_worker.py); each test looks at what they saved."""

from pathlib import Path

import pytest
import torch
from launch_ranks import start_ranks, wait_for
from make_agent import CONFIG

from amp_train.distributed.ranks import ALONE
from amp_train.learning.ppo_math import standardized

WORKER = Path(__file__).with_name("rank_worker.py")
BATCH = CONFIG["num_actors"] * CONFIG["horizon_length"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def both(folder):
    """What rank 0 and rank 1 saved."""
    for ended in wait_for(start_ranks([str(WORKER), str(folder)], 2, folder)):
        assert ended.returncode == 0, ended.output
    return [torch.load(folder / f"results{rank}.pt", weights_only=True) for rank in range(2)]


def assert_same_bits(first, second):
    assert first.keys() == second.keys()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert different == []


def test_means_sums_and_broadcasts_are_of_all_ranks(both):
    for rank in both:
        vector, scalar = rank["basics"]["average"]
        assert vector.tolist() == [1.5] * 3 and scalar.item() == 5.0
        assert rank["basics"]["sum"] == [2.0, 2.0]
        assert rank["basics"]["broadcast"].tolist() == [0.0, 0.0]


def test_moments_are_those_of_all_ranks_rows_together(both):
    rows = torch.cat([rank["basics"]["rows"] for rank in both]).double()
    for rank in both:
        count, mean, var = rank["basics"]["moments"]
        assert count == 8
        torch.testing.assert_close(mean, rows.mean(0), rtol=1e-12, atol=0.0)
        torch.testing.assert_close(var, rows.var(0, unbiased=False), rtol=1e-12, atol=0.0)


def test_a_reason_to_stop_of_one_rank_is_everyones_and_the_lowest_rank_speaks(both):
    assert [rank["basics"]["agree"] for rank in both] == [[None, "SIGTERM", "0"]] * 2


def test_what_the_first_rank_does_alone_is_done_once_and_known_to_all(both):
    assert [rank["basics"]["run_on_rank0"] for rank in both] == [
        ({"folder": "runs/x"}, [0]),
        ({"folder": "runs/x"}, []),
    ]
    assert [rank["basics"]["error"] for rank in both] == ["no such folder"] * 2


def test_the_gradient_of_two_ranks_is_that_of_one_on_the_joined_batch(both):
    joined, alone = both[0]["update"]["joined"]["gradients"], both[0]["update"]["alone"]["gradients"]
    assert joined.keys() == alone.keys() and any("_disc" in name for name in joined)
    for name, expected in alone.items():
        # Sums of 256 float32 terms in another order.
        torch.testing.assert_close(joined[name], expected, rtol=1e-4, atol=2e-5 * expected.abs().max().item())


def test_statistics_of_two_ranks_are_those_of_one_on_the_joined_batch(both):
    joined, alone = both[0]["update"]["joined"], both[0]["update"]["alone"]
    for name in ("running_mean_std", "value_mean_std"):
        for part in ("running_mean", "running_var", "count"):
            key = f"{name}.{part}"
            torch.testing.assert_close(joined["state"][key], alone["state"][key], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(joined["amp_mean"], alone["amp_mean"], rtol=1e-5, atol=1e-6)


def test_both_ranks_start_and_step_alike(both):
    first, second = (rank["update"]["joined"] for rank in both)
    assert_same_bits(first["gradients"], second["gradients"])
    assert_same_bits(first["state"], second["state"])
    assert first["kl"] == second["kl"]


@pytest.mark.parametrize("run", ["standard", "legacy"])
def test_after_a_training_all_ranks_have_the_same_bits(both, run):
    first, second = (rank[run] for rank in both)
    assert_same_bits(first["model"], second["model"])
    assert_same_bits(first["amp"], second["amp"])
    assert all(torch.equal(a, b) for a, b in zip(first["optimizer"], second["optimizer"]))
    assert len(first["optimizer"]) == len(second["optimizer"]) > 0


@pytest.mark.parametrize("run", ["standard", "legacy"])
def test_an_adaptive_learning_rate_moves_and_stays_the_same_on_all_ranks(both, run):
    first, second = (rank[run] for rank in both)
    assert first["lr"] == second["lr"] != CONFIG["learning_rate"]
    assert first["group_lr"] == second["group_lr"] == [first["lr"]]


def test_frames_of_all_ranks_are_counted_on_all_ranks(both):
    for rank in both:
        assert (rank["standard"]["epoch"], rank["standard"]["frame"]) == (4, 4 * 2 * BATCH)
        assert rank["standard"]["frames_told"] == [2 * BATCH * done for done in range(4)]


def test_what_is_logged_is_the_mean_over_ranks(both):
    assert both[0]["standard"]["epoch_stats"] == both[1]["standard"]["epoch_stats"]


def test_the_best_policy_is_judged_by_the_episodes_of_all_ranks(both):
    games = [rank["standard"]["own_games"] for rank in both]
    assert all(count > 0 for count, _ in games) and games[0][1] != games[1][1]
    expected = sum(count * mean for count, mean in games) / sum(count for count, _ in games)
    for rank in both:
        assert rank["standard"]["mean_rewards"] == pytest.approx(expected, rel=1e-6)
        assert rank["standard"]["best"] == both[0]["standard"]["best"] > 0


def test_every_rank_has_experience_of_its_own(both):
    assert not torch.equal(both[0]["standard"]["replay"], both[1]["standard"]["replay"])


def test_only_the_first_rank_writes(both, folder):
    assert [rank["standard"]["has_writer"] for rank in both] == [True, False]
    assert len(list((folder / "standard" / "toy" / "summaries").iterdir())) == 1


def test_all_ranks_stop_after_the_same_iteration_if_one_must(both):
    for rank in both:
        assert (rank["stopped"]["epoch"], rank["stopped"]["stopped_by"]) == (2, "SIGTERM")


def test_one_process_needs_no_others():
    rows = torch.tensor([1.0, 2.0, 6.0])
    with ALONE as ranks:
        assert ranks.joined_moments(3, rows, rows) == (3, rows, rows)
        assert (ranks.agree(None), ranks.agree("x"), ranks.sum([1, 2.5])) == (None, "x", [1.0, 2.5])
        assert ranks.run_on_rank0(lambda: 7) == 7
    # (x - 3) / sqrt(14 / 2)
    torch.testing.assert_close(standardized(rows), (rows - 3.0) / 7.0**0.5, rtol=1e-6, atol=1e-7)
