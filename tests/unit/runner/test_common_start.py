"""What several processes of a training settle before it begins; the others are stood in for."""

import contextlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from amp_train.config import compose, resolve, stored_form
from amp_train.distributed.ranks import ALONE, Ranks
from amp_train.errors import ConfigError
from amp_train.runner.ranks import (
    _flat,
    common_resumption,
    join_ranks,
    of_this_rank,
    rank_seed,
    start_common,
)


class SecondRank(Ranks):
    """Rank 1 of two; the first one says what it is given here."""

    rank, world_size = 1, 2

    def __init__(self, first_says):
        self._first_says = first_says

    def run_on_rank0(self, function):
        return self._first_says


def config(*overrides):
    return resolve(compose(["num_envs=1024", *overrides]))


def test_one_process_alone_meets_nobody():
    with contextlib.ExitStack() as held:
        assert join_ranks(compose([]), held) is ALONE


def test_the_same_configuration_on_all_ranks_passes():
    start_common(config(), SecondRank(_flat(stored_form(config()))))


def test_a_key_that_differs_between_ranks_is_named_and_its_cause_first():
    other = _flat(stored_form(resolve(compose(["num_envs=512"]))))
    with pytest.raises(ConfigError) as caught:
        start_common(config(), SecondRank(other))
    assert str(caught.value).startswith("num_envs is 1024 on rank 1 and 512 on rank 0.")


def test_a_machine_may_have_its_own_number_of_threads():
    start_common(config("num_threads=1"), SecondRank(_flat(stored_form(config("num_threads=2")))))


def test_each_rank_has_a_seed_of_its_own_and_the_first_one_that_was_given():
    seeds = [rank_seed(seed, rank) for seed in (42, 43) for rank in range(4)]
    assert len(set(seeds)) == 8 and seeds[0] == 42 and seeds[4] == 43
    assert all(0 <= seed < 2**32 for seed in seeds)
    cfg = config("seed=42")
    assert (of_this_rank(cfg, ALONE).seed, of_this_rank(cfg, SecondRank(None)).seed) == (42, seeds[1])
    assert cfg.seed == 42


def test_where_the_first_rank_finds_nothing_none_resumes():
    assert common_resumption(ALONE, lambda: None) is None
    assert common_resumption(SecondRank(None), lambda: pytest.fail("only the first rank looks")) is None


def test_a_training_of_another_number_of_processes_is_refused():
    found = SimpleNamespace(run_dir=Path("runs/x"), checkpoint=SimpleNamespace(name="last", ranks=2))
    with pytest.raises(ConfigError, match=r"trained by 2 process.* and 1 were started"):
        common_resumption(ALONE, lambda: found)
