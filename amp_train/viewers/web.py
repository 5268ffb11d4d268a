"""The viewer in the browser: several characters and the clip's ghosts, played, paused, pushed and steered."""

import time
from typing import Any, Optional

import numpy as np

from amp_train.env import AmpEnv
from amp_train.runner.episodes import EpisodeCallback, EpisodeStep
from amp_train.viewers.frames import Frame, Frames
from amp_train.viewers.live import Checkpoints, Live
from amp_train.viewers.marker import floor_height
from amp_train.viewers.web_panel import Panel
from amp_train.viewers.web_scene import WebScene, close_server, open_server

LOOPBACK, PORT = "127.0.0.1", 8080
_PUSH_PER_M, _MAX_PUSH_M_S = 3.0, 5.0  # a limb dragged by 1 m


class WebViewer(EpisodeCallback):
    """Shows the episodes to browsers, at real time, until the program ends.

    Attributes:
        address: URL of the viewer.
        live: the actions of the panel.
        frames_per_s: steps shown per second, recently.
        work_s: time to draw a step, recently, without waiting.
        shown: the step in the picture: an earlier one while looking back.
    """

    def __init__(
        self,
        num_characters: int = 1,
        checkpoints: Optional[Checkpoints] = None,
        watch: bool = False,
        host: str = LOOPBACK,
        port: int = PORT,
        ghost: str = "over",
    ) -> None:
        """Open the server; if the port is taken, the next free one is used.

        Args:
            num_characters: number of environments shown, from the first.
            checkpoints: the policies to choose from.
            watch: load each new checkpoint automatically.
            host: loopback, unless others on the network may watch and steer.
            ghost: the clip `beside` the characters, `over` them, or `none` at first.

        Raises:
            MissingPackageError: viser is not installed.
        """
        self._server = open_server(host, port)
        self._server.gui.configure_theme(show_share_button=False, show_logo=False)
        shown_host = "localhost" if host in ("0.0.0.0", "::", LOOPBACK) else host
        self.address = f"http://{shown_host}:{self._server.get_port()}"
        self._num, self._checkpoints, self._watch, self._ghost = num_characters, checkpoints, watch, ghost
        self.frames_per_s, self.work_s, self._shown_s = 0.0, 0.0, 0.0
        self._still: Any = None
        self.is_running = True

    def on_start(self, env: AmpEnv) -> None:
        """Build scene and panel."""
        num = min(self._num, env.num_envs)
        self.live, self.frames = Live(env), Frames(env, num, self._ghost)
        self.live.ghosts = self._ghost != "none"
        self.scene = WebScene(self._server, env.spec, num, with_ghosts=True, floor=floor_height(env))
        self.panel = Panel(self._server, self.live, self.frames, self._checkpoints, self._watch)
        for part in self.scene.parts:
            part.characters.on_drag(self._drag)
        if {"x_m", "y_m"} <= set(self.live.goals.controls) and num == 1:
            self._server.scene.on_click()(self._click)

    def on_step(self, step: EpisodeStep) -> None:
        """Show a step, and wait until it is time for the next."""
        began_s = time.perf_counter()
        self._still, frame = None, self.frames.add(step, self.live.restarted)
        self.live.restarted = step.done.cpu().bool()
        with self._server.atomic():
            self._show(frame)
        self.panel.update(step.index, f"**{frame.status}**, {self.frames_per_s:.0f} frames/s")
        now_s = time.perf_counter()
        self.work_s += 0.1 * (now_s - began_s - self.work_s)
        if self._shown_s:
            self.frames_per_s += 0.1 * (1.0 / max(now_s - self._shown_s, 1e-4) - self.frames_per_s)
        self._shown_s = now_s
        self.live.wait(step.env.control_dt_s, lambda: self.is_running, self._idle)

    def on_end(self) -> None:
        """Close the server."""
        self.is_running = False
        close_server(self._server)

    def _show(self, frame: Frame) -> None:
        self.shown = frame
        self.scene.follow = self.live.follow
        self.scene.show(frame.state)
        self.scene.set_ghosts_visible(self.live.ghosts)
        if self.live.ghosts:
            self.scene.show_ghosts(frame.ghost)
        self.scene.show_markers(frame.markers)

    def _idle(self) -> None:
        """While paused: show the selected past step, or the clip at the selected phase."""
        self.panel.update_buttons()
        back = round(-float(self.panel.look_back.value) / self.live.env.control_dt_s)
        frame = self.frames.history[max(0, len(self.frames.history) - 1 - back)]
        picture = (id(frame), self.live.ghosts, self.live.follow, self.panel.preview_s, self.panel.clip)
        if picture == self._still:  # a browser draws again whatever it is sent
            return
        self._still = picture
        with self._server.atomic():
            self._show(frame)
            if self.panel.preview_s is not None:
                self.scene.show_ghosts(self.frames.clip_ghost(self.panel.clip, self.panel.preview_s, frame.state))

    def _drag(self, event: Any) -> None:
        if event.phase != "end":
            return
        n = int(event.instance_index or 0)
        way = np.subtract(event.end_position, event.start_position)
        length = float(np.linalg.norm(way))
        velocity = way * _PUSH_PER_M * min(1.0, _MAX_PUSH_M_S / max(_PUSH_PER_M * length, 1e-6))
        if self.frames.row is not None:
            velocity = self.frames.row.direction_in_world(n, velocity)
        self.live.push(velocity.tolist(), n)

    def _click(self, event: Any) -> None:
        """Set the goal where the ray of a click meets the floor."""
        origin, direction = np.array(event.ray_origin), np.array(event.ray_direction)
        if direction[2] >= -1e-3:
            return
        hit = origin - direction * origin[2] / direction[2] - np.array(self.scene.world_position)
        self.live.steer(x_m=float(hit[0]), y_m=float(hit[1]))
