"""Weighted data sets stay within their folder, and names find the bundled clips."""

import os
from pathlib import Path

import pytest
from make_clip import standing_clip

from amp_train.character import CharacterSpec
from amp_train.errors import MotionError
from amp_train.motion import find_motion, load_dataset, load_motion, save_clip


@pytest.fixture
def folder(humanoid: CharacterSpec, tmp_path: Path) -> Path:
    (tmp_path / "set" / "more").mkdir(parents=True)
    for file in ("set/a.npz", "set/more/b.npz", "outside.npz"):
        save_clip(standing_clip(humanoid, name=file), tmp_path / file)
    return tmp_path / "set"


def _dataset(folder: Path, text: str) -> Path:
    path = folder / "set.yaml"
    path.write_text(text)
    return path


def test_clips_and_weights_are_read_relative_to_the_file(folder: Path, humanoid: CharacterSpec) -> None:
    path = _dataset(folder, "motions:\n  - {file: more/b.npz, weight: 3}\n  - {file: a.npz, weight: 0.5}\n")
    clips, weights = load_dataset(path, humanoid)
    assert [clip.name for clip in clips] == ["set/more/b.npz", "set/a.npz"] and weights == (3.0, 0.5)


def test_a_clip_without_a_weight_counts_once(folder: Path, humanoid: CharacterSpec) -> None:
    assert load_dataset(_dataset(folder, "motions: [{file: a.npz}]"), humanoid).weights == (1.0,)


def test_a_link_within_the_folder_may_be_followed(folder: Path, humanoid: CharacterSpec) -> None:
    os.symlink("more/b.npz", str(folder / "link.npz"))
    assert load_dataset(_dataset(folder, "motions: [{file: link.npz}]"), humanoid).clips[0].name == "set/more/b.npz"


@pytest.mark.parametrize(
    "file",
    ["../outside.npz", "more/../../outside.npz", "{absolute}", "link.npz", "linked/outside.npz", "loop.npz", "."],
)
def test_no_path_leads_out_of_the_folder(folder: Path, file: str) -> None:
    os.symlink("../outside.npz", str(folder / "link.npz"))
    os.symlink("..", str(folder / "linked"))
    os.symlink("loop.npz", str(folder / "loop.npz"))
    file = file.format(absolute=folder / "a.npz")
    with pytest.raises(MotionError):
        load_dataset(_dataset(folder, f"motions: [{{file: '{file}'}}]"))


@pytest.mark.parametrize("file", ["../outside.npz", "/etc/passwd", "link.npz"])
def test_the_error_says_that_the_path_leads_out(folder: Path, file: str) -> None:
    os.symlink("../outside.npz", str(folder / "link.npz"))
    with pytest.raises(MotionError, match="is outside the data set's folder"):
        load_dataset(_dataset(folder, f"motions: [{{file: '{file}'}}]"))


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "must contain one key, motions"),
        ("motions: []", "must contain one key, motions"),
        ("motions: {file: a.npz}", "must contain one key, motions"),
        ("motion: [{file: a.npz}]", "must contain one key, motions"),
        ("motions: [{file: a.npz}]\nwieghts: [1]", "must contain one key, motions"),
        ("motions: [a.npz]", "entry 1: expected"),
        ("motions: [{file: a.npz}, {file: 5}]", "entry 2: expected"),
        ("motions: [{file: a.npz, wieght: 1}]", "entry 1: expected"),
        ("motions: [{file: a.npz, weight: 0}]", "weight must be a positive number"),
        ("motions: [{file: a.npz, weight: -1}]", "weight must be a positive number"),
        ("motions: [{file: a.npz, weight: .nan}]", "weight must be a positive number"),
        ("motions: [{file: a.npz, weight: .inf}]", "weight must be a positive number"),
        ("motions: [{file: a.npz, weight: true}]", "weight must be a positive number"),
        ("motions: [{file: a.npz, weight: [1]}]", "weight must be a positive number"),
        ("motions: [{file: none.npz}]", "none.npz' does not exist"),
        ("motions: [{file: a.npz", "not valid YAML"),
        ("motions: \x00", "not valid YAML"),
        ("motions: 2001-99-99", "not valid YAML"),
        ("motions: !!python/object/apply:os.mkdir ['ran']", "no tags"),
        ("motions: !!int '" + "1 :" * 30_000 + "1'", "no tags"),
        ("a: &a [1]\nb: *a", "no aliases"),
        ("[" * 10_000, "no deep nesting|maximum nesting depth"),
        ("? " * 10_000, "no deep nesting|maximum nesting depth"),
        ("# " + "x" * 200_000, "larger than"),
    ],
)
def test_a_bad_data_set_is_refused_with_the_reason(
    folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(MotionError, match=message) as error:
        load_dataset(_dataset(folder, text))
    assert "\n" not in str(error.value) and not (folder / "ran").exists()


def test_a_bundled_clip_is_found_by_its_name() -> None:
    assert find_motion("walk").name == "walk.npz"
    assert find_motion("walk.npz") == find_motion("walk")
    assert find_motion("locomotion").name == "locomotion.yaml"


def test_a_users_file_goes_before_a_bundled_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "walk.npz").write_bytes(b"")
    assert find_motion("walk.npz").parent == folder.resolve()


@pytest.mark.parametrize("name", ["wlak", "motions/walk", "../motions/walk.npz", ""])
def test_an_unknown_motion_lists_the_bundled_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MotionError, match="not found.*backflip, .*locomotion.*walk"):
        find_motion(name)


def test_one_clip_is_a_data_set_of_one(folder: Path, humanoid: CharacterSpec) -> None:
    clips, weights = load_motion(folder / "a.npz", humanoid)
    assert len(clips) == 1 and weights == (1.0,)
    assert len(load_motion("locomotion", humanoid).clips) == 2


@pytest.mark.parametrize("name", ["07_01_" + "walk" * 15, "..." + "walk" * 15, "-1." + "9" * 50 + "_walk"])
def test_a_long_name_that_begins_like_a_number_is_a_name(folder: Path, name: str) -> None:
    (folder / "a.npz").rename(folder / f"{name}.npz")
    assert len(load_dataset(_dataset(folder, f"motions: [{{file: {name}.npz}}]")).clips) == 1
