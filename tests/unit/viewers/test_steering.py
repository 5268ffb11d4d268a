"""Goals from a script and from keys."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, List

import pytest

from amp_train.errors import ConfigError
from amp_train.viewers.steering import KeyGoals, ScriptedGoals

CONTROLS = {"heading_deg": (-360.0, 360.0), "speed_m_s": (1.0, 5.0)}


class Task:
    controls = CONTROLS

    def __init__(self) -> None:
        self.given: List[Dict[str, float]] = []

    def set_goal(self, **values: float) -> None:
        self.given.append(values)


def env_of(task: Any) -> Any:
    return SimpleNamespace(task=task)


def script(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "goals.csv"
    path.write_text(text)
    return path


def test_a_script_sets_each_goal_once_when_its_time_comes(tmp_path: Path) -> None:
    path = script(tmp_path, "time_s, heading_deg, speed_m_s\n0, 0, 1.5\n2, 90,\n1, 45, 2\n")
    task = Task()
    goals = ScriptedGoals(path)
    goals.on_start(env_of(task))
    assert task.given == [{"heading_deg": 0.0, "speed_m_s": 1.5}]
    for k in range(1, 91):
        goals.on_step(SimpleNamespace(env=env_of(task), time_s=k / 30))  # type: ignore[arg-type]
        assert len(task.given) == 1 + (k >= 30) + (k >= 60), k
    assert task.given[1:] == [{"heading_deg": 45.0, "speed_m_s": 2.0}, {"heading_deg": 90.0}]


def test_the_same_script_can_be_played_again(tmp_path: Path) -> None:
    goals, task = ScriptedGoals(script(tmp_path, "time_s,speed_m_s\n0,2\n")), Task()
    for _ in range(2):
        goals.on_start(env_of(task))
    assert task.given == [{"speed_m_s": 2.0}] * 2


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("", "first row of names"),
        ("time,speed_m_s\n0,1\n", "first row of names with time_s"),
        ("time_s,speed_m_s\n0,fast\n", "line 2: every cell must be a number"),
        ("time_s,speed_m_s\n,1\n", "line 2"),
        ("time_s,speed_m_s\n0,1,7\n", "line 2"),
    ],
)
def test_a_bad_script_is_told_in_one_line(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        ScriptedGoals(script(tmp_path, text))
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        ScriptedGoals(tmp_path / "none.csv")


def test_a_column_that_is_no_control_is_told_with_those_there_are(tmp_path: Path) -> None:
    goals = ScriptedGoals(script(tmp_path, "time_s,velocity\n0,1\n"))
    with pytest.raises(ConfigError, match="no control velocity; it has: heading_deg, speed_m_s"):
        goals.on_start(env_of(Task()))


def test_arrow_keys_turn_left_counter_clockwise_and_up_is_faster() -> None:
    goals = KeyGoals(CONTROLS)
    assert goals.values == {"heading_deg": 0.0, "speed_m_s": 3.0}
    assert goals.arrow("left")["heading_deg"] == 15.0
    assert goals.arrow("right")["heading_deg"] == 0.0
    faster = goals.arrow("up")["speed_m_s"]
    assert 3.0 < faster <= 3.5 and goals.arrow("down")["speed_m_s"] == pytest.approx(3.0)
    for _ in range(100):
        goals.arrow("up")
    assert goals.values["speed_m_s"] == 5.0


def test_a_heading_goes_round() -> None:
    goals = KeyGoals(CONTROLS)
    for _ in range(13):
        goals.arrow("left")
    assert goals.values["heading_deg"] == pytest.approx(-165.0)


def test_without_a_goal_the_arrows_do_nothing() -> None:
    assert KeyGoals({}).arrow("up") == {}
