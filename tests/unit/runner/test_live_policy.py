"""Following a running training: the newest checkpoint is that of the highest iteration, whatever the clock says."""

import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Iterator

import pytest

from amp_train.checkpoint.atomic import digest_of
from amp_train.checkpoint.load import safe_load
from amp_train.checkpoint.store import CheckpointStore
from amp_train.cli.play import PlayArgs, playing_config
from amp_train.cli.showing import newest_of_run, with_newest
from amp_train.env import make_env
from amp_train.errors import CheckpointError
from amp_train.paths import PRETRAINED_DIR
from amp_train.runner.live_policy import LivePolicy
from amp_train.runner.vec_env import AMPVecEnv

WALK = PRETRAINED_DIR / "walk.pth"


def complete(nn: Path, iteration: int, content: bytes = WALK.read_bytes(), keep: int = 9) -> str:
    """Complete a checkpoint as a training does; return the policy's name."""
    nn.mkdir(exist_ok=True)
    store, name = CheckpointStore(nn, keep), f"last_a_ep_{iteration}_rew_1.5"
    store.begin(name)
    files = {}
    for suffix in (".state", ".pth"):
        path = nn / (name + suffix)
        path.with_suffix(".new").write_bytes(content)
        path.with_suffix(".new").replace(path)
        files[path.name] = digest_of(path)
    store.complete(name, iteration, files)
    return name + ".pth"


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LivePolicy]:
    first = complete(tmp_path / "nn", 9)
    cfg = playing_config(PlayArgs(checkpoint=str(tmp_path / "nn" / first), num_envs=1), ["num_threads=1"])
    env = make_env(cfg)
    yield LivePolicy(cfg, AMPVecEnv(env, "cpu"), str(tmp_path / "nn" / first))
    env.close()


pytestmark = pytest.mark.mujoco


def test_a_clock_that_was_set_back_makes_no_checkpoint_older(live: LivePolicy, tmp_path: Path) -> None:
    nn = tmp_path / "nn"
    CheckpointStore(nn, 9).save_policy("a", safe_load(WALK), iteration=10)
    newest = complete(nn, 100)
    for time_s, path in enumerate([nn / newest, nn / "a.pth", nn / live.current]):  # the newest was written first
        os.utime(path, (time_s, time_s))
    assert live.names() == [live.current, "a.pth", newest]
    assert live.follow() == f"Acting: {newest}" and live.current == newest
    assert live.follow() is None


def test_one_that_cannot_be_used_is_told_of_once_and_the_policy_acts_on(live: LivePolicy, tmp_path: Path) -> None:
    before, broken = live.current, complete(tmp_path / "nn", 20, b"half a file")
    said = live.follow()
    assert said is not None and broken in said
    assert live.follow() is None and live.current == before
    good = complete(tmp_path / "nn", 30)
    assert live.follow() == f"Acting: {good}"


def test_the_policy_that_acts_can_be_chosen_after_the_training_has_removed_it(live: LivePolicy, tmp_path: Path) -> None:
    first, later = live.current, complete(tmp_path / "nn", 20, keep=1)
    assert not (tmp_path / "nn" / first).exists()
    assert live.names() == [first, later]


def test_a_run_whose_checkpoints_are_replaced_all_the_time_can_be_watched(tmp_path: Path) -> None:
    """The training keeps one checkpoint, and completes the next as fast as it can."""
    nn, over = tmp_path / "nn", threading.Event()
    complete(nn, 1)

    def train() -> None:
        iteration = 1
        while not over.is_set():
            iteration += 1
            complete(nn, iteration, keep=1)

    thread = threading.Thread(target=train)
    thread.start()
    try:
        args: Any = SimpleNamespace(watch=str(tmp_path))
        for _ in range(100):
            assert with_newest(args, newest_of_run(str(tmp_path)), safe_load)["model"]
    finally:
        over.set()
        thread.join()


def test_a_checkpoint_that_is_broken_for_good_is_an_error(tmp_path: Path) -> None:
    name = complete(tmp_path / "nn", 1, b"nothing")
    args: Any = SimpleNamespace(watch=str(tmp_path))
    with pytest.raises(CheckpointError, match=name):
        with_newest(args, str(tmp_path / "nn" / name), safe_load)
