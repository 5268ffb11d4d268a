"""A task of one's own: one Python file and one YAML beside it, nothing in the package."""

import csv
import json
from pathlib import Path

import pytest
import torch
from test_commands import SMALL

from amp_train.checkpoint.load import safe_load
from amp_train.cli import eval as evaluation
from amp_train.cli import play, train
from amp_train.config import compose, resolve, with_overrides
from amp_train.env.tasks import registry
from amp_train.errors import ConfigError
from amp_train.telemetry import MetricsFiles

TASK = '''
from dataclasses import dataclass

import torch

from amp_train.env.tasks import Task, register_task


@dataclass
class TrackSpeedSettings:
    speed_m_s: float = 1.0
    spread_m_s: float = 0.5


@register_task("TrackSpeed", TrackSpeedSettings)
class TrackSpeed(Task):
    """Move at a speed, anywhere."""

    goal_size = 1

    def __init__(self, settings, setup):
        super().__init__(settings, setup)
        self.speed = torch.zeros(self.num_envs, device=self.device)

    def begin(self, chosen, state):
        spread = self.settings.spread_m_s
        self.speed = torch.where(chosen, self.settings.speed_m_s + self.uniform(-spread, spread), self.speed)

    def _error(self, state):
        return self.speed - state.root_vel[:, :2].norm(dim=-1)

    def reward(self, state):
        return torch.exp(-self._error(state).square())

    def goal_obs(self, state):
        return self.speed.unsqueeze(-1)

    def metrics(self, state):
        return {"speed_error_m_s": self._error(state).abs()}
'''
YAML = """
defaults:
  - HumanoidAMP
  - override /train@_global_.train: HumanoidAMPGoal
  - _self_

name: TrackSpeed
goal: {speed_m_s: 1.5}
"""
OWN = ["--config-dir=conf", "task=TrackSpeed", "task_file=track_speed.py"]
ITERATIONS = 4


class Crash(BaseException):
    """Nobody catches it."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    (folder / "track_speed.py").write_text(TASK)
    (folder / "conf" / "task").mkdir(parents=True)
    (folder / "conf" / "task" / "TrackSpeed.yaml").write_text(YAML)
    return folder


@pytest.fixture
def run(monkeypatch, folder, in_process):
    """Run a command in the folder, as in a new process: the task is not known yet."""
    monkeypatch.chdir(folder)

    def run(command, *argv):
        forget()
        return in_process(command, *argv).out

    yield run
    forget()


def forget():
    registry._TASKS.pop("TrackSpeed", None)
    registry._FILES.clear()


def argv_of(name):
    times = [f"max_iterations={ITERATIONS}", "task.env.episode_length=12", "seed=5"]
    saving = ["train.params.config.save_frequency=2", "train.params.config.save_max_share=1"]
    return [*OWN, *SMALL, *times, *saving, "video=False", "eval_interval=0", "experiment=" + name]


def newest(name):
    return max(Path("runs", name, "nn").glob("last*.pth"), key=lambda path: path.stat().st_mtime_ns)


def rows(name):
    with Path("runs", name, "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k not in ("time_s", "samples_per_s")} for row in csv.DictReader(file)]


@pytest.fixture
def trained(run):
    if not Path("runs/whole").exists():
        run(train, *argv_of("whole"))
    return str(newest("whole"))


def test_it_trains_with_its_goal_in_the_observation_and_its_measures_in_the_metrics(trained):
    (_, weight), *_ = [(n, w) for n, w in safe_load(trained)["model"].items() if n.endswith("actor_mlp.0.weight")]
    assert weight.shape[1] == 106  # 105 of the character and the speed
    for row in rows("whole"):
        assert 0.0 < float(row["task_reward_mean"]) < 1.0 and float(row["speed_error_m_s"]) > 0.0


def test_it_is_continued_bit_for_bit(trained, run, monkeypatch):
    write = MetricsFiles.write

    def write_or_crash(self, row):
        write(self, row)
        if row["iteration"] == 3:
            raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(MetricsFiles, "write", write_or_crash)
        with pytest.raises(Crash):
            run(train, *argv_of("cut"))
    assert "after iteration 2" in run(train, "resume=runs/cut", "task_file=track_speed.py")
    expected, continued = safe_load(trained), safe_load(str(newest("cut")))
    assert expected["frame"] == continued["frame"]
    for name, tensor in expected["model"].items():
        assert torch.equal(continued["model"][name], tensor), name
    assert rows("cut") == rows("whole")


def test_it_is_played_and_evaluated(trained, run):
    told = run(play, "checkpoint=" + trained, "task_file=track_speed.py", "video=False", "episodes=2", "num_envs=2")
    assert "2 episodes" in told
    small = ["episodes=2", "episode_s=0.5", "seeds=[1]", "out=report.json"]
    printed = run(evaluation, "checkpoint=" + trained, "task_file=track_speed.py", *small)
    report = json.loads(Path("report.json").read_text())
    assert 0.0 < report["task_return"] < 1.0 and report["task"]["speed_error_m_s"] > 0.0
    assert "normalised task return" in printed and "speed_error_m_s" in printed


def test_a_checkpoint_names_a_task_but_never_a_file(trained, run, folder):
    (folder / "evil.py").write_text("raise SystemExit('ran')\n")
    stored = safe_load(trained)["amp_train"]["config"]
    assert stored["task"]["name"] == "TrackSpeed"
    stored["task_file"] = str(folder / "evil.py")
    forget()
    with pytest.raises(ConfigError, match=r"Unknown task 'TrackSpeed'.*task_file=FILE.py"):
        resolve(with_overrides(stored, []))


@pytest.mark.parametrize(
    "override, says",
    [
        ("task.goal.sped_m_s=1", "Unknown key 'task.goal.sped_m_s'. Did you mean 'task.goal.speed_m_s'?"),
        ("task.goal.speed_m_s=fast", "could not be converted to Float"),
    ],
)
def test_a_slip_in_its_settings_is_one_line(override, says, run, folder):
    forget()
    own = ["task=TrackSpeed", "task_file=track_speed.py", override]
    with pytest.raises(ConfigError) as caught:
        resolve(compose(own, str(folder / "conf")))
    assert says in str(caught.value)


def test_a_file_that_is_not_there_is_named(run):
    with pytest.raises(ConfigError, match="task_file=none.py: there is no such Python file"):
        compose(["task_file=none.py"])
