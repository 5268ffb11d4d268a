"""What a stranger's checkpoint may not do: one line instead, and nothing of it is used."""

import io
import zipfile

import pytest
import torch
from torch import nn

from amp_train.checkpoint.load import load_model_state, load_plain, safe_load
from amp_train.errors import CheckpointError


def saved(path, **entries):
    torch.save({"model": {"w": torch.arange(300.0)}, **entries}, path)
    return path


def rezipped(path, change, compression=zipfile.ZIP_STORED):
    """Write the archive's members again as `change` returns them, a list of (name, data)."""
    with zipfile.ZipFile(path) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in change(members):
            archive.writestr(name, data)
    return path


def test_a_flipped_bit_in_a_tensor_is_noticed(tmp_path):
    path = saved(tmp_path / "a.pth")
    data = bytearray(path.read_bytes())
    data[data.index(torch.arange(300.0).numpy().tobytes()) + 600] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="Bad CRC-32"):
        safe_load(path)


def test_compressed_archives_are_refused(tmp_path):
    path = rezipped(saved(tmp_path / "a.pth"), lambda members: members, zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match="archive is compressed"):
        safe_load(path)


@pytest.mark.parametrize("name", ["a/data.pkl", "A/DATA.PKL"])
def test_a_name_that_occurs_twice_is_refused(tmp_path, name):
    with pytest.warns(UserWarning, match="Duplicate name") if name == "a/data.pkl" else io.BytesIO():
        path = rezipped(saved(tmp_path / "a.pth"), lambda members: [*members, (name, b"\x80\x02}.")])
    with pytest.raises(CheckpointError, match="contains a name twice"):
        safe_load(path)


def test_names_that_lead_elsewhere_are_not_followed(tmp_path):
    before = saved(tmp_path / "a.pth")
    rezipped(before, lambda members: [*members, ("../../evil", b"x"), ("/evil", b"x")])
    assert safe_load(before)["model"]["w"].sum() == 44850
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"] and not (tmp_path.parent.parent / "evil").exists()


def test_a_storage_cut_short_within_the_archive_is_refused(tmp_path):
    path = rezipped(
        saved(tmp_path / "a.pth"), lambda members: [(n, d[:40] if n.endswith("data/0") else d) for n, d in members]
    )
    with pytest.raises(CheckpointError, match="a storage does not have the declared size"):
        safe_load(path)


@pytest.mark.parametrize(
    "content",
    [torch.zeros(3, device="meta"), torch.eye(3).to_sparse(), torch.zeros(2).expand(100, 2), {1, 2}, bytearray(b"ab")],
    ids=["meta", "sparse", "expanded", "set", "bytearray"],
)
def test_tensors_and_objects_that_no_checkpoint_needs_are_refused(tmp_path, content):
    with pytest.raises(CheckpointError) as caught:
        safe_load(saved(tmp_path / "a.pth", more=content))
    assert "\n" not in str(caught.value)


def test_what_is_shared_or_transposed_or_empty_comes_back(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    parts = {"t": base.t(), "row": base[1], "none": torch.zeros(0, 5), "flags": torch.tensor([True, False])}
    loaded = load_plain(saved(tmp_path / "a.pth", parts=parts, pair=(1, [2.5, "x", b"\xff", None, 2**40])))
    for name, tensor in parts.items():
        assert torch.equal(loaded["parts"][name], tensor) and loaded["parts"][name].dtype == tensor.dtype
    assert loaded["pair"] == (1, [2.5, "x", b"\xff", None, 2**40])
    assert loaded["parts"]["t"].data_ptr() == loaded["parts"]["row"].data_ptr() - 4 * 4


def test_a_parameter_that_wants_a_gradient_is_a_plain_tensor(tmp_path):
    loaded = load_plain(saved(tmp_path / "a.pth", p=nn.Parameter(torch.ones(2))))["p"]
    assert type(loaded) is torch.Tensor and not loaded.requires_grad and torch.equal(loaded, torch.ones(2))


def test_a_dict_that_holds_itself_is_refused(tmp_path):
    ring = {}
    ring["ring"] = ring
    with pytest.raises(CheckpointError, match="nested too deeply"):
        safe_load(saved(tmp_path / "a.pth", ring=ring))


@pytest.mark.parametrize(
    "entry",
    [{"epoch": "5"}, {"epoch": None}, {"epoch": -1}, {"frame": float("inf")}, {"optimizer": []}, {"amp_train": 5},
     {"epoch": 0.5}, {"last_mean_rewards": torch.zeros(1)}, {"amp_input_mean_std": "x"}],
)  # fmt: skip
def test_entries_of_the_wrong_kind_are_named(tmp_path, entry):
    with pytest.raises(CheckpointError, match=f"is broken: its '{next(iter(entry))}' is not"):
        safe_load(saved(tmp_path / "a.pth", **entry))


@pytest.mark.parametrize(
    "weight, says",
    [
        (torch.full((2, 3), float("nan")), "weight contains NaN or infinity"),
        (torch.full((2, 3), float("inf")), "weight contains NaN or infinity"),
        (torch.zeros(2, 3, dtype=torch.int64), "weight has type torch.int64"),
        ([[0.0] * 3] * 2, "weight is not a tensor"),
    ],
)
def test_a_model_of_something_else_than_finite_numbers_is_refused(weight, says):
    model = nn.Linear(3, 2)
    before = model.weight.detach().clone()
    with pytest.raises(CheckpointError, match=says):
        load_model_state(model, {"weight": weight, "bias": torch.ones(2)})
    assert torch.equal(model.weight, before)
    with pytest.raises(CheckpointError, match="it has 5"):
        load_model_state(model, {"weight": torch.zeros(2, 3), "bias": torch.ones(2), 5: torch.ones(1)})
