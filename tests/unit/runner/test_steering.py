"""Goals from a script and from keys."""

from types import SimpleNamespace

import pytest

from amp_train.errors import ConfigError
from amp_train.runner.steering import GoalScript, KeyGoals, Steering

CONTROLS = {"heading_deg": (-360.0, 360.0), "speed_m_s": (1.0, 5.0)}


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "script.csv"
        path.write_text(text)
        return path

    return write


def test_goals_are_set_when_their_time_has_come_and_an_empty_cell_sets_none(write):
    script = GoalScript(write("time_s,heading_deg,speed_m_s\n0,0,1\n0.5,90,\n0.6,,2.5\n2,180,3\n"))
    seen = []
    env = SimpleNamespace(task=SimpleNamespace(controls=CONTROLS, set_goal=lambda **values: seen.append(values)))
    steering = Steering(script)
    steering.on_start(env)
    for index in range(70):
        steering.on_step(SimpleNamespace(env=env, time_s=(index + 1) / 30))
        if index in (13, 14, 17, 58, 59):
            seen.append(index)
    assert seen == [
        {"heading_deg": 0.0, "speed_m_s": 1.0}, 13, {"heading_deg": 90.0}, 14, {"speed_m_s": 2.5}, 17, 58,
        {"heading_deg": 180.0, "speed_m_s": 3.0}, 59,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text, says",
    [
        ("", "must begin with a line like"),
        ("time_s,heading_deg\n", "and have a row"),
        ("t,heading_deg\n0,1\n", "must begin with a line like"),
        ("time_s\n0\n", "must begin with a line like"),
        ("time_s,heading_deg\n0,left\n", "line 2: expected a time and numbers"),
        ("time_s,heading_deg\n0,1\n,2\n", "line 3: expected a time and numbers"),
        ("time_s,heading_deg\n0,nan\n", "line 2: expected a time and numbers"),
        ("time_s,heading_deg\n0,1,2\n", "line 2: expected a time and numbers"),
        ("time_s,heading_deg\n1,1\n0.5,2\n", "times must not decrease"),
    ],
)
def test_a_script_that_is_none_is_refused_in_one_line(text, says, write):
    with pytest.raises(ConfigError, match=says):
        GoalScript(write(text))


def test_the_same_script_can_be_played_again(write):
    seen, steering = [], Steering(GoalScript(write("time_s,speed_m_s\n0,2\n")))
    env = SimpleNamespace(task=SimpleNamespace(controls=CONTROLS, set_goal=lambda **values: seen.append(values)))
    for _ in range(2):
        steering.on_start(env)
    assert seen == [{"speed_m_s": 2.0}] * 2


def test_a_column_that_is_no_control_is_told_with_those_there_are(write):
    steering = Steering(GoalScript(write("time_s,velocity\n0,1\n")))
    with pytest.raises(ConfigError, match="no control velocity; it has: heading_deg, speed_m_s"):
        steering.on_start(SimpleNamespace(task=SimpleNamespace(controls=CONTROLS)))


def test_a_script_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match="none.csv' cannot be read"):
        GoalScript(tmp_path / "none.csv")


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


def test_what_is_set_by_hand_is_given_once_and_within_its_range() -> None:
    goals = KeyGoals(CONTROLS)
    goals.set({"speed_m_s": 99.0})  # a click at the horizon is no error
    goals.set({"heading_deg": 30.0})
    assert goals.goals(1.0) == {"speed_m_s": 5.0, "heading_deg": 30.0}
    assert goals.goals(2.0) == {} and goals.values == {"speed_m_s": 5.0, "heading_deg": 30.0}
