"""The policies that come with the program still do what was measured when they were shipped, from starts never seen."""

import json
from pathlib import Path

import pytest

from amp_train.checkpoint.find import find_checkpoint, pretrained_names
from amp_train.checkpoint.load import safe_load
from amp_train.cli import eval as evaluation
from amp_train.cli import play, train
from amp_train.config import compose
from amp_train.paths import PRETRAINED_DIR

RESULTS = json.loads((PRETRAINED_DIR / "results.json").read_text())
GOALS = sorted(name for name, result in RESULTS.items() if "task_return" in result["evaluation"])
IMITATION = sorted(set(RESULTS) - set(GOALS))
EPISODES, SECONDS, UNSEEN_SEED = 8, 10, 4321
SMALL_UPDATE = [
    "num_envs=8", "train.params.config.minibatch_size=64", "train.params.config.amp_minibatch_size=32",
    "train.params.config.amp_replay_buffer_size=256", "train.params.config.amp_obs_demo_buffer_size=256",
    "train.params.config.warm_start_steps=1",
]  # fmt: skip

pytestmark = pytest.mark.mujoco


@pytest.fixture
def here(monkeypatch, tmp_path, in_process):
    """Run a command in this process, in an empty directory; return its stdout."""
    monkeypatch.chdir(tmp_path)
    return lambda command, *argv: in_process(command, *argv).out


def test_every_shipped_policy_has_its_figures():
    assert pretrained_names() == ["pretrained/" + name for name in sorted(RESULTS)] != []


def evaluated(here, name, episodes, episode_s):
    """Evaluate a policy from unseen starts; return its figures, and those stored with it."""
    settings = [f"episodes={episodes}", f"episode_s={episode_s}", f"seeds={UNSEEN_SEED}"]
    here(evaluation, "checkpoint=pretrained/" + name, "out=found.json", *settings)
    shipped = RESULTS[name]["evaluation"]
    assert UNSEEN_SEED not in shipped["seeds"]
    return json.loads(Path("found.json").read_text()), shipped


@pytest.mark.parametrize("name", IMITATION)
def test_a_shipped_policy_does_what_was_measured(here, name):
    found, shipped = evaluated(here, name, EPISODES, SECONDS)
    # An episode that falls has another error than one that does not: three deviations of a mean of so few.
    chance = 3.0 * shipped["dtw_pose_error_std_m"] / EPISODES**0.5
    assert found["dtw_pose_error_m"] < 1.25 * shipped["dtw_pose_error_m"] + chance
    chance = 3.0 * shipped["dtw_pose_error_world_std_m"] / EPISODES**0.5
    assert found["dtw_pose_error_world_m"] < 1.25 * shipped["dtw_pose_error_world_m"] + chance
    assert found["fall_rate"] <= shipped["fall_rate"] + 2.5 / EPISODES
    assert found["root_speed_m_s"] == pytest.approx(shipped["root_speed_m_s"], rel=0.15, abs=0.1)


@pytest.mark.parametrize("name", GOALS)
def test_a_shipped_policy_reaches_the_goals_that_were_measured(here, name):
    found, shipped = evaluated(here, name, EPISODES, shipped_seconds(name))
    chance = 3.0 * shipped["task_return_std"] / EPISODES**0.5
    assert found["task_return"] > shipped["task_return"] - chance
    assert found["nearest_frame_m"] < 1.25 * shipped["nearest_frame_m"], "the style is gone"


def shipped_seconds(name):
    """An episode's length is part of its return."""
    return RESULTS[name]["evaluation"]["episode_s"]


@pytest.mark.parametrize("name", sorted(RESULTS))
def test_a_shipped_policy_is_small_and_tells_how_it_was_trained(name):
    path = find_checkpoint("pretrained/" + name)
    content = safe_load(path)
    assert "optimizer" not in content and content["epoch"] == content["frame"] == 0
    stored = content["amp_train"]["config"]
    assert name in (stored["motion"]["name"], stored["task"]["name"].replace("HumanoidAMP", "").lower())
    assert stored["max_iterations"] is None, "a training that begins with it is to end where the recipe says"
    assert stored["task"].get("goal", {}) == compose(["task=" + stored["task"]["name"]]).task.goal, "the task's own"
    assert RESULTS[name]["trained"]["samples"] > 1_000_000


def test_a_shipped_policy_plays_and_is_what_a_training_can_begin_with(here, tmp_path):
    assert "falls" in here(play, "checkpoint=pretrained/walk", "episodes=2", "video=False")
    here(train, "checkpoint=pretrained/walk", "max_iterations=1", "experiment=on", "video=False", *SMALL_UPDATE)
    trained = safe_load(max((tmp_path / "runs" / "on" / "nn").glob("last*.pth")))
    assert trained["epoch"] == 1


def test_an_unknown_name_lists_those_there_are(here, capfd):
    with pytest.raises(SystemExit):
        here(play, "checkpoint=pretrained/moonwalk")
    assert "pretrained/walk" in capfd.readouterr().err
