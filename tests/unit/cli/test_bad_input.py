"""Bad input to the commands: one clear line, exit code 2, nothing created."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from amp_train.cli import eval as evaluation
from amp_train.cli import play, train
from amp_train.motion import load_clip, save_clip
from amp_train.paths import MOTIONS_DIR

SMALL = ["num_envs=16", "train.params.config.minibatch_size=128", "train.params.config.amp_minibatch_size=64"]


@pytest.fixture
def fails(monkeypatch, tmp_path, capsys):
    """Run a command that must fail; return its one line."""
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())

    def run(command, *argv):
        before = sorted(tmp_path.rglob("*"))
        monkeypatch.setattr(sys, "argv", [command.__name__, *argv])
        with pytest.raises(SystemExit) as caught:
            command.main()
        printed = capsys.readouterr()
        assert caught.value.code == 2
        assert printed.out == ""
        assert printed.err.startswith("Error: ") and printed.err.count("\n") == 1
        assert sorted(tmp_path.rglob("*")) == before
        return printed.err

    assert before == []
    return run


@pytest.mark.parametrize(
    "argv, said",
    [
        (["task=Humanoid"], "HumanoidAMP"),
        (["sim=physx"], "mujoco"),
        (["motion=wlak"], "Did you mean 'walk'?"),
        (["train.params.config.gama=1"], "train.params.config.gamma"),
        (["num_envs=many"], "num_envs"),
        (["motion=wlak", "--info"], "Did you mean 'walk'?"),
        (["num_envs=many", "--info", "config"], "num_envs"),
        (["-m", "motion=walk,rnu"], "rnu"),
        (["rl_device=cuda:99"], "cuda:99"),
        (["num_envs=100", "train.params.config.minibatch_size=1024"], "minibatch_size"),
        ([*SMALL, "train.params.config.amp_minibatch_size=1000"], "amp_minibatch_size"),
        ([*SMALL, "train.params.config.lr_schedule=adaptve"], "Did you mean 'adaptive'?"),
        ([*SMALL, "train.params.algo.name=ppo"], "amp_continuous"),
        ([*SMALL, "train.params.config.torch_compile=True"], "torch_compile"),
        pytest.param([*SMALL, "task.env.state_init=Randm"], "Random", marks=pytest.mark.mujoco),
        ([*SMALL, "motion.file=missing.npz"], "missing.npz"),
        ([*SMALL, "motion.contact_bodies=[tail]"], "tail"),
        ([*SMALL, "character.mjcf=missing.xml"], "missing.xml"),
        (["checkpoint=missing.pth"], "missing.pth"),
        (["test=True"], "checkpoint="),
        (["test=True", "checkpoint=missing.pth"], "missing.pth"),
        (["motion.file=" + 300 * "x" + ".npz"], "File name too long"),
        (["checkpoint=" + 300 * "x" + ".pth"], "File name too long"),
        (["resume=" + 300 * "x"], "File name too long"),
        (["experiment=" + 300 * "x"], "File name too long"),
        (["motion.file=~nosuchuser/x.npz"], "names a user that does not exist"),
        (["--config-dir", "/nonexistent"], "/nonexistent"),
        (["-m", "train_dir=/proc", "seed=1,2"], "/proc"),
        (["-m", "train_dir=/proc,/sys"], "/proc"),
        (["train_dir=/proc", *SMALL], "/proc"),
        (["video=foo.txt"], "video"),
        (["train.params.config.gamma=2"], "at most 1"),
        (["train.params.config.learning_rate=nan"], "learning_rate"),
        (["train.params.config.num_actors=3"], "num_envs="),
        (["train.params.load_path=x.pth"], "checkpoint="),
        (["task.sim.substeps=4"], "sim.decimation=8"),
    ],
)
def test_amp_train_says_in_one_line_what_is_wrong(fails, argv, said):
    assert said in fails(train, *argv)


@pytest.mark.parametrize(
    "argv, said",
    [
        ([], "checkpoint="),
        (["checkpoint=missing.pth"], "missing.pth"),
        (["checkpoint=missing.pth", "episodes=many"], "episodes"),
        (["checkpoint=missing.pth", "episodes=0"], "episodes"),
        (["missing.pth"], "missing.pth"),
        (["checkpoint=pretrained/walk", "video=foo.txt"], ".mp4"),
        (["checkpoint=pretrained/walk", "video="], ".mp4"),
        (["checkpoint=pretrained/walk", "video=/proc/out.mp4"], "/proc"),
        (["checkpoint=pretrained/walk", "episodes=99999999"], "episodes must be at least 1 and at most 1000000"),
        (["checkpoint=pretrained/walk", "num_envs=99999999"], "num_envs must be at least 1 and at most 4096"),
        (["checkpoint=" + 300 * "x" + ".pth"], "File name too long"),
    ],
)
def test_amp_play_says_in_one_line_what_is_wrong(fails, argv, said):
    assert said in fails(play, *argv)


@pytest.mark.parametrize(
    "argv, said",
    [
        (["checkpoint=pretrained/walk", "episodes=99999999"], "episodes must be at least 1 and at most 4096"),
        (["checkpoint=pretrained/walk", "episode_s=nan"], "episode_s must be above 0"),
        (["checkpoint=pretrained/walk", "seeds=-1"], "seeds must be at least 0"),
        (["checkpoint=pretrained/walk", "out="], "out= needs a path"),
        (["checkpoint=pretrained/walk", "out=" + 300 * "x"], "File name too long"),
    ],
)
def test_amp_eval_says_in_one_line_what_is_wrong(fails, argv, said):
    assert said in fails(evaluation, *argv)


def test_a_damaged_manifest_is_named_with_what_to_do(fails, tmp_path):
    torch.save({"model": {}}, tmp_path / "policy.pth")
    (tmp_path / "policy.json").write_text("{")
    message = fails(play, "checkpoint=policy.pth")
    assert "policy.pth" in message and "remove policy.json" in message


def test_a_typo_on_top_of_a_checkpoint_is_found(fails, tmp_path):
    torch.save({"model": {}}, tmp_path / "policy.pth")
    assert "task.env.episode_length" in fails(play, "checkpoint=policy.pth", "task.env.episode_lenght=3")


def test_a_broken_clip_is_refused(fails, tmp_path):
    (tmp_path / "broken.npz").write_bytes((MOTIONS_DIR / "walk.npz").read_bytes()[:500])
    assert "broken.npz" in fails(train, *SMALL, "motion.file=broken.npz")


def test_a_clip_for_another_character_is_refused(fails, tmp_path):
    walk = load_clip(MOTIONS_DIR / "walk.npz")
    alien = replace(walk, joint_names=("tail",) + tuple(walk.joint_names[1:]))
    save_clip(alien, tmp_path / "alien.npz")
    assert "tail" in fails(train, *SMALL, "motion.file=alien.npz")


def test_a_file_that_is_no_checkpoint_is_refused(fails, tmp_path):
    np.save(tmp_path / "policy.npy", np.zeros(3))
    assert "policy.npy" in fails(train, *SMALL, "checkpoint=policy.npy")


def test_a_finished_training_is_not_continued_without_more_iterations(fails, tmp_path):
    state = {"model": {}, "epoch": 5, "frame": 100, "optimizer": {}}
    torch.save(state, tmp_path / "policy.pth")
    message = fails(train, *SMALL, "checkpoint=policy.pth", "max_iterations=5", "train.params.network.mlp.units=[]")
    assert "max_iterations" in message


def test_a_checkpoint_with_other_layers_is_told_which(fails, tmp_path):
    model = {
        "a2c_network.actor_mlp.0.weight": torch.zeros(32, 105),
        "a2c_network.actor_mlp.2.weight": torch.zeros(8, 32),
    }
    torch.save({"model": model, "epoch": 1, "frame": 100, "optimizer": {}}, tmp_path / "policy.pth")
    message = fails(train, *SMALL, "checkpoint=policy.pth")
    assert "units=[32, 8]" in message


def test_a_missing_optional_package_is_named_with_what_to_install(fails, monkeypatch):
    find_spec = "amp_train.config.validate.importlib.util.find_spec"
    monkeypatch.setattr(find_spec, lambda name: None)
    assert "pip install wandb" in fails(train, *SMALL, "wandb_activate=True")


def test_help_of_amp_play_is_no_error(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["amp-play", "--help"])
    play.main()
    assert "checkpoint=PATH" in capsys.readouterr().out
