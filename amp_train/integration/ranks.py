"""A training in several processes: meeting the others, and what differs from rank to rank."""

from typing import Any, Dict, List, cast

import numpy as np
import torch
from omegaconf import DictConfig

from amp_train.config import Config, stored_form
from amp_train.config.processes import launched, set_rendezvous
from amp_train.errors import ConfigError
from amp_train.learning.distributed import ALONE, JoinedRanks, Ranks

# What the machine of a rank decides.
OWN_KEYS = ("num_threads", "sim_device", "rl_device")


def join_ranks(cfg: Config) -> Ranks:
    """Return the processes that train together with this one, after meeting them; `ALONE` with multi_gpu=False.

    Args:
        cfg: resolved.

    Raises:
        ConfigError: the ranks were given different configurations.
        RankLostError: not all came.
    """
    launch = launched()
    if launch is None or not cfg.multi_gpu:
        return ALONE
    set_rendezvous()
    device = torch.device(str(cfg.rl_device))
    if device.type == "cuda":
        torch.cuda.set_device(device)
    ranks = JoinedRanks(launch.rank, launch.world_size, device.type == "cuda", cfg.multi_gpu_timeout_s)
    _check_same(cfg, ranks)
    return ranks


def of_this_rank(cfg: Config, ranks: Ranks) -> Config:
    """Return the configuration with a seed of this rank's own; the first one keeps the seed given."""
    cfg = cast(Config, cast(DictConfig, cfg).copy())
    cfg.seed = rank_seed(cfg.seed, ranks.rank)
    return cfg


def rank_seed(seed: int, rank: int) -> int:
    """Return a seed below 2**32 for one rank: hashed, because seed + rank would be another training's seed.

    >>> rank_seed(42, 0)
    42
    """
    return seed if rank == 0 else int(np.random.SeedSequence((seed, rank)).generate_state(1)[0])


def _check_same(cfg: Config, ranks: Ranks) -> None:
    """Compare every key with the first rank's: one that differs would leave the ranks waiting for each other."""
    own = _flat(stored_form(cfg))
    first = ranks.first_does(lambda: own)
    different = sorted(key for key in own if own[key] != first.get(key) and key not in OWN_KEYS)
    complaint = None
    if different:
        key = different[0]
        complaint = "{} is {} on rank {} and {} on rank 0. All ranks need the same configuration: give {}=.".format(
            key, own[key], ranks.rank, first.get(key), key
        )
    complaint = ranks.agree(complaint)
    if complaint:
        raise ConfigError(complaint)


def _flat(tree: Dict[str, Any]) -> Dict[str, Any]:
    found: Dict[str, Any] = {}
    branches: List[Any] = [("", tree)]
    while branches:
        prefix, branch = branches.pop()
        for key, value in branch.items():
            if isinstance(value, dict):
                branches.append((prefix + key + ".", value))
            else:
                found[prefix + key] = value
    return found
