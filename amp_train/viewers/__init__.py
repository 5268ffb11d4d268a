"""Videos, pages, windows and reports of a policy, and the curves of a training.

A viewer sees `CharacterState`s through the episode loop's callbacks; the environment never imports this layer.
matplotlib, imageio, viser and OpenGL are imported only here, when something is drawn."""

from amp_train.viewers.curves import plot_curves
from amp_train.viewers.offscreen import ViewerError
from amp_train.viewers.recording import MAX_STEPS, Recorder, Recording
from amp_train.viewers.scene import View
from amp_train.viewers.training_recorder import TrainingRecorder
from amp_train.viewers.video import record_video, render_frames, render_video

__all__ = [
    "MAX_STEPS",
    "Recorder",
    "Recording",
    "TrainingRecorder",
    "View",
    "ViewerError",
    "plot_curves",
    "record_video",
    "render_frames",
    "render_video",
]
