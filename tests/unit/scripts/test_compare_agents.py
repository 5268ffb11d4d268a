"""scripts/compare_agents: its command line, table and clock, and short trainings of the agents that are installed."""

import importlib.util
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Iterator

import pytest

from amp_train.errors import ConfigError, MissingPackageError

FOLDER = Path(__file__).resolve().parents[3] / "scripts" / "compare_agents"
RESULT = {
    "agent": "skrl",
    "samples": 1234567,
    "samples_per_s": 4115.4,
    "outside_share": 0.987,
    "dtw_pose_error_m": 0.01234,
    "episode_steps": 299.6,
    "falls": 3,
}


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The command as a module."""
    monkeypatch.syspath_prepend(FOLDER)
    spec = importlib.util.spec_from_file_location("compare_agents", FOLDER / "__main__.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["common"]


@pytest.mark.parametrize(
    "argument, complaint",
    [
        ("agents=amp_train,skrll", "Did you mean 'skrl'?"),
        ("agents=", "Unknown agent ''"),
        ("time_s=0", "time_s=0 must be a number of seconds above 0"),
        ("time_s=soon", "time_s=soon must be"),
        ("time_s=inf", "time_s=inf must be"),
        ("time_s", "write key=value"),
        ("out=nowhere/results.json", "there is no folder nowhere"),
        ("moton=walk", "Did you mean 'motion'?"),
        ("num_envs=0", "num_envs"),
    ],
)
def test_a_slip_is_noticed_before_anything_is_simulated(command, monkeypatch, argument, complaint):
    monkeypatch.setattr(command, "in_own_process", lambda *_: pytest.fail("an agent was started"))
    with pytest.raises(ConfigError) as caught:
        command.main(["agents=amp_train", argument])
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    "agent, line",
    [
        ("skrl", "agents=skrl needs skrl: pip install 'skrl'"),
        (
            "amp_rsl_rl",
            "agents=amp_rsl_rl needs amp_rsl_rl, rsl_rl, tensordict: pip install 'amp-rsl-rl' 'rsl-rl-lib>=5'",
        ),
    ],
)
def test_a_missing_package_is_one_line_before_anything_is_simulated(command, monkeypatch, agent, line):
    monkeypatch.setattr(command, "in_own_process", lambda *_: pytest.fail("an agent was started"))
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError) as caught:
        command.main([f"agents=amp_train,{agent}"])
    assert str(caught.value) == line


def test_keys_of_a_peer_are_its_options_and_other_keys_overrides_of_amp_train(command):
    request = command.parse(["motion=run", "skrl.learning_rate=1e-4", "num_envs=64", "agents=skrl", "time_s=1.5"])
    assert request.overrides == [
        "num_envs=64", "num_threads=1", "sim=mujoco", "motion=run", "sim_device=cpu", "rl_device=cpu"
    ]  # fmt: skip
    assert (request.agents, request.time_s, request.out) == (["skrl"], 1.5, None)
    assert (request.options["skrl"], request.options["amp_rsl_rl"]) == ({"learning_rate": 1e-4}, {})


def test_the_table(command):
    worse = dict(RESULT, agent="amp_rsl_rl", samples=8192, outside_share=12.0, episode_steps=8.4, falls=32)
    assert command.table([RESULT, worse]) == (
        "| agent      | samples   | samples/s | outside/physics | pose error (m) | steps of 300 | falls of 32 |\n"
        "| ---        | ---       | ---       | ---             | ---            | ---          | ---         |\n"
        "| skrl       | 1,234,567 | 4,115     | 0.99            | 0.012          | 300          | 3           |\n"
        "| amp_rsl_rl | 8,192     | 4,115     | 12.00           | 0.012          | 8            | 32          |\n"
    )


def test_results_are_kept_when_a_later_agent_fails(command, monkeypatch, tmp_path):
    def one_then_none(name, request):
        if name == "amp_train_no_warm_start":
            raise RuntimeError("no such luck")
        return dict(RESULT, agent=name)

    monkeypatch.setattr(command, "in_own_process", one_then_none)
    with pytest.raises(RuntimeError):
        command.main(["agents=amp_train,amp_train_no_warm_start", f"out={tmp_path}/results.json"])
    saved = json.loads((tmp_path / "results.json").read_text())
    assert saved["results"] == [dict(RESULT, agent="amp_train")]
    assert saved["versions"]["torch"] and saved["time_s"] == 300.0


def test_the_clock_counts_samples_and_knows_physics_from_the_rest(command, monkeypatch):
    now_s = [0.0]
    common = sys.modules["common"]
    monkeypatch.setattr(common, "time", SimpleNamespace(perf_counter=lambda: now_s[0]))

    def take(seconds):
        now_s[0] += seconds

    env = SimpleNamespace(num_envs=4, simulator=SimpleNamespace(step=take))
    clock = common.Clock(env, 10.0)
    take(100.0)
    clock.start()
    env.simulator.step(3.0)
    take(1.0)
    env.simulator.step(2.0)
    assert not clock.is_over()
    assert (clock.train_s, clock.physics_s, clock.samples) == (6.0, 5.0, 8)
    take(4.0)
    assert clock.is_over()


@pytest.mark.mujoco
@pytest.mark.parametrize("agent", ["amp_train_no_warm_start", "skrl", "amp_rsl_rl"])
def test_an_agent_trains_and_is_measured(agent, tmp_path):
    if not agent.startswith("amp_train") and find_spec(agent) is None:
        pytest.skip(f"{agent} is not installed")
    small = ["num_envs=16", "time_s=1", "train.params.config.minibatch_size=32"]
    small += ["train.params.config.amp_obs_demo_buffer_size=1024"]
    command = [sys.executable, str(FOLDER), f"agents={agent}", f"out={tmp_path / 'results.json'}", *small]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("| agent") and f"| {agent} " in done.stdout.splitlines()[2]
    (result,) = json.loads((tmp_path / "results.json").read_text())["results"]
    assert result["samples"] > 0 and result["samples"] % (16 * 8) == 0
    assert 1.0 <= result["train_s"] < 60.0 and 0.0 < result["physics_s"] < result["train_s"]
    assert 0.0 < result["dtw_pose_error_m"] < 1.0 and 1 <= result["episode_steps"] <= 300
    assert 0 <= result["falls"] <= 32
