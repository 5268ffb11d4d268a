"""What a viewer asks for is done by the loop, between two steps."""

import time
from types import SimpleNamespace
from typing import Any, List

import pytest
import torch

from amp_train.viewers.live import KEYS, Live
from amp_train.viewers.native import _NAMES, why_no_window


def live_of(controls: Any = None) -> Live:
    return Live(SimpleNamespace(num_envs=2, task=SimpleNamespace(controls=controls or {})))  # type: ignore[arg-type]


def wait(live: Live, seconds: float = 0.0) -> float:
    began_s = time.perf_counter()
    live.wait(seconds, lambda: True, lambda: None)
    return time.perf_counter() - began_s


def test_steps_are_as_far_apart_as_the_speed_says() -> None:
    live = live_of()
    wait(live)
    assert sum(wait(live, 0.02) for _ in range(10)) == pytest.approx(0.2, abs=0.1)
    live.speed = 0.25
    assert sum(wait(live, 0.02) for _ in range(5)) > 0.3


def test_a_slow_machine_does_not_hurry_afterwards() -> None:
    live = live_of()
    wait(live)
    time.sleep(0.6)
    assert sum(wait(live, 0.05) for _ in range(12)) > 0.25  # of 0.6 s, 0.25 are caught up


def test_paused_it_waits_until_a_step_is_asked_for() -> None:
    live, idle = live_of(), []
    live.press("space")

    def is_running() -> bool:
        return len(idle) < 3

    def count() -> None:
        idle.append(1)
        if len(idle) == 2:
            live.press("N")

    live.wait(0.0, is_running, count)
    assert live.paused and len(idle) == 2
    live.press("space")
    assert not live.paused


def test_what_is_asked_for_is_done_in_the_loops_thread_and_in_order() -> None:
    live, done = live_of(), []
    for k in range(3):
        live.ask(lambda k=k: done.append(k))  # type: ignore[misc]
    assert done == []
    wait(live)
    assert done == [0, 1, 2]


def test_keys_steer_the_tasks_goals() -> None:
    live, given = live_of({"heading_deg": (-360.0, 360.0), "speed_m_s": (1.0, 5.0)}), []
    live.env.task.set_goal = lambda **values: given.append(values)  # type: ignore[method-assign]
    live.press("arrowleft")
    live.do_requests()
    live.press("arrowup")
    live.do_requests()
    live.do_requests()  # nothing was changed
    assert len(given) == 2 and given[0] == {"heading_deg": 15.0, "speed_m_s": 3.0}
    assert given[1]["heading_deg"] == 15.0 and given[1]["speed_m_s"] > 3.0


@pytest.mark.parametrize("key", sorted(KEYS))
def test_every_key_does_something(key: str) -> None:
    live = live_of()
    live.press(key)
    assert key in _NAMES.values()


def test_a_push_changes_one_characters_velocity_only() -> None:
    velocity = torch.zeros(2, 3)
    state = SimpleNamespace(root_vel=velocity, clone=lambda: SimpleNamespace(root_vel=velocity[1:].clone()))
    put: List[Any] = []
    live = live_of()
    live.env.device = torch.device("cpu")
    live.env.state = _Rows(state)  # type: ignore[misc,assignment]
    live.env.simulator = SimpleNamespace(set_state=lambda ids, s: put.append((ids.tolist(), s.root_vel.tolist())))
    live.push((1.0, 0.0, 0.5), 1)
    live.do_requests()
    assert put == [([1], [[1.0, 0.0, 0.5]])]


class _Rows:
    def __init__(self, state: Any) -> None:
        self._state = state

    def __getitem__(self, index: torch.Tensor) -> Any:
        return self._state


def test_without_a_display_a_window_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert "DISPLAY" in str(why_no_window())
