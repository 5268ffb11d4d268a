"""Which checkpoint of a running training is shown."""

import os

import pytest

from amp_train.checkpoint.store import CheckpointStore, save_file, state_name
from amp_train.runner import live_policy
from amp_train.runner.live_policy import LivePolicy


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(live_policy, "Policy", lambda *_: None)
    CheckpointStore(tmp_path, 2).save_policy("toy", {"best": True})
    for iteration in (9, 10):
        name = f"last_toy_ep_{iteration}_rew_1.5"
        names = (name + ".pth", state_name(name))
        files = {file: save_file(tmp_path / file, {"iteration": iteration}) for file in names}
        CheckpointStore(tmp_path, 2).complete(name, iteration, files)
    return tmp_path


def names(folder):
    return LivePolicy(None, None, str(folder / "toy.pth")).names()


def test_the_newest_is_of_the_highest_iteration_whatever_the_clock_said(folder):
    for path in folder.glob("*_ep_10_*"):
        os.utime(path, (0, 0))
    assert names(folder) == ["toy.pth", "last_toy_ep_9_rew_1.5.pth", "last_toy_ep_10_rew_1.5.pth"]


def test_one_that_is_just_being_written_is_not_the_newest_yet(folder):
    save_file(folder / "last_toy_ep_11_rew_1.5.pth", {})
    assert names(folder)[-1] == "last_toy_ep_10_rew_1.5.pth"
