"""On a GPU a step and its resets never wait for the device; here that is seen in the operations they are made of."""

from types import SimpleNamespace
from typing import Any, Dict, Optional

import pytest
import torch
from no_waiting import NoWaiting
from still_simulator import StillSimulator

from amp_train.character import load_character
from amp_train.config import compose
from amp_train.env import AmpEnv
from amp_train.env.tasks import scene_of
from amp_train.motion import MotionLibrary, load_motion
from amp_train.paths import CONF_DIR

TASK_NAMES = [path.stem for path in sorted((CONF_DIR / "task").glob("*.yaml"))]
NUM_ENVS, LINKS = 12, ("right_hand", "left_hand", "right_foot", "left_foot")


def make(
    masked: bool, state_init: str, randomize: bool = False, task_name: str = "HumanoidAMP", goal: Optional[Dict] = None
) -> AmpEnv:
    env = dict(
        episode_length=5, num_amp_obs_steps=3, local_root_obs=True, state_init=state_init, hybrid_init_prob=0.5,
        early_termination=True, termination_height=0.5, fall_height_ratio=0.7,
    )  # fmt: skip
    null = ["sim_params.gravity=null"] + [
        "actor_params.humanoid." + name + "=null"
        for name in ("rigid_shape_properties.friction", "dof_properties.stiffness", "dof_properties.damping")
    ]
    randomization = compose(["task.task.randomization_params." + key for key in null + ["frequency=1"]]).task.task
    randomization.randomize = randomize
    task: Any = SimpleNamespace(name=task_name, goal=goal or {}, env=SimpleNamespace(**env), task=randomization)
    motion = SimpleNamespace(termination_height=None, state_init=None, rise_height=0.5, max_low_s=1.0)
    cfg = SimpleNamespace(task=task, motion=motion, character=SimpleNamespace(fall_bodies=["pelvis", "torso"]))
    cfg.sim = SimpleNamespace(name="mujoco")
    spec, generator = load_character("humanoid.xml", LINKS, LINKS[2:]), torch.Generator().manual_seed(4)
    clips, weights = load_motion("walk.npz", spec)
    library = MotionLibrary(clips, weights, "cpu", spec, 0.1, generator)
    return AmpEnv(cfg, StillSimulator(spec, NUM_ENVS, masked, scene_of(task)), library, generator)


@pytest.mark.parametrize(
    "state_init, randomize",
    [("Default", False), ("Start", False), ("Random", True), ("Random", False), ("Hybrid", False), ("Adaptive", False)],
)
def test_steps_resets_and_demonstrations_never_wait_for_the_device(state_init: str, randomize: bool) -> None:
    env = make(True, state_init, randomize)
    env.reset()  # tables are made at the first look
    with NoWaiting():
        for _ in range(7):  # past the end of an episode
            env.step(torch.zeros(NUM_ENVS, env.num_actions))
            env.reset_done()
            env.fetch_amp_obs_demo(5)
    assert bool((env._progress < 5).all())


@pytest.mark.parametrize("task_name", [name for name in TASK_NAMES if name != "HumanoidAMP"])
def test_no_task_waits_for_the_device(task_name: str) -> None:
    env = make(True, "Hybrid", task_name=task_name)
    env.reset()
    with NoWaiting():
        for _ in range(7):
            env.step(torch.zeros(NUM_ENVS, env.num_actions))
            env.reset_done()
            env.fetch_action_demo(5)


def test_the_check_sees_what_waits() -> None:
    env = make(False, "Random")
    with NoWaiting(), pytest.raises(AssertionError, match="nonzero.* would wait"):
        env.reset()
    values, mask = torch.ones(3), torch.tensor([True, False, True])
    for waits in (lambda: values[mask], lambda: bool(mask.any()), lambda: values.sum().item()):
        with NoWaiting(), pytest.raises(AssertionError, match="would wait"):
            waits()


def test_a_reset_by_mask_leaves_what_a_reset_by_index_leaves() -> None:
    by_mask, by_index = make(True, "Start"), make(False, "Start")
    for env in (by_mask, by_index):
        env.reset()
        env.simulator.state().dof_pos.add_(0.3)
        env.step(torch.zeros(NUM_ENVS, env.num_actions))
        env._done = torch.arange(NUM_ENVS) % 3 == 0
        env.reset_done()
    # Batches of 12 and of 4 are rounded differently.
    close = dict(atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(by_mask._obs, by_index._obs, **close)
    torch.testing.assert_close(by_mask._history.frames, by_index._history.frames, **close)
    torch.testing.assert_close(by_mask._divergences._before, by_index._divergences._before, **close)
    assert by_mask._progress.tolist() == by_index._progress.tolist() == [0, 1, 1] * 4
    assert not bool(by_mask._done.any())
    for name, rows in by_mask.state.tensors().items():
        torch.testing.assert_close(rows, getattr(by_index.state, name), **close, msg=name)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_nothing_waits() -> None:
    from test_amp_env import config

    from amp_train.env import make_env

    cfg = config(num_envs=64)
    cfg.sim = SimpleNamespace(name="mujoco_warp", decimation=4, nconmax=16, njmax=128)
    cfg.sim_device, cfg.torch_deterministic = "cuda:0", False
    env = make_env(cfg)
    actions = torch.zeros(64, env.num_actions, device="cuda:0")
    env.reset()
    env.step(actions)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(20):
            env.step(actions)
            env.reset_done()
            env.fetch_amp_obs_demo(32)
    finally:
        torch.cuda.set_sync_debug_mode("default")
