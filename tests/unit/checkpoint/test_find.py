"""What a user may give as a checkpoint."""

import pytest

from amp_train.checkpoint import find
from amp_train.checkpoint.find import find_checkpoint, pretrained_names
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


def test_a_path_is_taken_as_it_is(shipped):
    assert find_checkpoint("shipped/walk.pth") == "shipped/walk.pth"
