"""Pictures and videos of a character's states, drawn without a window on any machine."""

import logging
from pathlib import Path
from typing import Any, Iterator, Optional, Union

import numpy as np

from amp_train.character import CharacterSpec, CharacterState
from amp_train.errors import MissingPackageError
from amp_train.viewers.offscreen import OffscreenCanvas, ViewerError
from amp_train.viewers.stage import Stage

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
        reference: T poses to show translucently beside the character, the clip it imitates for example.

    Returns:
        (T, height, width, 3) uint8.

    Raises:
        ViewerError: nothing to draw, or a reference of another length.
    """
    return np.stack(list(_pictures(spec, states, width, height, reference)))


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
    """Write T states of one character as an MP4, or a GIF if the name says so, of `fps` frames a second.

    The other arguments and the errors are those of `render_frames`.

    Returns:
        The path.

    Raises:
        MissingPackageError: no encoder is installed.
    """
    path = Path(path)
    pictures = _pictures(spec, states, width, height, reference)
    first = next(pictures)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _open_writer(path, fps) as writer:
        writer.append_data(first)
        for picture in pictures:
            writer.append_data(picture)
    return path


def _pictures(
    spec: CharacterSpec, states: CharacterState, width: int, height: int, reference: Optional[CharacterState]
) -> Iterator[np.ndarray]:
    _check(states, width, height, reference)
    stage = Stage(spec, states, reference)
    canvas = _open_canvas(stage.model, width, height)
    try:
        for index in range(len(stage)):
            yield canvas.draw(stage.frame(index))
    finally:
        canvas.close()


def _check(states: CharacterState, width: int, height: int, reference: Optional[CharacterState]) -> None:
    if len(states) == 0:
        raise ViewerError("There is nothing to draw: the states have no frame.")
    if reference is not None and len(reference) != len(states):
        message = "The reference has {} frames and the character {}; give one reference frame for each."
        raise ViewerError(message.format(len(reference), len(states)))
    if width < 16 or height < 16 or width % 2 or height % 2:
        raise ViewerError("A picture of {}x{} cannot be encoded; give even sizes from 16.".format(width, height))


def _open_canvas(model: Any, width: int, height: int) -> Any:
    try:
        return OffscreenCanvas(model, width, height)
    except ViewerError as error:
        _LOG.warning("%s Drawing flat capsules instead.", error)
    from amp_train.viewers.sketch import SketchCanvas

    return SketchCanvas(model, width, height)


def _open_writer(path: Path, fps: float) -> Any:
    try:
        import imageio

        if path.suffix.lower() == ".gif":
            return imageio.get_writer(str(path), duration=1000.0 / fps, loop=0)
        return imageio.get_writer(str(path), format="FFMPEG", fps=fps, codec="libx264", quality=7, macro_block_size=2)
    except ImportError as error:
        raise MissingPackageError("Writing a video needs an encoder: pip install 'imageio[ffmpeg]'.") from error
    except ValueError as error:
        raise ViewerError("Cannot write a video to '{}': {}".format(path, error)) from error
