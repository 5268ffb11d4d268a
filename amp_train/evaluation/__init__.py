"""Measures of a policy's motion."""

from amp_train.evaluation.metrics import EvaluationError, dtw_path, dtw_pose_error, heading_local, pose_distances

__all__ = ["EvaluationError", "dtw_path", "dtw_pose_error", "heading_local", "pose_distances"]
