"""The checkpoints of a run: complete with their manifest only, the newest kept, damage noticed and named."""

import contextlib
import json
import os

import pytest
import torch
from killer import Killed, Killer

from amp_train.checkpoint.load import load_plain
from amp_train.checkpoint.store import (
    CheckpointStore,
    fault_of,
    load_state,
    newest_valid,
    read_manifest,
    read_manifests,
    remove_unfinished,
    save_file,
    set_aside_later,
    state_name,
)
from amp_train.errors import CheckpointError


def add(folder, iteration, ranks=1, keep=2, last=False):
    """Write a checkpoint the way a training does; return its name."""
    store, name = CheckpointStore(folder, keep), f"last_toy_ep_{iteration}_rew_1.5"
    store.begin(name)
    files = {}
    for rank in range(ranks):
        files[state_name(name, rank)] = save_file(folder / state_name(name, rank), {"rank": torch.tensor(rank)})
    files[name + ".pth"] = save_file(folder / (name + ".pth"), {"iteration": iteration})
    store.complete(name, iteration, files, ranks, last, {"events": 10 * iteration})
    return name


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_checkpoint_has_policy_state_and_manifest_and_is_found_whole(tmp_path):
    name = add(tmp_path, 10)
    assert names(tmp_path) == [name + ".json", name + ".pth", name + ".state"]
    checkpoint, damaged = newest_valid(tmp_path)
    assert damaged == []
    assert (checkpoint.name, checkpoint.iteration, checkpoint.ranks) == (name, 10, 1)
    assert checkpoint.event_files == {"events": 100}
    assert load_state(checkpoint.state())["rank"] == 0


def test_every_rank_has_a_state_of_its_own_and_all_must_be_whole(tmp_path):
    name = add(tmp_path, 10, ranks=2)
    checkpoint, _ = newest_valid(tmp_path)
    assert load_state(checkpoint.state(1))["rank"] == 1
    flip_a_bit(tmp_path / (name + ".rank1.state"))
    assert fault_of(checkpoint) == name + ".rank1.state is corrupted (its checksum differs)"


def test_the_newest_few_are_kept_and_the_best_policy_beside_them(tmp_path):
    CheckpointStore(tmp_path, 2).save_policy("toy", {"best": True})
    for iteration in (10, 20, 30):
        add(tmp_path, iteration)
    assert [c.iteration for c in read_manifests(tmp_path)[0]] == [30, 20]
    assert not list(tmp_path.glob("last_toy_ep_10*"))
    assert (tmp_path / "toy.pth").exists()


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def assert_whole_and_no_orphan(folder):
    """After what the next start cleans away: every file belongs to a whole checkpoint or is the best policy's."""
    remove_unfinished(folder)
    found, damaged = read_manifests(folder)
    assert damaged == [] and [fault_of(checkpoint) for checkpoint in found] == [None] * len(found)
    listed = {name for checkpoint in found for name in [*checkpoint.files, checkpoint.manifest.name]}
    assert set(names(folder)) - listed <= {"toy.pth", "toy.json"}
    if (folder / "toy.json").exists():
        assert fault_of(read_manifest(folder / "toy.json")) is None
    assert load_plain(folder / "toy.pth")["best"] in (1, 2)
    return [checkpoint.iteration for checkpoint in found]


SAVES = {
    "a checkpoint, and the oldest goes": lambda folder: add(folder, 30),
    "a checkpoint of two processes": lambda folder: add(folder, 30, ranks=2),
    "the last checkpoint, and all others go": lambda folder: add(folder, 30, last=True),
    "a checkpoint of a name that is there": lambda folder: add(folder, 20, ranks=2),
    "the best policy": lambda folder: CheckpointStore(folder, 2).save_policy("toy", {"best": 2}),
    "what a kill has left goes": lambda folder: remove_unfinished(folder),
}


@pytest.mark.parametrize("save", sorted(SAVES))
def test_a_kill_before_any_operation_on_a_file_leaves_whole_checkpoints_and_no_orphan(tmp_path, monkeypatch, save):
    survived, is_killed = 0, True
    while is_killed:
        folder = tmp_path / str(survived)
        folder.mkdir()
        CheckpointStore(folder, 2).save_policy("toy", {"best": 1})
        for iteration in (10, 20):
            add(folder, iteration, ranks=2)
        if save == "what a kill has left goes":
            for name in (
                "last_toy_ep_15_rew_1.5.pth",
                "last_toy_ep_15_rew_1.5.rank1.state",
                "x.state",
                "y.pth.partial",
            ):
                (folder / name).touch()
        with monkeypatch.context() as patch:
            killer = Killer(patch, survived)
            with contextlib.suppress(Killed):
                SAVES[save](folder)
        is_killed = killer.used_up
        # One that was there before survives, unless it is the very one that is replaced.
        assert set(assert_whole_and_no_orphan(folder)) & {10, 20, 30}
        survived += 1
    assert survived > 3


def test_a_finished_training_keeps_its_last_checkpoint_only(tmp_path):
    for iteration in (10, 20):
        add(tmp_path, iteration)
    name = add(tmp_path, 30, last=True)
    assert names(tmp_path) == [name + ".json", name + ".pth", name + ".state"]


