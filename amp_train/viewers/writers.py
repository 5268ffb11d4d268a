"""Pictures as a file: MP4, GIF, WebP, or a strip of a few as PNG, by the file's name."""

import io
from pathlib import Path
from typing import Iterable, List, Sequence, Union

import numpy as np
from PIL import Image

from amp_train.errors import MissingPackageError
from amp_train.viewers.offscreen import ViewerError

STRIP_PICTURES = 8
_MP4_NAMES = (".mp4", ".mkv", ".mov", ".avi")


def chosen_pictures(path: Union[str, Path], count: int) -> List[int]:
    """Return which of `count` pictures a file shows: all of them, or evenly spaced ones for a strip.

    Raises:
        ViewerError: an unsupported ending.
    """
    kind = Path(path).suffix.lower()
    if kind not in (".gif", ".webp", ".png", *_MP4_NAMES):
        raise ViewerError(f"Cannot write a video to '{path}': give a name that ends in .mp4, .gif, .webp or .png.")
    if kind == ".png" and count:
        return sorted(set(np.linspace(0, count - 1, min(count, STRIP_PICTURES)).round().astype(int).tolist()))
    return list(range(count))


def write_pictures(path: Union[str, Path], pictures: Iterable[np.ndarray], fps: float) -> Path:
    """Write pictures (H, W, 3) uint8 in order.

    Args:
        path: its ending selects the format: .mp4, .gif, .webp, or .png for all of them side by side.
        pictures: drawn while they are written.
        fps: pictures per second.

    Returns:
        The path; its folder is made.

    Raises:
        MissingPackageError: no encoder is installed.
    """
    path, kind = Path(path), Path(path).suffix.lower()
    remaining = iter(pictures)
    first = next(remaining)  # errors of drawing come before the file exists
    path.parent.mkdir(parents=True, exist_ok=True)
    everything = _chain(first, remaining)
    if kind == ".png":
        Image.fromarray(np.concatenate(list(everything), axis=1)).save(str(path), optimize=True)
    elif kind in (".gif", ".webp"):
        _write_animation(path, everything, fps)
    else:
        _write_mp4(path, everything, fps)
    return path


def _chain(first: np.ndarray, remaining: Iterable[np.ndarray]) -> Iterable[np.ndarray]:
    yield first
    yield from remaining


def _write_animation(path: Path, pictures: Iterable[np.ndarray], fps: float) -> None:
    images = [Image.fromarray(picture) for picture in pictures]
    duration_ms = gif_duration_ms(fps) if path.suffix.lower() == ".gif" else round(1000.0 / fps)
    images[0].save(str(path), save_all=True, append_images=images[1:], duration=duration_ms, loop=0)


def gif_duration_ms(fps: float) -> int:
    """Return the duration of a picture: a GIF counts in hundredths of a second, and browsers show anything below two of
    them at ten pictures per second."""
    return max(20, round(100.0 / fps) * 10)


def gif_of(pictures: Sequence[np.ndarray], fps: float) -> bytes:
    """Return pictures as a GIF's bytes, in the colours of the first: choosing them anew takes ten times as long."""
    colours = Image.fromarray(pictures[0]).quantize(128, method=Image.Quantize.FASTOCTREE)
    frames = [Image.fromarray(picture).quantize(palette=colours, dither=Image.Dither.NONE) for picture in pictures]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=gif_duration_ms(fps), loop=0)
    return buffer.getvalue()


def _write_mp4(path: Path, pictures: Iterable[np.ndarray], fps: float) -> None:
    try:
        import imageio

        writer = imageio.get_writer(str(path), format="FFMPEG", fps=fps, codec="libx264", quality=7, macro_block_size=2)
    except ImportError as error:
        raise MissingPackageError("Writing a video needs an encoder: pip install 'imageio[ffmpeg]'.") from error
    with writer:
        for picture in pictures:
            writer.append_data(picture)
