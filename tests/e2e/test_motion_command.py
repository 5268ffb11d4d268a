"""`amp-motion` as a user runs it, and every command of docs/your_own_clip.md."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny_training import SMALL

from amp_train.cli import motion, play, train
from amp_train.motion import find_motion, load_clip

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "your_own_clip.md"


@pytest.fixture
def here(monkeypatch, tmp_path, in_process):
    """Run amp-motion in an empty directory; return its stdout and exit code."""
    pytest.importorskip("mink")
    monkeypatch.chdir(tmp_path)

    def run(*argv):
        with pytest.raises(SystemExit) as left:
            in_process(motion, *argv)
        return left.value.code

    return run


def page_commands():
    blocks = re.findall(r"```(?:bash)?\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith(("amp-motion", "amp-train", "amp-play"))]


def test_every_command_of_the_page_works_in_its_order(monkeypatch, tmp_path, in_process, here) -> None:
    commands = page_commands()
    assert len(commands) >= 16
    (tmp_path / "takes").mkdir()
    for number, (command, *argv) in enumerate(commands):
        if command == "amp-train":
            in_process(train, *argv, *SMALL, "train_dir=runs", f"experiment=run{number}")
        elif command == "amp-play":
            in_process(play, *argv, "episodes=1", "video=False", "num_threads=1", "task.env.episode_length=30")
        else:
            assert here(*argv) == 0, argv
        if (tmp_path / "mine.bvh").is_file() and not any((tmp_path / "takes").iterdir()):
            shutil.copy("mine.bvh", "takes/one.bvh")
            shutil.copy("mine.bvh", "takes/two.bvh")
    assert list((tmp_path / "runs").rglob("*.pth"))
    assert load_clip(tmp_path / "mine.npz").loop == "wrap"
    assert Image.open(tmp_path / "mine.png").size[0] > 1000
    assert len(load_clip(tmp_path / "both.npz").root_pos) > len(load_clip(tmp_path / "mine.npz").root_pos)
    assert (tmp_path / "clips" / "two.npz").is_file()
    assert load_clip(tmp_path / "walked.npz").num_frames == 30 and (tmp_path / "walked.bvh").is_file()


def test_a_folder_goes_on_after_a_broken_file(tmp_path, here, capfd) -> None:
    (tmp_path / "takes" / "below").mkdir(parents=True)
    here("export", "walk", "out=takes/good.bvh")
    here("export", "punch", "out=takes/below/good.bvh")
    (tmp_path / "takes" / "broken.bvh").write_text("HIERARCHY\nROOT a\n{\n")
    (tmp_path / "takes" / "notes.md").write_text("no clip")
    assert here("import", "takes", "out=clips", "workers=1") == 1
    out = capfd.readouterr().out
    assert "2 clips: amp-train motion.file=clips/dataset.yaml" in out and "failed: takes/broken.bvh: BVH file" in out
    text = (tmp_path / "clips" / "dataset.yaml").read_text()
    assert text.count("weight: 1.0") == 2 and "good.npz" in text and "good_2.npz" in text


def test_check_ends_with_a_code_and_writes_json(tmp_path, here, capfd) -> None:
    assert here("check", "walk", "out=report.json") == 0
    assert json.loads((tmp_path / "report.json").read_text())["verdict"] == "ok"
    from dataclasses import replace

    from amp_train.motion import save_clip

    clip = load_clip(find_motion("walk"))
    save_clip(replace(clip, root_pos=clip.root_pos + torch.tensor([0.0, 0.0, 1.0])), tmp_path / "high.npz")
    assert here("check", "high.npz") == 1
    assert "floating_cm" in capfd.readouterr().out


@pytest.mark.parametrize(
    "clip, says",
    [
        ("walk", "(enough)"),
        ("backflip", "needs 155% of the torque limit at right_knee (training raises the limits)"),
        ("crawl", "is unknown: its body carries weight (training raises the limits)"),
    ],
)
def test_info_says_whether_the_character_is_strong_enough(here, capfd, clip, says) -> None:
    assert here("info", clip) == 0
    assert says in capfd.readouterr().out


@pytest.mark.parametrize(
    "argv, says",
    [
        (["imprt", "walk"], "Unknown command of amp-motion 'imprt'.*Did you mean 'import'"),
        (["import"], "needs a file"),
        (["import", "nothing.bvh"], "Motion 'nothing.bvh' not found"),
        (["check", "walk", "run"], "takes one file, not 2"),
        (["crop", "walk", "beginn=1"], "Unknown key of amp-motion 'beginn'.*Did you mean 'begin'"),
        (["crop", "walk", "begin=soon"], "begin"),
        (["export", "walk"], "needs out="),
        (["resample", "walk"], "needs fps="),
        (["mirror", "walk", "out=walk.bvh"], "must end in .npz"),
        (["info", "walk", "character=humanoit"], "humanoit"),
        (["view", "walk", "out=walk.txt"], "Cannot write a video"),
    ],
)
def test_what_is_wrong_is_one_line(here, capfd, argv, says) -> None:
    assert here(*argv) == 2
    error = capfd.readouterr().err.strip()
    assert re.search(says, error) and error.startswith("Error: ") and "\n" not in error


def test_a_clip_is_viewed_as_a_page(tmp_path, here) -> None:
    pytest.importorskip("viser")
    here("export", "walk", "out=mine.bvh")
    assert here("view", "mine.bvh", "out=mine.html") == 0
    assert 50_000 < (tmp_path / "mine.html").stat().st_size < 5e6


def test_the_check_of_another_skeleton_tells_the_error_of_each_body(tmp_path, here, capfd) -> None:
    here("export", "walk", "out=mine.bvh")
    assert here("check", "mine.bvh", "out=report.json") == 0
    error_cm = json.loads((tmp_path / "report.json").read_text())["retarget_error_cm"]
    assert {"left_foot", "right_hand", "left_shin"} <= set(error_cm) and max(error_cm.values()) < 2.0
    assert "distance to the source's joints, cm: " in capfd.readouterr().out


def test_help_names_every_command(monkeypatch, in_process) -> None:
    from amp_train.cli.motion_jobs import COMMANDS

    text = in_process(motion, "--help").out
    assert all(f"  {command} FILE" in text for command in COMMANDS)
