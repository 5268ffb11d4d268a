"""Safe loading: numbers and tensors from anybody, code from nobody."""

import os
import shutil
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from amp_train.checkpoint.load import load_model_state, safe_load
from amp_train.errors import CheckpointError


class RunsCode:
    """What a hostile checkpoint holds: unpickling it would create a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def write(path, **entries):
    torch.save({"model": {"w": torch.arange(3.0)}, **entries}, path)
    return path


def respelled_for_numpy_1(source, target):
    """Copy a checkpoint as numpy 1 would have pickled its scalars (protocol 2 names globals in plain text)."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename.endswith("data.pkl"):
                data = data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
            new.writestr(entry.filename, data)
    return target


@pytest.mark.parametrize(
    "scalar", [np.float32(12.5), np.float64(-1e9), np.int64(-7), np.uint8(200), np.bool_(True), np.float16(0.5)]
)
def test_numpy_scalars_become_plain_numbers_however_numpy_spelled_them(tmp_path, scalar):
    path = write(tmp_path / "a.pth", number=scalar)
    for file in (path, respelled_for_numpy_1(path, tmp_path / "b.pth")):
        value = safe_load(file)["number"]
        assert type(value) in (float, int, bool)
        assert value == scalar.item()


def test_tensors_come_back_as_they_were(tmp_path):
    optimizer = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}
    loaded = safe_load(write(tmp_path / "a.pth", optimizer=optimizer, env_state=None, epoch=7))
    assert torch.equal(loaded["model"]["w"], torch.arange(3.0))
    assert loaded["optimizer"]["param_groups"] == [{"lr": 1e-4, "params": [0]}]
    assert loaded["epoch"] == 7 and loaded["env_state"] is None


def test_the_prefix_of_torch_compile_is_removed_at_every_depth(tmp_path):
    path = tmp_path / "a.pth"
    torch.save(
        {"model": {"_orig_mod.net._orig_mod.w": torch.zeros(1)}, "nets": {"_orig_mod.a": {"_orig_mod.b": 1}}}, path
    )
    loaded = safe_load(path)
    assert list(loaded["model"]) == ["net.w"]
    assert loaded["nets"] == {"a": {"b": 1}}


def test_code_in_a_checkpoint_is_refused_and_never_runs(tmp_path):
    trap = tmp_path / "executed"
    path = write(tmp_path / "a.pth", last_mean_rewards=RunsCode(trap))
    with pytest.raises(CheckpointError, match="would build 'posix.mkdir', which could run code"):
        safe_load(path)
    assert not trap.exists()


def test_numpy_objects_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="refused"):
        safe_load(write(tmp_path / "a.pth", history=np.array([RunsCode(tmp_path / "executed")], dtype=object)))
    assert not (tmp_path / "executed").exists()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="There is no checkpoint .*nowhere.pth"):
        safe_load(tmp_path / "nowhere.pth")


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        safe_load(tmp_path)


@pytest.mark.parametrize("kept", [0.3, 0.99])
def test_a_file_cut_short_is_told_from_another_kind_of_file(tmp_path, kept):
    path = write(tmp_path / "a.pth")
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(CheckpointError, match="is truncated"):
        safe_load(path)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all", b"\x80\x02}q\x00."])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a PyTorch checkpoint"):
        safe_load(path)


def test_any_zip_file_is_not_a_checkpoint(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "readme.txt").write_text("hello")
    path = shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path / "folder")
    with pytest.raises(CheckpointError) as caught:
        safe_load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [torch.zeros(3), {"weights": {}}, {"model": torch.zeros(3)}])
def test_a_file_without_a_model_is_no_training_checkpoint(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="no 'model' entry"):
        safe_load(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({"weight": torch.zeros(2, 3)}, "lacks bias"),
        ({"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "extra": torch.zeros(1)}, "has extra"),
        (
            {"weight": torch.zeros(2, 4), "bias": torch.zeros(2)},
            r"weight has shape \(2, 4\), the network needs \(2, 3\)",
        ),
    ],
)
def test_a_state_that_does_not_fit_names_the_parameter(state, says):
    with pytest.raises(CheckpointError, match=says) as caught:
        load_model_state(nn.Linear(3, 2), state)
    assert "\n" not in str(caught.value)
