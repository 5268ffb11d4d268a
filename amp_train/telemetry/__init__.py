"""Output of a training: progress bar, metrics files, tensorboard, wandb. Independent of the environment."""

from amp_train.telemetry.files import stdout_to_file
from amp_train.telemetry.observer import TrainingObserver
from amp_train.telemetry.progress import ProgressBar, training_view
from amp_train.telemetry.sinks import MetricsFiles
from amp_train.telemetry.wandb_sink import WandbSink

__all__ = ["MetricsFiles", "ProgressBar", "TrainingObserver", "WandbSink", "stdout_to_file", "training_view"]
