"""`amp-play record=`: what a policy did is a clip like any other."""

from pathlib import Path
from typing import Any, List

import pytest
import torch
from tiny_training import SMALL

from amp_train.character import CharacterState
from amp_train.cli import motion, play, train
from amp_train.env import make_env
from amp_train.motion import load_clip
from amp_train.motion.facts import speed_m_s
from amp_train.paths import PRETRAINED_DIR
from amp_train.runner.clip_recorder import ClipRecorder
from amp_train.runner.episodes import EpisodeCallback, EpisodeStep, run_episodes
from amp_train.runner.policy import Policy
from amp_train.runner.vec_env import AMPVecEnv

WALK = str(PRETRAINED_DIR / "walk.pth")
SHORT = ("num_threads=1", "task.env.episode_length=60")


class _States(EpisodeCallback):
    """Keeps the first character's states."""

    def __init__(self) -> None:
        self.states: List[CharacterState] = []

    def on_start(self, env: Any) -> None:
        self.states.append(env.state[:1].clone())

    def on_step(self, step: EpisodeStep) -> None:
        self.states.append(step.state[:1].clone())


@pytest.fixture
def motion_command(in_process: Any) -> Any:
    def run(*argv: str) -> int:
        with pytest.raises(SystemExit) as left:
            in_process(motion, *argv)
        return int(str(left.value.code))

    return run


@pytest.mark.mujoco
def test_a_recorded_episode_is_looked_at_exported_and_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_process: Any, motion_command: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    out, _ = in_process(play, f"checkpoint={WALK}", "record=clip.npz", "episodes=1", "video=False", *SHORT)
    assert "clip: clip.npz (60 frames, 1.97 s)" in out
    clip = load_clip(tmp_path / "clip.npz")
    assert (clip.num_frames, clip.loop, clip.source) == (60, "clamp", "policy walk.pth, recorded by amp-play")
    assert clip.fps == pytest.approx(30.0) and 0.7 < speed_m_s(clip) < 1.6
    assert motion_command("info", "clip.npz") == 0
    assert motion_command("export", "clip.npz", "out=clip.bvh") == 0
    assert (tmp_path / "clip.bvh").read_text().startswith("HIERARCHY\nROOT pelvis")
    in_process(train, "motion.file=clip.npz", *SMALL, "train_dir=runs", "experiment=again")
    assert list((tmp_path / "runs" / "again").rglob("*.pth"))


@pytest.mark.mujoco
def test_an_episode_is_written_in_the_format_that_its_name_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_process: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    in_process(play, f"checkpoint={WALK}", "record=clips/clip.bvh", "episodes=1", "viewer=none", *SHORT)
    assert "Frames: 60\n" in (tmp_path / "clips" / "clip.bvh").read_text()


@pytest.mark.mujoco
def test_the_clip_is_the_first_episode_pose_by_pose() -> None:
    cfg = play.playing_config(play.PlayArgs(checkpoint=WALK, episodes=1), list(SHORT))
    env = make_env(cfg)
    try:
        vec_env = AMPVecEnv(env, "cpu")
        recorder, seen = ClipRecorder(), _States()
        # Two episodes: only the first is kept.
        run_episodes(vec_env, Policy(cfg, vec_env, WALK), [recorder, seen], episodes=2)
    finally:
        env.close()
    clip = recorder.clip("walk", "")
    assert clip.num_frames == 60 < len(seen.states)
    for frame in (0, 1, 30, 59):
        state = seen.states[frame]
        assert torch.equal(clip.root_pos[frame], state.root_pos[0])
        turn = (clip.joint_rot[frame] * state.joint_rot[0]).sum(-1).abs()
        assert torch.allclose(turn, torch.ones_like(turn), atol=1e-5)


@pytest.mark.parametrize(
    "argv, says",
    [
        (["record=clip.mp4"], "Unknown format 'mp4'"),
        (["record=clip.npz", "export=policy.pt"], "record=clip.npz needs an episode"),
        (["record=folder.npz"], "record=folder.npz is a folder"),
    ],
)
def test_what_cannot_be_recorded_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: List[str], says: str
) -> None:
    from amp_train.errors import UserError

    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(UserError, match=says) as caught:
        play.split_arguments([f"checkpoint={WALK}", *argv])
    assert "\n" not in str(caught.value)
