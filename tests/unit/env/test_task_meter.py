"""`TaskMeter`: means over environments and steps."""

import torch

from amp_train.env.task_meter import TaskMeter

NAN = float("nan")
NEVER = torch.zeros(3, dtype=torch.bool)


def test_it_averages_what_there_is_and_leaves_diverged_worlds_out() -> None:
    meter = TaskMeter(torch.device("cpu"))
    meter.add({"error": torch.tensor([1.0, 2.0, 9.0]), "time": torch.tensor([NAN, 4.0, NAN])}, NEVER)
    meter.add({"error": torch.tensor([6.0, NAN, 3.0]), "time": torch.tensor([NAN] * 3)}, ~NEVER)
    meter.add({"error": torch.tensor([5.0, 7.0, 1e9]), "time": torch.tensor([2.0, NAN, NAN])}, torch.arange(3) == 2)
    assert meter.pop() == {"error": 24.0 / 5, "time": 3.0}
    assert meter.pop() == {"error": None, "time": None}, "it begins anew and keeps the names"


def test_a_task_without_measures_has_none() -> None:
    meter = TaskMeter(torch.device("cpu"))
    meter.add({}, NEVER)
    assert meter.pop() == {}


def test_it_goes_on_from_its_state() -> None:
    meter, other = TaskMeter(torch.device("cpu")), TaskMeter(torch.device("cpu"))
    meter.add({"error": torch.tensor([1.0, 2.0, 6.0])}, NEVER)
    other.set_state(meter.get_state())
    for each in (meter, other):
        each.add({"error": torch.tensor([3.0, NAN, NAN])}, NEVER)
    assert meter.pop() == other.pop() == {"error": 3.0}
