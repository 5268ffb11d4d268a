"""Continued from a checkpoint, a training gives the same bits as one that was never interrupted."""

import copy
import json

import pytest
import torch
from fake_env import PointMassVecEnv
from make_agent import CONFIG, make_agent

from amp_train.checkpoint.store import load_state, newest_valid
from amp_train.errors import CheckpointError
from amp_train.learning.training_state import training_state

HALF, WHOLE = 3, 6
SETTINGS = {
    "lr_schedule": "adaptive",
    "kl_threshold": 1e-7,  # the rate falls in every mini epoch
    "schedule_type": "standard",
    "save_best_after": 1,
    "amp_replay_buffer_size": 300,  # 128 rows an epoch: full and wrapped around within the first half
    "amp_obs_demo_buffer_size": 100,
    "max_epochs": WHOLE,
}


def new_agent(folder, **config):
    # 20 steps an episode, 8 an epoch: every checkpoint is in the middle of episodes.
    return make_agent(folder, PointMassVecEnv(CONFIG["num_actors"], max_speed=1.5), **{**SETTINGS, **config})


def plain(tree):
    """Turn a state into text that tells every bit of it."""
    if isinstance(tree, torch.Tensor):
        return [str(tree.dtype), list(tree.shape), tree.double().flatten().tolist()]
    if isinstance(tree, dict):
        return {str(key): plain(value) for key, value in tree.items()}
    return [plain(value) for value in tree] if isinstance(tree, (list, tuple)) else tree


def everything(agent):
    """Return the future of a training as text, time excepted."""
    state = {"policy": agent.get_full_state_weights(), "state": training_state(agent), "stats": agent.epoch_stats}
    del state["state"]["time_s"]
    return json.dumps(plain(state), sort_keys=True)


def trained(folder, half=None, state=None, **config):
    """Train; `half` is a folder with a half-done training, `state` replaces what is stored there."""
    torch.manual_seed(1)
    agent = new_agent(folder, **config)
    if half is not None:
        checkpoint, _ = newest_valid(half / "toy" / "nn")
        torch.manual_seed(99)  # nothing that is left over may help
        agent.restore(str(checkpoint.policy))
        path = checkpoint.state()
        if state is not None:
            path = folder / "altered.state"
            torch.save(state, path)
        agent.config["training_state"] = str(path)
    agent.train()
    return agent


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return everything(trained(tmp_path_factory.mktemp("whole")))


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    folder = tmp_path_factory.mktemp("half")
    asked = iter(range(1, WHOLE + 1))
    agent = trained(folder, stop_reason=lambda: "enough" if next(asked) == HALF else None)
    assert (agent.epoch_num, agent.stopped_by) == (HALF, "enough")
    return folder


def test_half_and_half_is_the_whole_bit_for_bit(uninterrupted, half, tmp_path):
    assert everything(trained(tmp_path, half)) == uninterrupted


COMPONENTS = [
    "counters.frame", "schedule", "rollout.obs", "rollout.current_rewards",
    "rollout.current_shaped_rewards", "rollout.current_lengths", "meters.game_rewards", "meters.game_shaped_rewards",
    "meters.game_lengths", "parts.discriminator.replay", "parts.discriminator.replay.next", "parts.discriminator.demo",
    "parts.discriminator.demo.next", "environment.vel", "environment.steps", "environment.generator",
    "random.torch",
]  # fmt: skip


@pytest.mark.parametrize("component", COMPONENTS)
def test_no_part_of_the_state_could_be_left_out(uninterrupted, half, tmp_path, component):
    fresh = new_agent(tmp_path / "fresh")
    fresh.init_tensors()
    fresh.obs = fresh.env_reset()
    stored = load_state(newest_valid(half / "toy" / "nn")[0].state())
    state, other = copy.deepcopy(stored), copy.deepcopy(training_state(fresh))
    *path, last = component.split(".")
    target, source = state, other
    for name in path:
        target, source = target[name], source[name]
    target[last] = source[last]
    assert everything(trained(tmp_path, half, state)) != uninterrupted


def test_the_best_reward_so_far_is_kept_and_its_policy_not_replaced_by_a_worse(half, tmp_path):
    state = load_state(newest_valid(half / "toy" / "nn")[0].state())
    state["rewards"]["best"] = 1e6
    agent = trained(tmp_path, half, state)
    assert agent.last_mean_rewards == 1e6
    assert not (tmp_path / "toy" / "nn" / "toy.pth").exists()


def test_what_is_stored_is_whole_and_lacks_nothing_of_the_state(half):
    checkpoint, damaged = newest_valid(half / "toy" / "nn")
    assert damaged == [] and checkpoint.iteration == HALF and checkpoint.ranks == 1
    state = load_state(checkpoint.state())
    assert len(state["parts"]["discriminator"]["replay"]["rows"]) == SETTINGS["amp_replay_buffer_size"]
    torch.load(checkpoint.policy, weights_only=True)
    torch.load(checkpoint.state(), weights_only=True)


def test_a_constant_rate_is_that_of_the_config_also_when_resumed(half, tmp_path):
    agent = trained(tmp_path, half, lr_schedule="constant", learning_rate=7e-4)
    assert agent.last_lr == agent.optimizer.param_groups[0]["lr"] == 7e-4


def test_a_state_of_another_size_is_refused_in_one_line(half, tmp_path):
    agent = make_agent(tmp_path, PointMassVecEnv(8), **{**SETTINGS, "num_actors": 8})
    checkpoint, _ = newest_valid(half / "toy" / "nn")
    agent.restore(str(checkpoint.policy))
    agent.config["training_state"] = str(checkpoint.state())
    with pytest.raises(CheckpointError, match="does not fit this training") as caught:
        agent.train()
    assert "\n" not in str(caught.value)


def test_policy_and_state_of_different_iterations_are_refused(half, tmp_path):
    agent = new_agent(tmp_path)
    checkpoint, _ = newest_valid(half / "toy" / "nn")
    agent.restore(str(checkpoint.policy))
    agent.epoch_num = HALF + 1
    agent.config["training_state"] = str(checkpoint.state())
    with pytest.raises(CheckpointError, match="iteration 3, the policy from 4"):
        agent.train()


@pytest.mark.parametrize(
    "place, value",
    [
        (("random", "python", "words"), [-1] * 625),
        (("random", "python", "words"), [2**70] * 625),
        (("random", "numpy", "keys"), [-1] * 624),
        (("random", "numpy", "position"), -1),
        (("counters", "frame"), float("inf")),
    ],
)
def test_numbers_that_cannot_be_are_refused_in_one_line(half, tmp_path, place, value):
    state = load_state(newest_valid(half / "toy" / "nn")[0].state())
    *path, last = place
    target = state
    for name in path:
        target = target[name]
    target[last] = value
    with pytest.raises(CheckpointError, match="does not fit this training") as caught:
        trained(tmp_path, half, state)
    assert "\n" not in str(caught.value)
