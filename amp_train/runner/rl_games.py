"""Registering this project's algorithm, player, model and network with rl_games, under IsaacGymEnvs' names."""

import random
from typing import Any, Dict, Optional

import numpy as np
import torch
from rl_games.algos_torch import model_builder
from rl_games.common.algo_observer import AlgoObserver
from rl_games.torch_runner import Runner

from amp_train.distributed.ranks import ALONE, Ranks
from amp_train.learning import AMPAgent, AMPBuilder, AMPPlayer, ModelAMPContinuous

ALGO_NAME, MODEL_NAME, NETWORK_NAME = "amp_continuous", "continuous_amp", "amp"


def register(runner: Runner) -> None:
    """Register AMP: algorithm and player with this runner, model and network with rl_games."""
    runner.algo_factory.register_builder(ALGO_NAME, lambda **kwargs: AMPAgent(**kwargs))
    runner.player_factory.register_builder(ALGO_NAME, lambda **kwargs: AMPPlayer(**kwargs))
    model_builder.register_model(MODEL_NAME, ModelAMPContinuous)
    model_builder.register_network(NETWORK_NAME, AMPBuilder)


def make_runner(observer: Optional[AlgoObserver] = None) -> Runner:
    """Return an rl_games Runner that knows AMP."""
    runner = Runner(observer)
    register(runner)
    return runner


def load_runner(
    params: Dict[str, Any], vec_env: Any, observer: Optional[AlgoObserver] = None, ranks: Ranks = ALONE
) -> Runner:
    """Return a Runner loaded with `params`, on an environment that exists already.

    Args:
        ranks: the processes that train together; they replace rl_games' own `multi_gpu`.
    """
    runner = make_runner(observer)
    params = dict(params, config=dict(params["config"], multi_gpu=False))
    runner.load({"params": params})
    _seed(params["seed"])
    runner.params["config"].update(env_info=vec_env.get_env_info(), vec_env=vec_env, ranks=ranks)
    return runner


def _seed(seed: int) -> None:
    """Seed every generator; rl_games 1.6.5 does so too, but takes 0 for "no seed"."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
