"""sim=auto, and where a simulator runs."""

import logging

import pytest
import torch

from amp_train.config import compose, resolve
from amp_train.sim import choice as sim_choice
from amp_train.sim.choice import Machine, choose_simulator


@pytest.mark.parametrize(
    "machine, sim_device, name, why",
    [
        (Machine(True, True, True), None, "isaacgym", "Isaac Gym"),
        (Machine(True, True, True), "cuda:1", "isaacgym", "Isaac Gym"),
        (Machine(True, False, True), None, "mujoco_warp", "MuJoCo Warp"),
        (Machine(True, False, False), None, "mujoco", "pip install"),
        (Machine(False, True, True), None, "mujoco", "no CUDA GPU"),
        (Machine(True, True, True), "cpu", "mujoco", "sim_device=cpu"),
    ],
)
def test_the_fastest_simulator_that_works_here_is_chosen(machine, sim_device, name, why):
    choice = choose_simulator(machine, sim_device)
    assert choice.name == name and why in choice.why


def test_auto_is_resolved_once_and_says_why(caplog, monkeypatch):
    monkeypatch.setattr(sim_choice, "this_machine", lambda: Machine(False, False, False))
    with caplog.at_level(logging.WARNING):
        once = resolve(compose(["sim=auto"]))
    assert once.sim.name == "mujoco" and once.sim_device == "cpu"
    assert caplog.messages == ["sim=auto: mujoco, because torch sees no CUDA GPU."]
    assert resolve(once) == once and len(caplog.messages) == 1


def test_a_gpu_simulator_runs_on_the_gpu_if_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    places = {name: sim_choice.default_sim_device(name) for name in ("mujoco", "mujoco_warp", "isaacgym", "auto")}
    assert places == {"mujoco": "cpu", "mujoco_warp": "cuda:0", "isaacgym": "cuda:0", "auto": "cuda:0"}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert sim_choice.default_sim_device("mujoco_warp") == "cpu"
