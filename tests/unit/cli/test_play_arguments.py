"""amp-play's arguments: its own, and those that go on top of the checkpoint's configuration."""

import os
import sys
from pathlib import Path

import pytest
import torch

from amp_train.cli.play import PlayArgs, checkpoint_config, playing_config, split_arguments, video_path
from amp_train.cli.showing import ShowArgs, path_or_reason, settle_viewer
from amp_train.config import compose, resolve, stored_form
from amp_train.errors import ConfigError, MissingPackageError


@pytest.fixture
def checkpoint(tmp_path):
    config = resolve(
        compose(["num_envs=64", "seed=7", "motion=roll", "train.params.network.mlp.units=[8]", "num_threads=64"])
    )
    path = tmp_path / "policy.pth"
    torch.save({"model": {}, "amp_train": {"config": stored_form(config)}}, path)
    return str(path)


def test_arguments_are_split_into_own_and_configuration():
    args, rest = split_arguments(["checkpoint=a.pth", "episodes=3", "motion=run", "deterministic=False", "seed=1"])
    assert args == PlayArgs(checkpoint="a.pth", episodes=3, deterministic=False, seed=1)
    assert rest == ["motion=run"]


def test_a_checkpoint_brings_its_own_configuration(checkpoint):
    config = playing_config(PlayArgs(checkpoint=checkpoint), [])
    assert config.motion.name == "roll" and list(config.train.params.network.mlp.units) == [8] and config.seed == 7
    assert config.num_envs == PlayArgs.episodes  # one an episode
    assert config.num_threads != 64  # this machine's


def test_the_command_line_goes_on_top_of_a_checkpoints_configuration(checkpoint):
    args = PlayArgs(checkpoint=checkpoint, num_envs=3, seed=0)
    config = playing_config(args, ["motion=walk", "task.env.episode_length=9"])
    assert (config.motion.name, config.task.env.episode_length, config.num_envs, config.seed) == ("walk", 9, 3, 0)
    assert list(config.train.params.network.mlp.units) == [8]


def test_a_checkpoint_of_isaacgymenvs_is_played_with_its_settings(tmp_path):
    path = str(tmp_path / "theirs.pth")
    torch.save({"model": {}}, path)
    config = playing_config(PlayArgs(checkpoint=path), ["motion=run"])
    assert list(config.train.params.network.mlp.units) == [1024, 512]
    assert config.task.env.local_root_obs is False and config.motion.name == "run"
    assert (config.character.name, config.task.env.fall_height_ratio) == ("humanoid", 0.0)
    named = playing_config(PlayArgs(checkpoint=path), ["train=HumanoidAMPPPOLowGP"])
    assert named.task.env.local_root_obs is False and named.train.name == "HumanoidAMPPPOLowGP"
    assert playing_config(PlayArgs(checkpoint=path), ["recipe=cpu"]).task.env.fall_height_ratio == 0.7


def test_a_policy_plays_another_clip_with_the_strength_that_it_was_trained_with():
    def facts(*overrides):
        return list(playing_config(PlayArgs(checkpoint="pretrained/crawl"), overrides).motion.derive)

    assert facts("motion=run") == facts("motion.file=run") == ["contact_bodies", "low_posture"]
    assert facts("task=HumanoidAMPHeading") == ["contact_bodies", "low_posture"]


def test_a_checkpoint_of_isaacgymenvs_is_continued_with_its_settings(tmp_path):
    path = str(tmp_path / "theirs.pth")
    torch.save({"model": {}}, path)
    composed = compose(["motion=run"])
    composed.experiment = "job"
    config = checkpoint_config(path, ["motion=run", "num_envs=64"], composed)
    assert (config.num_envs, config.experiment, config.train.name) == (64, "job", "HumanoidAMPPPO")
    assert config.task.env.local_root_obs is False and config.task.env.fall_height_ratio == 0.0
    assert config.character.name == "humanoid" and config.motion.name == "run"


def test_a_video_goes_into_the_runs_directory():
    assert video_path(PlayArgs(checkpoint="runs/mine/nn/last.pth")) == Path("runs/mine/last.mp4")
    assert video_path(PlayArgs(checkpoint="elsewhere/last.pth")) == Path("last.mp4")
    assert video_path(PlayArgs(checkpoint="last.pth", video="out.gif")) == Path("out.gif")
    assert video_path(PlayArgs(checkpoint="last.pth", video=False)) is None


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("/elsewhere"), os.mkfifo, Path.mkdir])
def test_a_video_does_not_go_through_what_came_with_a_run_directory(tmp_path, make):
    make(tmp_path / "last.mp4")
    args = PlayArgs(checkpoint=str(tmp_path / "nn" / "last.pth"))
    with pytest.raises(ConfigError, match="last.mp4' is not a plain file"):
        video_path(args)
    args.video = "mine.mp4"
    assert video_path(args) == Path("mine.mp4")


def test_a_machine_that_cannot_draw_says_what_to_install_and_goes_on():
    def cannot():
        raise MissingPackageError("Writing a video needs an encoder: pip install 'imageio[ffmpeg]'.")

    assert path_or_reason(lambda: Path("out.mp4")) == "out.mp4"
    assert "pip install" in path_or_reason(cannot)


def no_display(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_display_a_window_becomes_a_page(monkeypatch, capsys):
    pytest.importorskip("viser")
    no_display(monkeypatch)
    args = ShowArgs(viewer="native")
    settle_viewer(args)
    (line,) = capsys.readouterr().out.splitlines()
    assert args.viewer == "web" and "neither DISPLAY nor WAYLAND_DISPLAY" in line


def test_a_display_that_does_not_answer_is_none(monkeypatch, capsys):
    pytest.importorskip("glfw")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":7654")
    args = ShowArgs(viewer="native")
    settle_viewer(args)
    assert args.viewer != "native" and "the display :7654 does not answer" in capsys.readouterr().out


def test_without_the_extra_a_page_becomes_a_video_and_a_line_says_what_to_install(monkeypatch, capsys):
    no_display(monkeypatch)
    monkeypatch.setitem(sys.modules, "viser", None)
    args = ShowArgs(viewer="native")
    settle_viewer(args)
    first, second = capsys.readouterr().out.splitlines()
    assert args.viewer == "video" and first.startswith("No window:") and "pip install 'amp_train[viewer]'" in second


def test_steering_by_hand_needs_somebody_to_look_on(monkeypatch, capsys):
    no_display(monkeypatch)
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(ConfigError, match="control=keyboard needs"):
        settle_viewer(ShowArgs(control="keyboard"))
    assert "pip install 'amp_train[viewer]'" in capsys.readouterr().out


def test_nobody_is_told_of_what_was_not_asked_for(monkeypatch, capsys):
    no_display(monkeypatch)
    args = ShowArgs()
    settle_viewer(args)
    assert args.viewer is None and capsys.readouterr().out == ""
