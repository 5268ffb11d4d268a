"""A small video of a training policy: a file, and a GIF for tensorboard."""

from pathlib import Path
from typing import Tuple

from amp_train.viewers.recording import Recorder, Recording
from amp_train.viewers.scene import View
from amp_train.viewers.video import draw
from amp_train.viewers.writers import gif_of, write_pictures

EVERY = 2  # steps between two pictures: smooth enough at half the cost


class TrainingRecorder(Recorder):
    """Records the first environment with its ghost and draws it small.

    Attributes:
        size: width and height of the pictures.
    """

    def __init__(self, size: Tuple[int, int] = (256, 192)) -> None:
        super().__init__(num_characters=1)
        self.size = size

    def save(self, path: Path) -> bytes:
        """Write the video; return it as a GIF.

        Raises:
            UserError: drawing or encoding is not possible on this machine.
        """
        recording: Recording = self.recording()
        indices = range(0, len(recording), EVERY)
        pictures = list(draw(recording, View(shadows=False), *self.size, True, indices))
        fps = 1.0 / (EVERY * recording.dt_s)
        write_pictures(path, pictures, fps)
        return gif_of(pictures, fps)
