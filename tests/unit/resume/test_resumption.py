"""Which checkpoint is continued, and what is said when none can be."""

import json

import pytest
import torch

from amp_train.character import load_character
from amp_train.checkpoint.store import CheckpointStore, save_file, state_name
from amp_train.config import compose
from amp_train.errors import CheckpointError, ConfigError
from amp_train.resume.resumption import (
    changed_files,
    changed_versions,
    find_resumption,
    input_files,
)
from amp_train.resume.run_dir import ResumeTarget
from amp_train.runner.training import wandb_id

EXTRA = {"config": {"seed": 3}, "versions": {"torch": "2"}, "input_files": {"a": "b"}}


def add(run_dir, iteration, **content):
    folder, name = run_dir / "nn", f"last_toy_ep_{iteration}_rew_1.5"
    folder.mkdir(parents=True, exist_ok=True)
    policy = content or {"model": {}, "epoch": iteration, "frame": 100 * iteration, "amp_train": EXTRA}
    files = {
        name + ".pth": save_file(folder / (name + ".pth"), policy),
        state_name(name): save_file(folder / state_name(name), {}),
    }
    CheckpointStore(folder, 5).complete(name, iteration, files)
    return name


def test_the_newest_checkpoint_is_found_with_what_its_policy_says(tmp_path):
    add(tmp_path, 1)
    name = add(tmp_path, 2)
    found = find_resumption(ResumeTarget(tmp_path))
    assert (found.checkpoint.name, found.iteration, found.frame, found.skipped) == (name, 2, 200, [])
    assert (found.config, found.versions, found.input_files) == ({"seed": 3}, {"torch": "2"}, {"a": "b"})


def test_one_asked_for_by_name_is_taken_though_it_is_not_the_newest(tmp_path):
    name = add(tmp_path, 1)
    add(tmp_path, 2)
    assert find_resumption(ResumeTarget(tmp_path, name, must_exist=True)).iteration == 1


def test_an_empty_directory_is_a_new_training_unless_it_was_named(tmp_path):
    assert find_resumption(ResumeTarget(tmp_path)) is None
    with pytest.raises(CheckpointError, match="contains no checkpoint"):
        find_resumption(ResumeTarget(tmp_path, must_exist=True))


def test_where_every_checkpoint_is_damaged_nothing_is_begun_over_them(tmp_path):
    for iteration in (1, 2):
        (tmp_path / "nn" / state_name(add(tmp_path, iteration))).unlink()
    with pytest.raises(CheckpointError, match="_ep_2_.*is missing.*_ep_1_.*is missing.*experiment="):
        find_resumption(ResumeTarget(tmp_path))


def test_a_policy_without_a_training_state_is_for_starting_from(tmp_path):
    add(tmp_path, 1)
    CheckpointStore(tmp_path / "nn", 2).save_policy("toy", {"model": {}})
    with pytest.raises(CheckpointError, match="policy without a training state.*checkpoint="):
        find_resumption(ResumeTarget(tmp_path, "toy", must_exist=True))


def test_what_another_program_trained_is_not_begun_anew_over_it(tmp_path):
    (tmp_path / "nn").mkdir()
    torch.save({"model": {}}, tmp_path / "nn" / "toy.pth")
    with pytest.raises(CheckpointError, match="only policies.*checkpoint="):
        find_resumption(ResumeTarget(tmp_path))
    # Of this program, it is what a run left that ended before its first checkpoint.
    torch.save({"model": {}, "amp_train": EXTRA}, tmp_path / "nn" / "toy.pth")
    assert find_resumption(ResumeTarget(tmp_path)) is None


def test_a_checkpoint_that_says_nothing_of_its_training_is_refused(tmp_path):
    add(tmp_path, 1, model={}, epoch=1, frame=100)
    with pytest.raises(CheckpointError, match="contains no configuration"):
        find_resumption(ResumeTarget(tmp_path))


@pytest.mark.parametrize(
    "change, says",
    [
        ({"amp_train": dict(EXTRA, versions=["torch"])}, "its 'versions' is not a dict of strings"),
        ({"amp_train": dict(EXTRA, input_files={"a": 5})}, "its 'input_files' is not a dict of strings"),
        ({"epoch": None}, "it lacks epoch"),
        ({"frame": None}, "it lacks frame"),
    ],
)
def test_a_policy_that_says_something_else_is_one_line(tmp_path, change, says):
    content = {"model": {}, "epoch": 1, "frame": 100, "amp_train": EXTRA, **change}
    add(tmp_path, 1, **{key: value for key, value in content.items() if value is not None})
    with pytest.raises(CheckpointError, match=says) as caught:
        find_resumption(ResumeTarget(tmp_path))
    assert "\n" not in str(caught.value)


def test_the_checkpoints_after_the_one_asked_for_are_named(tmp_path):
    names = [add(tmp_path, iteration) for iteration in (1, 2, 3)]
    assert find_resumption(ResumeTarget(tmp_path, names[0], must_exist=True)).later == [names[2], names[1]]
    assert find_resumption(ResumeTarget(tmp_path)).later == []


def test_a_changed_clip_is_noticed_by_its_content(tmp_path):
    clips = compose(["motion=locomotion"])
    spec = load_character(clips.character.mjcf, clips.character.key_bodies)
    before = input_files(clips, spec)
    assert {"motion.file locomotion.yaml", "motion.file walk.npz", "character.mjcf humanoid.xml"} <= set(before)
    assert changed_files(before, dict(before), []) == []
    now = dict(before, **{"motion.file walk.npz": "0" * 64})
    with pytest.raises(ConfigError, match=r"walk.npz has changed since the checkpoint.*resume_allow=\[motion.file\]"):
        changed_files(before, now, [])
    for allowed in ("motion", "motion.file"):
        (difference,) = changed_files(before, now, [allowed])
        assert str(difference).startswith("motion.file walk.npz: " + before["motion.file walk.npz"][:8])


def test_other_versions_are_told_and_new_packages_are_not(tmp_path):
    (difference,) = changed_versions({"torch": "2.1", "numpy": "1"}, {"torch": "2.2", "numpy": "1", "warp": "1"})
    assert "torch: 2.1 -> 2.2 (" in str(difference)


def test_wandb_goes_on_with_the_same_run_and_begins_another_for_a_new_training(tmp_path):
    first = wandb_id(tmp_path, resumed=False)
    assert wandb_id(tmp_path, resumed=True) == first
    second = wandb_id(tmp_path, resumed=False)
    assert second != first and wandb_id(tmp_path, resumed=True) == second
    (tmp_path / "wandb_id.txt").write_text("../../elsewhere")
    assert wandb_id(tmp_path, resumed=True) not in (second, "../../elsewhere")
    (tmp_path / "wandb_id.txt").write_bytes(b"\xff" * 10**6)
    assert len(wandb_id(tmp_path, resumed=True)) == 16


def test_manifests_are_json_that_other_programs_can_read(tmp_path):
    name = add(tmp_path, 1)
    content = json.loads((tmp_path / "nn" / (name + ".json")).read_text())
    assert content["iteration"] == 1 and len(content["files"][name + ".pth"]["sha256"]) == 64
