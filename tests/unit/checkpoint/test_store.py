"""The checkpoints of a run: complete with their manifest only, the newest kept, damage noticed and named."""

import json
import os
from pathlib import Path

import pytest
import torch

from amp_train.checkpoint.store import (
    CheckpointStore,
    check_policy_file,
    fault_of,
    load_state,
    newest_valid,
    read_manifest,
    read_manifests,
    remove_unfinished,
    save_file,
    state_name,
)
from amp_train.errors import CheckpointError


def add(folder, iteration, ranks=1, keep=2, last=False):
    """Write a checkpoint the way a training does; return its name."""
    store, name = CheckpointStore(folder, keep), "last_toy_ep_{}_rew_1.5".format(iteration)
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
    assert (checkpoint.name, checkpoint.iteration, checkpoint.ranks, checkpoint.number) == (name, 10, 1, 1)
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


def test_a_kill_while_the_oldest_is_removed_leaves_nothing_that_is_not_cleared_away(tmp_path, monkeypatch):
    unlink = Path.unlink

    def killed_at_the_state(path, *args, **kwargs):
        if path.suffix == ".state":
            raise KeyboardInterrupt
        unlink(path, *args, **kwargs)

    add(tmp_path, 10)
    newest = add(tmp_path, 20)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "unlink", killed_at_the_state)
        add(tmp_path, 30)
    remove_unfinished(tmp_path)
    assert not list(tmp_path.glob("last_toy_ep_10*")) and (tmp_path / (newest + ".pth")).exists()


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


def test_after_going_back_the_newest_is_the_last_written_not_the_highest_iteration(tmp_path):
    for iteration in (10, 20, 15):
        add(tmp_path, iteration, keep=3)
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


def test_a_policy_alone_is_compared_with_its_manifest_where_there_is_one(tmp_path):
    store = CheckpointStore(tmp_path, 2)
    store.save_policy("toy", {"best": torch.zeros(100)})
    check_policy_file(tmp_path / "toy.pth")
    flip_a_bit(tmp_path / "toy.pth")  # torch.load would not notice
    with pytest.raises(CheckpointError, match="toy.pth is damaged: toy.pth is corrupted"):
        check_policy_file(tmp_path / "toy.pth")
    (tmp_path / "toy.json").unlink()
    check_policy_file(tmp_path / "toy.pth")  # a policy that was sent without it


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        '{"format": 1, "files": {}}',
        '{"format": 1, "files": {"m.pth": 3}}',
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
    assert fault_of(read_manifest(path)) == "its manifest lacks {}.state".format(name)
