"""States of environments that are not this one's: an error at once, or numbers that can be used."""

from typing import Any

import pytest
import torch
from test_amp_env import config, rollout

from amp_train.env import AmpEnv, make_env
from amp_train.errors import ConfigError

pytestmark = pytest.mark.mujoco
FAULTS = (ValueError, RuntimeError, TypeError, AttributeError)  # which `continue_from` tells in one line


def env_of(task: str = "HumanoidAMPDribble", **changes: Any) -> AmpEnv:
    cfg = config(num_envs=4, **changes)
    cfg.task.name = task
    env = make_env(cfg)
    env.reset()
    return env


@pytest.mark.parametrize(
    "name", ["history", "low_steps", "going_on", "_frame", "_goal_obs", "_progress", "_clip_ids", "_done"]
)
@pytest.mark.parametrize(
    "value", [torch.zeros(5, 7), torch.zeros(0), [1, 2], "x"], ids=["other", "empty", "list", "text"]
)
def test_a_tensor_of_another_shape_is_refused_at_once(name: str, value: Any) -> None:
    env = env_of()
    state = env.get_state()
    with pytest.raises(FAULTS):
        env.set_state({**state, name: value})


@pytest.mark.parametrize(
    "changed", [{"step": torch.zeros(4, 2)}, {"settings": torch.zeros(4)}, {"place": torch.zeros(5, 2)}, {"place": 3}]
)
def test_a_task_takes_its_own_tensors_only(changed: Any) -> None:
    env = env_of()
    state = env.get_state()
    with pytest.raises(FAULTS):
        env.set_state({**state, "task": {**state["task"], **changed}})


@pytest.mark.parametrize("number", [10**6, -(10**6)])
def test_places_in_clips_that_are_not_there_are_moved_to_some_that_are(number: int) -> None:
    env = env_of("HumanoidAMP", state_init="Adaptive")
    state = env.get_state()
    strange = torch.full_like(state["_clip_ids"], number)
    env.set_state({**state, "_clip_ids": strange, "_bins": strange})
    rollout(env, 20)
    _, _, _, infos = env.step(torch.zeros(4, env.num_actions))
    assert env.fetch_amp_obs_at(infos["clip_ids"], infos["clip_times_s"]).isfinite().all()


@pytest.mark.parametrize(
    "task, goal",
    [
        ("HumanoidAMPObstacles", {"apart_m": [3.0, 1e5]}),
        ("HumanoidAMPObstacles", {"first_m": float("inf")}),
        ("HumanoidAMPObstacles", {"num": 10**9}),
        ("HumanoidAMPObstacles", {"half_width_m": 1e300}),
        ("HumanoidAMPDribble", {"mass_kg": float("nan")}),
        ("HumanoidAMPDribble", {"radius_m": 1e30}),
        ("HumanoidAMPStrike", {"height_m": [0.0, 1e12]}),
    ],
)
def test_a_strangers_settings_of_a_task_do_not_fill_the_memory(task: str, goal: Any) -> None:
    cfg = config()
    cfg.task.name, cfg.task.goal = task, goal
    with pytest.raises(ConfigError, match="task.goal"):
        make_env(cfg)