def test_an_old_one_goes_only_after_the_new_one_is_complete(tmp_path, monkeypatch):
    add(tmp_path, 10, keep=1)

    def crash(*_):
        raise OSError("power cut")

    monkeypatch.setattr("amp_train.checkpoint.store.CheckpointStore._write_manifest", crash)
    with pytest.raises(OSError, match="power cut"):
        add(tmp_path, 20, keep=1)
    assert newest_valid(tmp_path)[0].iteration == 10


def test_the_newest_is_the_one_of_the_highest_iteration_whatever_the_clock_said(tmp_path):
    for iteration in (10, 20):
        add(tmp_path, iteration)
    for path in tmp_path.glob("last_toy_ep_20*"):
        os.utime(path, (0, 0))
    assert newest_valid(tmp_path)[0].iteration == 20


def test_going_back_sets_the_later_checkpoints_aside(tmp_path_factory):
    tmp_path, aside = tmp_path_factory.mktemp("nn"), tmp_path_factory.mktemp("superseded")
    CheckpointStore(tmp_path, 2).save_policy("toy", {"best": True})
    for iteration in (10, 20, 30):
        add(tmp_path, iteration, keep=3)
    (tmp_path / "last_toy_ep_20_rew_1.5.state").unlink()  # whole or not
    set_aside_later(tmp_path, 10, aside)
    assert fault_of(read_manifest(aside / "last_toy_ep_30_rew_1.5.json")) is None
    assert names(tmp_path) == [
        *sorted("last_toy_ep_10_rew_1.5" + s for s in (".json", ".pth", ".state")),
        "toy.json",
        "toy.pth",
    ]
    add(tmp_path, 15)
    assert newest_valid(tmp_path)[0].iteration == 15


def damage(folder, name, how):
    state, policy = folder / (name + ".state"), folder / (name + ".pth")
    if how == "corrupted":
        flip_a_bit(policy)
    elif how == "truncated":
        os.truncate(state, state.stat().st_size - 1)
    elif how == "missing":
        state.unlink()
    elif how == "manifest":
        (folder / (name + ".json")).write_text('{"format": 1, "files"')


@pytest.mark.parametrize(
    "how, told",
    [
        ("corrupted", ".pth is corrupted"),
        ("truncated", " bytes instead of "),
        ("missing", ".state is missing"),
        ("manifest", ".json cannot be read"),
    ],
)
def test_a_damaged_checkpoint_is_named_with_its_fault_and_the_one_before_it_taken(tmp_path, how, told):
    add(tmp_path, 10)
    newest = add(tmp_path, 20)
    damage(tmp_path, newest, how)
    checkpoint, (damaged,) = newest_valid(tmp_path)
    assert checkpoint.iteration == 10
    assert damaged.name == newest and told in damaged.reason


def test_what_has_no_manifest_is_no_checkpoint_and_is_cleaned_away(tmp_path):
    name = add(tmp_path, 10)
    save_file(tmp_path / "last_toy_ep_20_rew_2.0.state", {})
    save_file(tmp_path / "last_toy_ep_20_rew_2.0.rank1.state", {})
    (tmp_path / "last_toy_ep_20_rew_2.0.pth.partial").touch()
    assert newest_valid(tmp_path)[0].iteration == 10
    remove_unfinished(tmp_path)
    assert names(tmp_path) == [name + ".json", name + ".pth", name + ".state"]


def test_a_folder_that_does_not_exist_has_no_checkpoints(tmp_path):
    remove_unfinished(tmp_path / "nn")
    assert newest_valid(tmp_path / "nn") == (None, [])


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        '{"format": 1, "files": {}}',
        '{"format": 1, "files": {"m.pth": 3}}',
        '{"format": 1, "event_files": {"events.1": -5}, "files": {"m.pth": {"num_bytes": 1, "sha256": ""}}}',
        '{"format": 9, "files": {"m.pth": {"num_bytes": 1, "sha256": ""}}}',
        '{"format": 1, "files": {"m.pth": {"num_bytes": 1, "sha256": ""}, "../x": {"num_bytes": 1, "sha256": ""}}}',
        "[" * 100000,
        "\xff",
    ],
)
def test_what_is_no_manifest_is_refused_in_our_own_words(tmp_path, content):
    path = tmp_path / "m.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(CheckpointError, match="its manifest m.json"):
        read_manifest(path)


def test_a_manifest_that_lacks_a_state_does_not_pass_for_a_checkpoint(tmp_path):
    name = add(tmp_path, 10)
    path = tmp_path / (name + ".json")
    content = json.loads(path.read_text())
    del content["files"][name + ".state"]
    path.write_text(json.dumps(content))
    assert fault_of(read_manifest(path)) == f"its manifest lacks {name}.state"


def test_a_name_with_control_characters_reaches_no_terminal(tmp_path):
    name = add(tmp_path, 10)
    for suffix in (".json", ".pth", ".state"):
        (tmp_path / (name + suffix)).rename(tmp_path / f"x\x1b[2J{suffix}")
    found, (damaged,) = newest_valid(tmp_path)
    assert found is None and (damaged.name + damaged.reason).isprintable()
