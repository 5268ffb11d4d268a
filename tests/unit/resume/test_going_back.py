"""Going back to an older checkpoint, killed at any moment: nothing that was trained is lost, and no row is missing."""

import contextlib
import json
from pathlib import Path

import pytest
from killer import Killed, Killer

from amp_train.checkpoint.store import CheckpointStore, fault_of, read_manifests, save_file, state_name
from amp_train.resume.resumption import find_resumption
from amp_train.resume.run_dir import ResumeTarget
from amp_train.runner.training import SUPERSEDED, clean_up


def train(run_dir, iterations, reward, keep=9):
    """Write rows, and a checkpoint every ten iterations."""
    folder = run_dir / "nn"
    folder.mkdir(parents=True, exist_ok=True)
    for iteration in iterations:
        with (run_dir / "metrics.jsonl").open("a") as jsonl, (run_dir / "metrics.csv").open("a") as csv:
            jsonl.write(json.dumps({"iteration": iteration, "reward": reward}) + "\n")
            csv.write(("iteration,reward\n" if iteration == 1 else "") + f"{iteration},{reward}\n")
        if iteration % 10 == 0:
            name = f"last_toy_ep_{iteration}_rew_{reward}"
            extra = {"config": {}, "versions": {}, "input_files": {}}
            content = {"model": {}, "epoch": iteration, "frame": iteration, "amp_train": extra}
            files = {
                state_name(name): save_file(folder / state_name(name), {}),
                name + ".pth": save_file(folder / (name + ".pth"), content),
            }
            CheckpointStore(folder, keep).complete(name, iteration, files)


def rows_of(path):
    """Return (iteration, reward) of each row of both files."""
    jsonl = [json.loads(line) for line in Path(f"{path}.jsonl").read_text().splitlines()]
    csv = Path(f"{path}.csv").read_text().splitlines()
    rows = [(row["iteration"], row["reward"]) for row in jsonl]
    assert csv == ["iteration,reward", *(f"{iteration},{reward}" for iteration, reward in rows)]
    return rows


def assert_nothing_is_lost(run_dir, rewards):
    """Every checkpoint, where it is now, is whole and has all its rows; `rewards` are by the last iteration of each."""
    kept = read_manifests(run_dir / "nn")[0]
    aside = read_manifests(run_dir / SUPERSEDED)[0]
    assert [fault_of(checkpoint) for checkpoint in kept + aside] == [None] * len(kept + aside)
    assert {c.name for c in kept + aside} == {f"last_toy_ep_{i}_rew_{r}" for i, r in rewards}
    rows = dict(rows_of(run_dir / "metrics"))
    assert list(rows) == list(range(1, max(c.iteration for c in kept) + 1))
    for checkpoint in aside:
        histories = [dict(rows_of(path.with_suffix(""))) for path in (run_dir / SUPERSEDED).glob("*.metrics.csv")]
        reward = int(checkpoint.name.rpartition("_")[2])
        assert any(
            list(history)[: checkpoint.iteration] == list(range(1, checkpoint.iteration + 1))
            and history[checkpoint.iteration] == reward
            for history in histories
        ), checkpoint.name


def test_what_was_set_aside_before_keeps_its_rows(tmp_path):
    train(tmp_path, range(1, 31), reward=1)
    for reward in (2, 3):
        clean_up(tmp_path, find_resumption(ResumeTarget(tmp_path, "last_toy_ep_10_rew_1", True)))
        train(tmp_path, range(11, 21), reward)
    clean_up(tmp_path, find_resumption(ResumeTarget(tmp_path)))
    assert_nothing_is_lost(tmp_path, [(10, 1), (20, 1), (30, 1), (20, 2), (20, 3)])


@pytest.mark.parametrize("again", ["the same command", "resume=auto"])
def test_a_kill_at_any_operation_of_going_back_loses_nothing(tmp_path, monkeypatch, again):
    survived, is_killed = 0, True
    while is_killed:
        run_dir = tmp_path / str(survived)
        train(run_dir, range(1, 35), reward=1)
        target = ResumeTarget(run_dir, "last_toy_ep_10_rew_1", True)
        with monkeypatch.context() as patch:
            resumption = find_resumption(target)
            killer = Killer(patch, survived)
            with contextlib.suppress(Killed):
                clean_up(run_dir, resumption)
        is_killed = killer.used_up
        clean_up(run_dir, find_resumption(target if again == "the same command" else ResumeTarget(run_dir)))
        assert_nothing_is_lost(run_dir, [(10, 1), (20, 1), (30, 1)])
        survived += 1
    assert survived > 15
