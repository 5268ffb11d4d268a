"""A disk that is full, or read-only, while a training saves."""

import errno

import pytest
import torch
from fake_env import PointMassVecEnv
from make_agent import make_agent

from amp_train.checkpoint import atomic
from amp_train.checkpoint.atomic import MAX_IN_A_ROW
from amp_train.checkpoint.store import newest_valid
from amp_train.errors import SaveError
from amp_train.learning import training_loop
from amp_train.telemetry.files import event_file_instead_of


@pytest.fixture(autouse=True)
def _saves_are_never_put_off(monkeypatch):
    """As they would be on a busy machine, where one takes long."""
    monkeypatch.setattr(training_loop, "NEGLIGIBLE_S", float("inf"))


def agent_on(folder, **config):
    agent = make_agent(folder, PointMassVecEnv(16, episode_length=5), **config)
    agent.save_freq = 1
    agent.writer = event_file_instead_of(agent.writer)  # as in every training; rl_games' own would hang on a full disk
    return agent


def at_iteration(agent, actions):
    """Do something before the saves of an iteration, by its number."""
    keep_best = agent.loop._keep_best

    def then_keep_best(has_games):
        actions.get(agent.epoch_num, lambda: None)()
        keep_best(has_games)

    agent.loop._keep_best = then_keep_best


def checkpoint_of(folder):
    checkpoint, damaged = newest_valid(folder / "toy" / "nn")
    assert damaged == []
    return checkpoint


def partial_files(folder):
    return list(folder.rglob("*.partial"))


def test_a_full_disk_keeps_the_former_checkpoint_whole_and_the_training_goes_on(small_disk, caplog):
    disk = small_disk(400_000)
    agent = agent_on(disk, max_epochs=5, keep_checkpoints=1)
    filler = disk / "filler"
    seen = []

    def fill():
        with pytest.raises(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(1000)) == 1000:
                pass
            raise OSError(errno.ENOSPC, "full")

    at_iteration(
        agent,
        {
            2: fill,
            4: lambda: (seen.append(checkpoint_of(disk).iteration), seen.append(partial_files(disk)), filler.unlink()),
        },
    )
    agent.train()
    assert seen == [1, []]  # iterations 2 and 3 could not be saved
    assert caplog.text.count("could not be saved (No space left on device)") == 2
    assert checkpoint_of(disk).iteration == 5


def test_a_disk_that_stays_full_ends_the_training_after_some_tries(tmp_path, monkeypatch):
    agent = agent_on(tmp_path, max_epochs=20, keep_checkpoints=1)
    refuse(monkeypatch, lambda target: agent.epoch_num > 2)
    with pytest.raises(SaveError, match="No space left"):
        agent.train()
    assert agent.epoch_num == 2 + MAX_IN_A_ROW
    assert checkpoint_of(tmp_path).iteration == 2


def refuse(monkeypatch, refused):
    """Let writes fail as on a full disk while `refused()` says so, at their last moment."""
    replace = atomic.os.replace

    def full(source, target):
        if refused(str(target)):
            raise OSError(errno.ENOSPC, "No space left on device", str(source))
        replace(source, target)

    monkeypatch.setattr(atomic.os, "replace", full)


@pytest.mark.parametrize("suffix", [".state", ".pth", ".json"])
def test_whichever_file_cannot_be_written_the_checkpoint_before_stays_the_newest(tmp_path, monkeypatch, suffix):
    agent = agent_on(tmp_path, max_epochs=3, keep_checkpoints=1)
    refuse(monkeypatch, lambda target: target.endswith(suffix) and agent.epoch_num == 3)
    with pytest.raises(SaveError, match="No space left"):  # the last save must not fail
        agent.train()
    assert checkpoint_of(tmp_path).iteration == 2
    left = {path.name.partition("_ep_")[2].partition("_")[0] for path in (tmp_path / "toy" / "nn").iterdir()}
    assert left == {"2"} and not partial_files(tmp_path)


def test_a_training_that_is_stopped_and_cannot_save_does_not_say_that_it_did(tmp_path, monkeypatch):
    agent = agent_on(tmp_path, max_epochs=3, stop_reason=lambda: "SIGTERM")
    refuse(monkeypatch, lambda target: True)
    with pytest.raises(SaveError):
        agent.train()


def test_a_best_policy_that_could_not_be_saved_is_saved_later(tmp_path, monkeypatch, caplog):
    agent = agent_on(tmp_path, max_epochs=4, save_best_after=1)
    agent.save_freq = 0
    refuse(monkeypatch, lambda target: "last_" not in target and agent.epoch_num < 4)
    monkeypatch.setattr(agent.loop, "_episode_means", lambda: {"rewards": 1.0})
    agent.mean_rewards = 1.0
    agent.train()
    assert caplog.text.count("best policy") == 1  # not in every iteration
    assert torch.load(tmp_path / "toy" / "nn" / "toy.pth", weights_only=True)["epoch"] == 4
