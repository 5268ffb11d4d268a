"""What the future of a training depends on beside the policy file: gathered, and put back.

The policy file has model, optimizer, normalisers and counters. Here is the rest: random number generators, replay and
demonstrations, the environments in the middle of their episodes, the rollout's carry-over, the schedule, the watermark.
Continued from both, a training gives the same bits as one that was never interrupted.
"""

from typing import Any, Dict

from rl_games.common.schedulers import IdentityScheduler

from amp_train.errors import CheckpointError
from amp_train.learning.random_state import random_state, set_random_state

CARRIED_OVER = ("dones", "current_rewards", "current_shaped_rewards", "current_lengths")
METERS = ("game_rewards", "game_shaped_rewards", "game_lengths")


def training_state(agent: Any) -> Dict[str, Any]:
    """Return the state after a finished iteration, as tensors and plain values; tensors may be live, save them at once.

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
    """Put back what `training_state` gave, into an agent that has the policy file's content and its tensors.

    Raises:
        CheckpointError: it is of another training.
    """
    try:
        _put_back(agent, state)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, IndexError) as error:
        reason = " ".join(str(error).split())[:160]
        raise CheckpointError(
            "The training state does not fit this training ({}: {}). Start a new one from the policy with "
            "checkpoint=.".format(type(error).__name__, reason)
        ) from error


def _put_back(agent: Any, state: Dict[str, Any]) -> None:
    iteration = state["counters"]["iteration"]
    if iteration != agent.epoch_num:
        raise ValueError("it is of iteration {}, the policy of {}".format(iteration, agent.epoch_num))
    agent.frame, agent.total_time_s = int(state["counters"]["frame"]), float(state["time_s"])
    agent.last_mean_rewards, agent.mean_rewards = float(state["rewards"]["best"]), float(state["rewards"]["mean"])
    if not isinstance(agent.scheduler, IdentityScheduler):
        agent.last_lr = float(state["schedule"]["last_lr"])
        agent.entropy_coef = float(state["schedule"]["entropy_coef"])
    agent.update_lr(agent.last_lr)
    agent.obs = agent.obs_to_tensors(state["rollout"]["obs"].to(agent.ppo_device))
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
        raise ValueError("a tensor of {} where this training has {}".format(tuple(saved.shape), tuple(now.shape)))
    return saved.to(now.device)


def _meter_state(meter: Any) -> Dict[str, Any]:
    return {"mean": meter.mean, "count": int(meter.current_size)}


def _set_meter(meter: Any, state: Dict[str, Any]) -> None:
    # rl_games' meter begins with a mean of shape (1,), which its first update makes (1, 1).
    meter.mean, meter.current_size = state["mean"].to(meter.mean.device), int(state["count"])
