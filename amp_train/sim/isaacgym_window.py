"""Isaac Gym's own window, for `headless=False`."""

import signal

import torch
from isaacgym import gymapi
from torch import Tensor

from amp_train.errors import ConfigError

QUIT, TOGGLE_DRAWING = "quit", "toggle_drawing"
CAMERA_OFFSET_M = (0.0, -3.0, 0.5)


class Window:
    """Follows the first character. V pauses drawing and real-time pacing, as in IsaacGymEnvs; Esc and closing the
    window act as Ctrl-C, so that a training stops and saves."""

    def __init__(self, gym: "gymapi.Gym", sim: "gymapi.Sim", first_env: "gymapi.Env") -> None:
        """Open it.

        Raises:
            ConfigError: there is no display.
        """
        self._gym, self._sim, self._first_env, self._is_drawing, self._is_open = gym, sim, first_env, True, True
        self._viewer = gym.create_viewer(sim, gymapi.CameraProperties())
        if self._viewer is None:
            raise ConfigError("Isaac Gym could not open a window; without a display, leave headless=True.")
        gym.subscribe_viewer_keyboard_event(self._viewer, gymapi.KEY_ESCAPE, QUIT)
        gym.subscribe_viewer_keyboard_event(self._viewer, gymapi.KEY_V, TOGGLE_DRAWING)

    def draw(self, root_pos: Tensor) -> None:
        """Show the current state, and handle keys.

        Args:
            root_pos: (3,) m, position of the first character. Reading it waits for the device, as drawing does.
        """
        if not self._is_open:
            return
        if self._asked_to_quit():
            self.close()
            signal.raise_signal(signal.SIGINT)
        elif self._is_drawing:
            self._look_at(root_pos)
            self._gym.step_graphics(self._sim)
            self._gym.draw_viewer(self._viewer, self._sim, True)
            self._gym.sync_frame_time(self._sim)
        else:
            self._gym.poll_viewer_events(self._viewer)

    def close(self) -> None:
        """Close the window."""
        if self._is_open:
            self._gym.destroy_viewer(self._viewer)
        self._is_open = False

    def _asked_to_quit(self) -> bool:
        if self._gym.query_viewer_has_closed(self._viewer):
            return True
        pressed = [event.action for event in self._gym.query_viewer_action_events(self._viewer) if event.value > 0]
        if TOGGLE_DRAWING in pressed:
            self._is_drawing = not self._is_drawing
        return QUIT in pressed

    def _look_at(self, root_pos: Tensor) -> None:
        target = root_pos.to("cpu", torch.float32)
        camera = target + torch.tensor(CAMERA_OFFSET_M)
        self._gym.viewer_camera_look_at(
            self._viewer, self._first_env, gymapi.Vec3(*camera.tolist()), gymapi.Vec3(*target.tolist())
        )
