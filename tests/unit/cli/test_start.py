"""How a command starts: quickly, and without torch, which Isaac Gym must be imported before."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("command", ["train", "play", "eval"])
def test_a_command_imports_torch_only_when_it_has_read_its_arguments(command):
    heavy = "{'torch', 'mujoco', 'rl_games', 'matplotlib'}"
    program = f"import sys, amp_train.cli.{command}; print(sorted({heavy} & set(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert printed.strip() == "[]"
