"""Build a real agent or player on the point mass, without a Runner."""

import copy
from pathlib import Path
from typing import Any, Dict, Optional

from fake_env import PointMassVecEnv
from rl_games.algos_torch import model_builder
from rl_games.common.algo_observer import DefaultAlgoObserver
from rl_games.common.tr_helpers import DefaultRewardsShaper

from amp_train.learning import AMPAgent, AMPBuilder, AMPPlayer, ModelAMPContinuous

NETWORK = {
    "name": "amp",
    "separate": True,
    "space": {
        "continuous": {
            "mu_activation": "None",
            "sigma_activation": "None",
            "mu_init": {"name": "default"},
            "sigma_init": {"name": "const_initializer", "val": -1.0},
            "fixed_sigma": True,
            "learn_sigma": False,
        }
    },
    "mlp": {"units": [32, 16], "activation": "relu", "initializer": {"name": "default"}},
    "disc": {"units": [32, 16], "activation": "relu", "initializer": {"name": "default"}},
}
CONFIG = {
    "name": "toy",
    "full_experiment_name": "toy",
    "env_name": "point_mass",
    "device": "cpu",
    "device_name": "cpu",
    "ppo": True,
    "mixed_precision": False,
    "normalize_input": True,
    "normalize_value": True,
    "normalize_advantage": True,
    "num_actors": 16,
    "horizon_length": 8,
    "minibatch_size": 64,
    "mini_epochs": 2,
    "gamma": 0.97,
    "tau": 0.95,
    "learning_rate": 1e-3,
    "lr_schedule": "constant",
    "schedule_type": "legacy",
    "kl_threshold": 0.02,
    "e_clip": 0.2,
    "clip_value": False,
    "critic_coef": 5,
    "entropy_coef": 0.0,
    "bounds_loss_coef": 10,
    "truncate_grads": False,
    "grad_norm": 1.0,
    "max_epochs": 2,
    "save_best_after": 1000,
    "save_frequency": 0,
    "print_stats": False,
    "amp_obs_demo_buffer_size": 512,
    "amp_replay_buffer_size": 1024,
    "amp_replay_keep_prob": 0.5,
    "amp_batch_size": 32,
    "amp_minibatch_size": 32,
    "disc_coef": 5,
    "disc_logit_reg": 0.05,
    "disc_grad_penalty": 5,
    "disc_reward_scale": 2,
    "disc_weight_decay": 0.0001,
    "normalize_amp_input": True,
    "task_reward_w": 0.0,
    "disc_reward_w": 1.0,
}


def make_params(
    train_dir: Path, env: Optional[PointMassVecEnv] = None, network: Optional[Dict[str, Any]] = None, **config: Any
) -> Dict[str, Any]:
    """Return rl_games `params` for the point mass; keyword arguments replace keys of `params.config`."""
    model_builder.register_model("continuous_amp", ModelAMPContinuous)
    model_builder.register_network("amp", AMPBuilder)
    merged = copy.deepcopy(CONFIG)
    merged.update(config)
    env = env if env is not None else PointMassVecEnv(merged["num_actors"])
    merged.update(
        train_dir=str(train_dir),
        reward_shaper=DefaultRewardsShaper(),
        features={"observer": DefaultAlgoObserver()},
        env_info=env.get_env_info(),
        vec_env=env,
    )
    return {"model": {"name": "continuous_amp"}, "network": copy.deepcopy(network or NETWORK), "config": merged}


def make_agent(train_dir: Path, env: Optional[PointMassVecEnv] = None, **kwargs: Any) -> AMPAgent:
    return AMPAgent("run", make_params(train_dir, env, **kwargs))


def make_player(train_dir: Path, env: Optional[PointMassVecEnv] = None, **kwargs: Any) -> AMPPlayer:
    return AMPPlayer(make_params(train_dir, env, **kwargs))
