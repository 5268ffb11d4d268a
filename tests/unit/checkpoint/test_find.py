"""What a user may give as a checkpoint."""

import itertools

import pytest
import torch

from amp_train.checkpoint import find, store
from amp_train.checkpoint.atomic import write_atomically
from amp_train.checkpoint.find import check_policy_file, find_checkpoint, pretrained_names
from amp_train.checkpoint.store import CheckpointStore, save_file
from amp_train.errors import CheckpointError


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    folder = tmp_path / "shipped"
    folder.mkdir()
    (folder / "walk.pth").write_bytes(b"policy")
    monkeypatch.setattr(find, "PRETRAINED_DIR", folder)
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_shipped_policy_has_a_name(shipped):
    assert pretrained_names() == ["pretrained/walk"]
    assert find_checkpoint("pretrained/walk") == str(shipped / "walk.pth")


def test_a_file_of_that_name_goes_first(shipped, tmp_path):
    (tmp_path / "pretrained").mkdir()
    (tmp_path / "pretrained" / "walk").write_bytes(b"mine")
    assert find_checkpoint("pretrained/walk") == "pretrained/walk"


@pytest.mark.parametrize("name", ["pretrained/moonwalk", "pretrained/../walk", "walk", "pretrained/walk.pth"])
def test_another_name_lists_those_there_are(shipped, name):
    with pytest.raises(CheckpointError, match="pretrained/walk[.]$") as caught:
        find_checkpoint(name)
    assert name in str(caught.value)


@pytest.fixture
def run(shipped, tmp_path):
    folder = tmp_path / "runs" / "AMP_walk" / "nn"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("name", ["runs/AMP_walk/nn/AMP_walk.pth", "runs/AMP_walk"])
def test_isaacgymenvs_name_of_a_runs_policy_is_its_best_one(run, name):
    for policy in ("HumanoidAMP", "last_HumanoidAMP_ep_9_rew_1"):
        (run / (policy + ".pth")).write_bytes(b"policy")
    assert find_checkpoint(name) == "runs/AMP_walk/nn/HumanoidAMP.pth"


@pytest.mark.parametrize("name", ["runs/AMP_walk/nn/AMP_walk.pth", "runs/AMP_walk"])
def test_before_there_is_a_best_one_it_is_the_newest(run, name):
    store = CheckpointStore(run, keep=3)
    for iteration in (9, 10):
        files = {}
        for file in (f"last_ep_{iteration}.pth", f"last_ep_{iteration}.state"):
            files[file] = write_atomically(run / file, lambda f: f.write(b"x"))
        store.complete(f"last_ep_{iteration}", iteration, files)
    assert find_checkpoint(name) == "runs/AMP_walk/nn/last_ep_10.pth"


def test_a_missing_policy_names_those_beside_it(run):
    (run / "HumanoidAMP.pth").write_bytes(b"policy")
    with pytest.raises(CheckpointError, match="has: runs/AMP_walk/nn/HumanoidAMP.pth"):
        find_checkpoint("runs/AMP_walk/nn/other.pth")
    with pytest.raises(CheckpointError, match="no checkpoint runs/nothing"):
        find_checkpoint("runs/nothing")


def test_a_path_is_taken_as_it_is(shipped):
    assert find_checkpoint("shipped/walk.pth") == "shipped/walk.pth"


def test_a_policy_alone_is_compared_with_its_manifest_where_there_is_one(tmp_path):
    CheckpointStore(tmp_path, 2).save_policy("toy", {"best": torch.zeros(100)})
    check_policy_file(tmp_path / "toy.pth")
    flip_a_bit(tmp_path / "toy.pth")  # torch.load would not notice
    with pytest.raises(CheckpointError, match="toy.pth is damaged: toy.pth is corrupted"):
        check_policy_file(tmp_path / "toy.pth")
    (tmp_path / "toy.json").unlink()
    check_policy_file(tmp_path / "toy.pth")  # a policy that was sent without it


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


class Replacement:
    """A training that replaces its best policy, step by step: manifest away, policy, manifest."""

    def __init__(self, folder):
        save_file(folder / "new.pth", {"best": 2})
        CheckpointStore(folder, 2).save_policy("new", {"best": torch.ones(50)})
        text = (folder / "new.json").read_text().replace("new.pth", "toy.pth")
        self.steps = [
            (folder / "toy.json").unlink,
            lambda: (folder / "new.pth").replace(folder / "toy.pth"),
            lambda: store.write_atomically(folder / "toy.json", lambda file: file.write(text.encode())),
        ]

    def go_on(self, steps):
        for _ in range(min(steps, len(self.steps))):
            self.steps.pop(0)()


@pytest.mark.parametrize("before, between", list(itertools.product(range(4), range(4))))
def test_a_policy_that_is_being_replaced_is_not_called_damaged(tmp_path, monkeypatch, before, between):
    CheckpointStore(tmp_path, 2).save_policy("toy", {"best": torch.zeros(100)})
    replacement = Replacement(tmp_path)

    def meanwhile(function, steps):
        def call(*args):
            replacement.go_on(steps)
            return function(*args)

        return call

    monkeypatch.setattr(find, "read_manifest", meanwhile(store.read_manifest, before))
    monkeypatch.setattr(find, "fault_of_file", meanwhile(store.fault_of_file, between))
    check_policy_file(tmp_path / "toy.pth")
    replacement.go_on(3)
    check_policy_file(tmp_path / "toy.pth")
    flip_a_bit(tmp_path / "toy.pth")
    with pytest.raises(CheckpointError, match="damaged"):
        check_policy_file(tmp_path / "toy.pth")


def test_a_checkpoint_that_is_removed_meanwhile_is_not_there_and_not_damaged(tmp_path, monkeypatch):
    CheckpointStore(tmp_path, 2).save_policy("toy", {"best": 1})

    def removed(path, digest):
        (tmp_path / "toy.json").unlink()
        (tmp_path / "toy.pth").unlink()
        return store.fault_of_file(path, digest)

    monkeypatch.setattr(find, "fault_of_file", removed)
    check_policy_file(tmp_path / "toy.pth")
