"""A line of text in a picture: time and scores."""

from typing import Any, List

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from amp_train.viewers.recording import Recording

_INK, _SHADE = (255, 255, 255), (0, 0, 0, 120)
_NOTHING = {"style_reward": 0.0, "task_reward": 1.0}
_NAMES = (("style_reward", "style"), ("task_reward", "task"))


def captions(recording: Recording) -> List[str]:
    """Return a line for every step: time, speed, rewards, pose error; the mean of several characters."""
    speed = recording.states.root_vel[..., :2].norm(dim=-1).mean(1)
    lines = []
    for t in range(len(recording)):
        parts = [f"{t * recording.dt_s:5.2f} s", f"{float(speed[t]):.2f} m/s"]
        for name, short in _NAMES:
            values = recording.scores.get(name)
            # Constant: the style was not scored, or the task has no goal.
            if values is not None and bool((values != _NOTHING[name]).any()):
                parts.append(f"{short} {float(values[t].mean()):.2f}")
        error = recording.scores.get("pose_error_m")
        if error is not None:
            parts.append(f"to the clip {100 * float(error[t].mean()):.0f} cm")
        lines.append("   ".join(parts))
    return lines


def write_on(picture: np.ndarray, text: str) -> np.ndarray:
    """Return a picture (H, W, 3) uint8 with a line of text in the upper left corner."""
    image = Image.fromarray(picture)
    pen, size = ImageDraw.Draw(image, "RGBA"), max(10, len(picture) // 28)
    font = _font(size)
    left, top, right, bottom = pen.textbbox((size // 2, size // 2), text, font=font)
    pen.rectangle((left - size // 3, top - size // 4, right + size // 3, bottom + size // 4), fill=_SHADE)
    pen.text((size // 2, size // 2), text, fill=_INK, font=font)
    return np.asarray(image)


def _font(size: int) -> Any:
    try:
        return ImageFont.load_default(size)
    except (TypeError, ImportError, OSError):  # Pillow before 10.1, or without FreeType, has one size
        return ImageFont.load_default()
