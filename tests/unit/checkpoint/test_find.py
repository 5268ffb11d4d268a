"""What a user may give as a checkpoint."""

import pytest

from amp_train.checkpoint import find
from amp_train.checkpoint.atomic import write_atomically
from amp_train.checkpoint.find import find_checkpoint, pretrained_names
from amp_train.checkpoint.store import CheckpointStore
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
        for file in ("last_ep_{}.pth".format(iteration), "last_ep_{}.state".format(iteration)):
            files[file] = write_atomically(run / file, lambda f: f.write(b"x"))
        store.complete("last_ep_{}".format(iteration), iteration, files)
    assert find_checkpoint(name) == "runs/AMP_walk/nn/last_ep_10.pth"


def test_a_missing_policy_names_those_beside_it(run):
    (run / "HumanoidAMP.pth").write_bytes(b"policy")
    with pytest.raises(CheckpointError, match="but runs/AMP_walk/nn/HumanoidAMP.pth"):
        find_checkpoint("runs/AMP_walk/nn/other.pth")
    with pytest.raises(CheckpointError, match="no checkpoint runs/nothing"):
        find_checkpoint("runs/nothing")


def test_a_path_is_taken_as_it_is(shipped):
    assert find_checkpoint("shipped/walk.pth") == "shipped/walk.pth"
