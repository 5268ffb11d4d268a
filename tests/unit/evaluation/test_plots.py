"""Pictures of an episode, and one more where the task has a goal."""

import numpy as np
import pytest
import torch
from make_episodes import clip, episodes, poses

from amp_train.evaluation.plots import plot_episode
from amp_train.evaluation.score import score_episodes

image = pytest.importorskip("imageio.v3")


def pictures(folder, run):
    clips = [clip("walk", 0.3)]
    ((score, *_),) = score_episodes([run], clips)
    return [path.name for path in plot_episode(folder, run, 0, score, clips, ["hip", "knee"])]


def test_a_task_with_a_goal_has_a_picture_of_its_own(tmp_path):
    plain = ["alignment.png", "joint_angles.png", "height_speed.png", "contacts.png"]
    assert pictures(tmp_path / "plain", episodes([poses(0.3, 20)])) == plain
    drawn = []
    for reward in (0.2, 0.9):
        run = episodes(
            [poses(0.3, 20)] * 2, task_reward=torch.full((20, 2), reward), full_length=20,
            task_metrics={"error_m": torch.full((20, 2), float("nan"))},
        )  # fmt: skip
        assert pictures(tmp_path, run) == [*plain, "task.png"]
        drawn.append(image.imread(tmp_path / "task.png"))
    assert drawn[0].shape == drawn[1].shape and np.any(drawn[0] != drawn[1])
