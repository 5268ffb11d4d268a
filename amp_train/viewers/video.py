"""Pictures and videos of recorded characters, drawn without a window on any machine."""

import logging
from pathlib import Path
from typing import Any, Iterator, Optional, Sequence, Tuple, Union

import numpy as np

from amp_train.character import CharacterSpec, CharacterState
from amp_train.viewers.caption import captions, write_on
from amp_train.viewers.offscreen import OffscreenCanvas, ViewerError
from amp_train.viewers.recording import Recording, one_character
from amp_train.viewers.scene import Scene, View
from amp_train.viewers.writers import chosen_pictures, write_pictures

_LOG = logging.getLogger(__name__)


def render_frames(
    spec: CharacterSpec,
    states: CharacterState,
    *,
    width: int = 640,
    height: int = 480,
    reference: Optional[CharacterState] = None,
) -> np.ndarray:
    """Draw T states of one character.

    Args:
        spec: the character.
        states: T poses in time order; velocities are not read.
        width, height: picture size in pixels.
        reference: T poses to show translucently next to the character, for example its clip.

    Returns:
        (T, height, width, 3) uint8.

    Raises:
        ViewerError: nothing to draw, or a reference of a different length.
    """
    recording = _recording(spec, states, reference)
    return np.stack(list(draw(recording, View(), width, height, with_text=False)))


def render_video(
    path: Union[str, Path],
    spec: CharacterSpec,
    states: CharacterState,
    fps: float,
    *,
    width: int = 640,
    height: int = 480,
    reference: Optional[CharacterState] = None,
) -> Path:
    """Write T states of one character as a file of `fps` frames a second, in the format of its ending.

    The other arguments and the errors are those of `render_frames` and `write_pictures`.

    Returns:
        The path.
    """
    recording = _recording(spec, states, reference)
    return _write(path, recording, View(), fps, (width, height), with_text=False)


def record_video(
    path: Union[str, Path],
    recording: Recording,
    view: Optional[View] = None,
    *,
    width: int = 640,
    height: int = 480,
    with_text: bool = True,
) -> Path:
    """Write a recording at its own rate: characters, ghosts, goals, and a line of text with time and scores.

    Args:
        path: MP4, GIF, WebP, or a strip as PNG, by its name.
        recording: several characters are lined up in a row.
        view: where the ghost is and how the camera moves.
        width, height: even numbers of pixels.
        with_text: whether time and scores are written in the picture.

    Returns:
        The path.

    Raises:
        ViewerError: nothing to draw, odd sizes, an unknown ending.
        MissingPackageError: no encoder is installed.
    """
    return _write(path, recording, view or View(), 1.0 / recording.dt_s, (width, height), with_text)


def _write(
    path: Union[str, Path], recording: Recording, view: View, fps: float, size: Tuple[int, int], with_text: bool
) -> Path:
    indices = chosen_pictures(path, len(recording))
    return write_pictures(path, draw(recording, view, size[0], size[1], with_text, indices), fps)


def draw(
    recording: Recording,
    view: View,
    width: int,
    height: int,
    with_text: bool = True,
    indices: Optional[Sequence[int]] = None,
) -> Iterator[np.ndarray]:
    """Yield the pictures (height, width, 3) uint8 of a recording, or of its steps `indices`."""
    _check(recording, width, height)
    scene = Scene(recording, view)
    lines = captions(recording) if with_text else []
    canvas = open_canvas(scene.model, width, height)
    try:
        for index in range(len(scene)) if indices is None else indices:
            picture = canvas.draw(scene.frame(index))
            yield write_on(picture, lines[index]) if with_text else picture
    finally:
        canvas.close()


def _recording(spec: CharacterSpec, states: CharacterState, reference: Optional[CharacterState]) -> Recording:
    recording = one_character(spec, states)
    if reference is not None:
        if len(reference) != len(states):
            raise ViewerError(
                f"The reference has {len(reference)} frames and the character {len(states)}; give "
                "one reference frame for each."
            )
        recording.ghosts = one_character(spec, reference).states
    return recording


def _check(recording: Recording, width: int, height: int) -> None:
    if len(recording) == 0:
        raise ViewerError("There is nothing to draw: the states have no frame.")
    if width < 16 or height < 16 or width % 2 or height % 2:
        raise ViewerError(f"A picture of {width}x{height} cannot be encoded; give even sizes from 16.")


def open_canvas(model: Any, width: int, height: int) -> Any:
    """Return a renderer: OpenGL, or flat capsules without it, with one line in the log."""
    try:
        return OffscreenCanvas(model, width, height)
    except ViewerError as error:
        _LOG.warning("%s Drawing flat capsules instead.", error)
    from amp_train.viewers.software_renderer import SoftwareCanvas

    return SoftwareCanvas(model, width, height)
