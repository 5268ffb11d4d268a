"""A training in several processes: connecting, what must be equal on all ranks, and what differs."""

import contextlib
import os
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, cast

import numpy as np
import torch
from omegaconf import DictConfig

from amp_train.config import Config, stored_form
from amp_train.distributed.launch import launched, set_rendezvous
from amp_train.distributed.ranks import ALONE, JoinedRanks, Ranks
from amp_train.errors import ConfigError
from amp_train.resume.resumption import Resumption, find_resumption
from amp_train.resume.run_dir import ResumeTarget
from amp_train.sim.choice import default_sim_device

# Keys that depend on a rank's machine, or that the first rank chooses.
OWN_KEYS = ("num_threads", "sim_device", "rl_device", "experiment")


def join_ranks(cfg: Config, exit_stack: contextlib.ExitStack) -> Ranks:
    """Return the processes that train together with this one, after meeting them; `ALONE` with multi_gpu=False.

    Args:
        cfg: composed, not yet resolved.
        exit_stack: leaves the others when it closes. Until then only the first rank prints to stdout.

    Raises:
        RankLostError: not all connected.
    """
    launch = launched()
    if launch is None or not cfg.multi_gpu:
        return ALONE
    set_rendezvous()
    uses_cuda = "cuda" in str(cfg.rl_device or cfg.sim_device or default_sim_device(cfg.sim.name))
    ranks = exit_stack.enter_context(JoinedRanks(launch.rank, launch.world_size, uses_cuda, cfg.multi_gpu_timeout_s))
    if not ranks.is_first:
        silence = exit_stack.enter_context(open(os.devnull, "w"))
        exit_stack.enter_context(contextlib.redirect_stdout(silence))
    return ranks


def common_resumption(ranks: Ranks, look: Callable[[], Optional[Resumption]]) -> Optional[Resumption]:
    """Return what the first rank finds to continue, on all ranks.

    Raises:
        UserError: what `look` raises; a training of another number of processes.
    """
    found: List[Optional[Resumption]] = []

    def name_of_found() -> Optional[List[str]]:
        found.append(look())
        return None if found[0] is None else [str(found[0].run_dir), found[0].checkpoint.name]

    name = ranks.run_on_rank0(name_of_found)
    if name is None:
        return None
    resumption = found[0] if found else find_resumption(ResumeTarget(Path(name[0]), name[1], must_exist=True))
    if resumption is not None and resumption.checkpoint.ranks != ranks.world_size:
        raise ConfigError(
            f"{resumption.run_dir} was trained by {resumption.checkpoint.ranks} process(es), and {ranks.world_size} "
            f"were started. Start {resumption.checkpoint.ranks}, or begin a new training from its policy with "
            "checkpoint=."
        )
    return resumption


def start_common(cfg: Config, ranks: Ranks) -> None:
    """Check that all ranks have the same configuration, and take this one's GPU.

    Args:
        cfg: resolved.

    Raises:
        ConfigError: a key differs, which would make the ranks wait for each other.
    """
    device = torch.device(str(cfg.rl_device))
    if device.type == "cuda" and ranks.world_size > 1:
        torch.cuda.set_device(device)
    own = _flat(stored_form(cfg))
    first = ranks.run_on_rank0(lambda: own)
    different = [key for key in own if own[key] != first.get(key) and key not in OWN_KEYS]
    different.sort(key=lambda key: (key != "num_envs", key))  # others follow from it
    complaint = ranks.agree(_complaint(different[0], own, first, ranks.rank) if different else None)
    if complaint:
        raise ConfigError(complaint)


def of_this_rank(cfg: Config, ranks: Ranks) -> Config:
    """Return the configuration with this rank's seed; the first rank keeps the given one."""
    cfg = cast(Config, cast(DictConfig, cfg).copy())
    cfg.seed = rank_seed(cfg.seed, ranks.rank)
    return cfg


def rank_seed(seed: int, rank: int) -> int:
    """Return a seed below 2**32 for one rank: hashed, because seed + rank would be another training's seed.

    >>> rank_seed(42, 0)
    42
    """
    return seed if rank == 0 else int(np.random.SeedSequence((seed, rank)).generate_state(1)[0])


def _complaint(key: str, own: Dict[str, Any], first: Dict[str, Any], rank: int) -> str:
    values = f"{key} is {own[key]} on rank {rank} and {first.get(key)} on rank 0."
    return f"{values} All ranks need the same value: set {key}=."


def _flat(tree: Dict[str, Any]) -> Dict[str, Any]:
    """Return a tree's leaves by their dotted keys."""
    found: Dict[str, Any] = {}
    branches: List[Any] = [("", tree)]
    while branches:
        prefix, branch = branches.pop()
        for key, value in branch.items():
            if isinstance(value, dict):
                branches.append((prefix + str(key) + ".", value))
            else:
                found[prefix + str(key)] = value
    return found
