"""MuJoCo's window, on a screen that nobody sees."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Iterator

import pytest

from amp_train.paths import PRETRAINED_DIR

# A script in a process of its own: the window needs the main thread, and its library stays loaded.
SCRIPT = """
import sys
from amp_train.cli.play import PlayArgs, playing_config
from amp_train.env import make_env
from amp_train.runner.episodes import EpisodeCallback, StopEpisodes, run_episodes
from amp_train.runner.live_policy import LivePolicy
from amp_train.runner.vec_env import AMPVecEnv
from amp_train.viewers.native import NativeViewer, why_no_window

print("REASON", why_no_window())

cfg = playing_config(PlayArgs(checkpoint=sys.argv[1], num_envs=2), ["num_threads=1"])
env = make_env(cfg)
vec_env = AMPVecEnv(env, "cpu")
policy = LivePolicy(cfg, vec_env, sys.argv[1])
viewer = NativeViewer(2, policy)
seen = []

class Keys(EpisodeCallback):
    def on_step(self, step):
        seen.append(step.index)
        if step.index == 3:
            scene = viewer._window.user_scn
            print("GEOMS", scene.ngeom, viewer.model.ngeom)
            viewer.on_key(ord("G"))
        if step.index == 6:
            print("GEOMS", viewer._window.user_scn.ngeom)
            viewer.on_key(32)
            print("PAUSED", viewer.live.paused)
            viewer.on_key(32)
        if step.index == 9:
            viewer._window.close()

run_episodes(vec_env, policy, [viewer, Keys()], num_steps=400)
print("STEPS", seen[-1])
"""


@pytest.fixture
def display(tmp_path: Path) -> Iterator[str]:
    xvfb = shutil.which("Xvfb")
    if xvfb is None:
        pytest.skip("no virtual screen here: apt-get install xvfb")
    name = f":{100 + os.getpid() % 800}"
    server = subprocess.Popen(
        [xvfb, name, "-screen", "0", "800x600x24", "+extension", "GLX"], stderr=subprocess.DEVNULL
    )
    for _ in range(50):
        if Path("/tmp/.X11-unix/X" + name[1:]).exists():
            break
        time.sleep(0.1)
    yield name
    server.terminate()
    server.wait(10)


def test_the_window_shows_characters_and_ghosts_obeys_keys_and_ends_the_episodes_when_closed(display: str) -> None:
    environment = {**os.environ, "DISPLAY": display}
    environment.pop("MUJOCO_GL", None)
    command = [sys.executable, "-c", SCRIPT, str(PRETRAINED_DIR / "walk.pth")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    if "could not initialize GLFW" in done.stderr or "gladLoadGL" in done.stderr:
        pytest.skip("this screen has no OpenGL: apt-get install libgl1-mesa-dri")
    assert done.returncode == 0, done.stderr[-2000:]
    words = [line.split() for line in done.stdout.splitlines()]
    assert ["REASON", "None"] in words
    with_ghosts, without = (int(w[1]) for w in words if w[0] == "GEOMS")
    moving = int(next(w for w in words if w[0] == "GEOMS")[2]) - 1  # all but the floor
    assert with_ghosts == 3 * moving and without == moving  # the second character, and two ghosts
    assert ["PAUSED", "True"] in words
    assert 9 <= int(words[-1][1]) <= 11
