"""How a command starts: quickly, and without torch, which Isaac Gym must be imported before."""

import subprocess
import sys

import pytest

from amp_train.cli import train
from amp_train.config import compose, resolve


@pytest.mark.parametrize("command", ["train", "play", "eval"])
def test_a_command_imports_torch_only_when_it_has_read_its_arguments(command):
    heavy = "{'torch', 'mujoco', 'rl_games', 'matplotlib'}"
    program = f"import sys, amp_train.cli.{command}; print(sorted({heavy} & set(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_help_lists_every_option_of_every_group(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["amp-train", "--help"])
    train.main()
    printed = capsys.readouterr().out
    for option in (
        "HumanoidAMP",
        "mujoco_warp",
        "character: humanoid",
        "spinkick",
        "HumanoidAMPPPOLowGP",
        "isaacgymenvs",
    ):
        assert option in printed


def test_a_short_training_has_a_short_warm_start():
    def steps(*overrides):
        return resolve(compose(overrides), overrides).train.params.config.warm_start_steps

    assert steps("num_envs=128", "max_iterations=3") == 3 * 128 * 8 // 100
    assert steps("num_envs=1024", "max_iterations=20") == 1500
    assert steps("num_envs=128", "max_iterations=3", "train.params.config.warm_start_steps=77") == 77
