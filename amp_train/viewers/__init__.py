"""What one looks at: videos and pictures of `CharacterState`s, and the curves of a training.

matplotlib, imageio and OpenGL are imported in this layer only, when something is drawn."""

from amp_train.viewers.curves import plot_curves
from amp_train.viewers.offscreen import ViewerError
from amp_train.viewers.video import render_frames, render_video

__all__ = ["ViewerError", "plot_curves", "render_frames", "render_video"]
