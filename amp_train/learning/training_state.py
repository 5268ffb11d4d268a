"""What the future of a training depends on besides the policy file: collected and restored.

The policy file has model, optimizer, normalisers and counters. Here is the rest: random number generators, replay and
demonstrations, the environments in the middle of their episodes, the rollout's carry-over, the schedule, the watermark.
A training resumed from both gives the same bits as an uninterrupted one.
"""

import random
from typing import Any, Dict, List, Tuple

import numpy as np
import torch
from rl_games.common.schedulers import IdentityScheduler

from amp_train.errors import CheckpointError

CARRIED_OVER = ("dones", "current_rewards", "current_shaped_rewards", "current_lengths")
METERS = ("game_rewards", "game_shaped_rewards", "game_lengths")
MT19937_WORDS = 624


def training_state(agent: Any) -> Dict[str, Any]:
    """Return the state after a finished iteration, as tensors and plain values; tensors may be live: save them at once.

    Args:
        agent: has `stateful`, a dictionary of further parts, each with `state_dict` and `load_state_dict`.
    """
    return {
        "counters": {"iteration": int(agent.epoch_num), "frame": int(agent.frame)},
        "time_s": float(agent.total_time_s),
        "schedule": {"last_lr": float(agent.last_lr), "entropy_coef": float(agent.entropy_coef)},
        "rewards": {"best": float(agent.last_mean_rewards), "mean": float(agent.mean_rewards)},
        "rollout": {"obs": agent.obs["obs"], **{name: getattr(agent, name) for name in CARRIED_OVER}},
        "meters": {name: _meter_state(getattr(agent, name)) for name in METERS},
        "parts": {name: part.state_dict() for name, part in agent.stateful.items()},
        "environment": agent.vec_env.get_full_state(),
        "random": random_state(),
    }


def continue_from(agent: Any, state: Dict[str, Any]) -> None:
    """Restore what `training_state` returned, in an agent that has loaded the policy file.

    Raises:
        CheckpointError: it belongs to a different training.
    """
    try:
        _put_back(agent, state)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, IndexError, ArithmeticError) as error:
        reason = " ".join(str(error).split())[:160]
        raise CheckpointError(
            f"The training state does not fit this training ({type(error).__name__}: {reason}). Start a new one from "
            "the policy with checkpoint=."
        ) from error


def _put_back(agent: Any, state: Dict[str, Any]) -> None:
    iteration = state["counters"]["iteration"]
    if iteration != agent.epoch_num:
        raise ValueError(f"it is from iteration {iteration}, the policy from {agent.epoch_num}")
    agent.frame, agent.total_time_s = int(state["counters"]["frame"]), float(state["time_s"])
    agent.last_mean_rewards, agent.mean_rewards = float(state["rewards"]["best"]), float(state["rewards"]["mean"])
    if not isinstance(agent.scheduler, IdentityScheduler):
        agent.last_lr = float(state["schedule"]["last_lr"])
        agent.entropy_coef = float(state["schedule"]["entropy_coef"])
    agent.update_lr(agent.last_lr)
    agent.obs = agent.obs_to_tensors(_like(state["rollout"]["obs"], agent.rollout["obses"][0]))
    for name in CARRIED_OVER:
        setattr(agent, name, _like(state["rollout"][name], getattr(agent, name)))
    for name in METERS:
        _set_meter(getattr(agent, name), state["meters"][name])
    for name, part in agent.stateful.items():
        part.load_state_dict(state["parts"][name])
    agent.vec_env.set_full_state(state["environment"])
    set_random_state(state["random"])


def _like(saved: Any, now: Any) -> Any:
    if saved.shape != now.shape:
        raise ValueError(f"a tensor has shape {tuple(saved.shape)}, this training needs {tuple(now.shape)}")
    return saved.to(now.device, copy=True)


def _meter_state(meter: Any) -> Dict[str, Any]:
    return {"mean": meter.mean, "count": int(meter.current_size)}


def _set_meter(meter: Any, state: Dict[str, Any]) -> None:
    # rl_games' meter begins with a mean of shape (1,), which its first update makes (1, 1).
    meter.mean, meter.current_size = state["mean"].to(meter.mean.device), int(state["count"])


def random_state() -> Dict[str, Any]:
    """Return the state of Python's, numpy's, torch's and CUDA's generators."""
    version, words, gauss_next = random.getstate()
    name, keys, position, has_gauss, cached_gaussian = _numpy_state()
    return {
        "python": {"version": version, "words": list(words), "gauss_next": gauss_next},
        "numpy": {
            "name": name,
            "keys": keys,
            "position": position,
            "has_gauss": has_gauss,
            "cached_gaussian": cached_gaussian,
        },
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: Dict[str, Any]) -> None:
    """Continue every generator from `random_state()`; CUDA's only where there are as many devices."""
    python, numpy = state["python"], state["numpy"]
    random.setstate((python["version"], tuple(python["words"]), python["gauss_next"]))
    keys = np.array(numpy["keys"], dtype=np.uint32)
    if keys.shape != (MT19937_WORDS,) or not 0 <= numpy["position"] <= MT19937_WORDS:
        raise ValueError("an impossible state of numpy's generator")  # it would read beyond its words
    np.random.set_state((numpy["name"], keys, numpy["position"], numpy["has_gauss"], numpy["cached_gaussian"]))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


def _numpy_state() -> Tuple[str, List[int], int, int, float]:
    name, keys, position, has_gauss, cached_gaussian = np.random.get_state()
    return str(name), [int(key) for key in keys], int(position), int(has_gauss), float(cached_gaussian)
