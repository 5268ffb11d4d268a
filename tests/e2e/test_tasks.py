"""Every task of the project trains, with its own clips and settings, and its measures are written."""

import csv
from pathlib import Path

import pytest
from test_commands import SMALL

from amp_train.cli import train
from amp_train.config import compose
from amp_train.env.tasks import setting_names
from amp_train.paths import CONF_DIR

TASKS = sorted(path.stem for path in (CONF_DIR / "task").glob("*.yaml"))


@pytest.mark.parametrize("task", TASKS)
def test_a_task_trains(task, tmp_path, monkeypatch, in_process):
    monkeypatch.chdir(tmp_path)
    small = [
        "max_iterations=2",
        "video=False",
        "eval_interval=2",
        "experiment=run",
        "train.params.config.warm_start_steps=1",
    ]
    in_process(train, f"task={task}", *SMALL, *small)
    with Path("runs/run/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 and all(0.0 < float(row["task_reward_mean"]) <= 1.0 for row in rows)
    has_goal = bool(compose([f"task={task}"]).task.goal)
    assert has_goal == (task != "HumanoidAMP") == ("eval_task_return" in rows[0])
    if has_goal:
        assert 0.0 < float(rows[1]["eval_task_return"]) < 1.0


@pytest.mark.parametrize("task", TASKS)
def test_the_file_of_a_task_has_all_its_settings(task):
    assert set(compose([f"task={task}"]).task.goal) == set(setting_names(task))
