"""MuJoCo's own window, with the same actions and keys as in the browser."""

import os
import sys
import threading
import warnings
from typing import Any, Dict, Optional

import numpy as np

from amp_train.character import CharacterState
from amp_train.env import AmpEnv
from amp_train.runner.episodes import EpisodeCallback, EpisodeStep, StopEpisodes
from amp_train.viewers.frames import Frame, Frames
from amp_train.viewers.live import KEYS, Checkpoints, Live
from amp_train.viewers.marker import floor_height
from amp_train.viewers.model import picture_model
from amp_train.viewers.scene import GHOST_RGBA, add_marker, to_qpos

# GLFW's codes of the keys that `live.KEYS` names.
_CODES = {"space": 32, "arrowright": 262, "arrowleft": 263, "arrowdown": 264, "arrowup": 265}
_NAMES: Dict[int, str] = {_CODES.get(key, ord(key[0])): key for key in KEYS}
_WATCH_INTERVAL_STEPS, _TEXT_INTERVAL_STEPS = 60, 6
_CLOSE_TIMEOUT_S = 5.0
_DISTANCE_M, _AZIMUTH_DEG, _ELEVATION_DEG = 4.0, 120.0, -12.0


class NativeViewer(EpisodeCallback):
    """Shows the episodes in a window until it is closed."""

    HELP = ", ".join(f"{key} {meaning}" for key, meaning in KEYS.items())

    def __init__(
        self,
        num_characters: int = 1,
        checkpoints: Optional[Checkpoints] = None,
        watch: bool = False,
        ghost: str = "over",
    ) -> None:
        """Show the first `num_characters` environments; with `watch`, load each new checkpoint automatically. Ghosts
        are `beside` the characters, `over` them, or hidden at first (`none`)."""
        self._num, self._checkpoints, self._watch, self._ghost = num_characters, checkpoints, watch, ghost
        self._said = ""

    def on_start(self, env: AmpEnv) -> None:
        """Open the window."""
        import mujoco.viewer

        self._mujoco = mujoco
        num = min(self._num, env.num_envs)
        self.live, self.frames = Live(env), Frames(env, num, self._ghost)
        self.live.ghosts = self._ghost != "none"
        self.model = picture_model(env.spec, floor_height(env))
        self.data, self._other = mujoco.MjData(self.model), mujoco.MjData(self.model)
        self._option, self._perturb = mujoco.MjvOption(), mujoco.MjvPerturb()
        before = set(threading.enumerate())
        self._window = mujoco.viewer.launch_passive(
            self.model, self.data, key_callback=self.on_key, show_left_ui=False, show_right_ui=False
        )
        self._threads = set(threading.enumerate()) - before
        camera = self._window.cam
        camera.distance, camera.azimuth, camera.elevation = _DISTANCE_M + num - 1, _AZIMUTH_DEG, _ELEVATION_DEG

    def on_key(self, code: int) -> None:
        """Do the action of a key; other keys are MuJoCo's own."""
        if code in _NAMES:
            self.live.press(_NAMES[code])

    def on_step(self, step: EpisodeStep) -> None:
        """Show a step, and wait until it is time for the next.

        Raises:
            StopEpisodes: the window was closed.
        """
        frame = self.frames.add(step, self.live.restarted)
        self.live.restarted = step.done.cpu().bool()
        if step.index % _WATCH_INTERVAL_STEPS == 0 and self._checkpoints is not None and self._watch:
            self._said = self._checkpoints.follow() or self._said
        if step.index % _TEXT_INTERVAL_STEPS == 0:
            self._window.set_texts((None, None, f"{frame.status}\n{self._said}".strip(), None))
        self._show(frame)
        self.live.wait(step.env.control_dt_s, self._window.is_running, self._window.sync)
        if not self._window.is_running():
            raise StopEpisodes

    def on_end(self) -> None:
        """Close the window, and wait until its thread has released it: GLFW must not end before."""
        self._window.close()
        for thread in self._threads:
            thread.join(timeout=_CLOSE_TIMEOUT_S)

    def _show(self, frame: Frame) -> None:
        spec = self.live.env.spec
        qpos = to_qpos(spec, frame.state)
        with self._window.lock():
            self._pose(self.data, qpos[0])
            if self.live.follow:
                self._window.cam.lookat[:] = (qpos[0, 0], qpos[0, 1], 0.9)
            scene = self._window.user_scn
            scene.ngeom = 0
            for other in qpos[1:]:
                self._add(scene, other)
            if self.live.ghosts:
                self._add_ghosts(scene, frame.ghost)
            for marker in frame.markers:
                for n in range(len(marker.pos)):
                    add_marker(scene, marker, n)
        self._window.sync()

    def _add_ghosts(self, scene: Any, ghosts: CharacterState) -> None:
        first = scene.ngeom
        for qpos in to_qpos(self.live.env.spec, ghosts):
            self._add(scene, qpos)
        for geom in scene.geoms[first : scene.ngeom]:
            geom.rgba[:] = GHOST_RGBA

    def _add(self, scene: Any, qpos: np.ndarray) -> None:
        self._pose(self._other, qpos)
        moving = self._mujoco.mjtCatBit.mjCAT_DYNAMIC
        self._mujoco.mjv_addGeoms(self.model, self._other, self._option, self._perturb, moving, scene)

    def _pose(self, data: Any, qpos: np.ndarray) -> None:
        data.qpos[:] = qpos
        self._mujoco.mj_forward(self.model, data)


def why_no_window() -> Optional[str]:
    """Return in one sentence why no window can be opened here, or None. MuJoCo itself would wait for ever, or end the
    program."""
    if sys.platform == "darwin" and "MJPYTHON_BIN" not in os.environ:
        return "on macOS the window needs mjpython: mjpython -m amp_train.cli.play ..."
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "there is no display: neither DISPLAY nor WAYLAND_DISPLAY is set."
    return _why_no_opengl() if sys.platform == "linux" else None


def _why_no_opengl() -> Optional[str]:
    """Open a window that nobody sees."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import glfw
        except ImportError:
            return "GLFW is missing: pip install glfw."
        if not glfw.init():
            return f"the display {os.environ.get('DISPLAY', '')} does not answer."
        glfw.window_hint(glfw.VISIBLE, glfw.FALSE)
        window = glfw.create_window(16, 16, "", None, None)
        glfw.default_window_hints()
        if not window:
            return "this display has no OpenGL (Debian: apt-get install libgl1-mesa-dri)."
        glfw.destroy_window(window)
    return None
