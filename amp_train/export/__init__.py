"""A trained policy as one file that runs without this package: ONNX or TorchScript.

The file maps MuJoCo's qpos and qvel to PD targets. Observation, normalisation and action scale are inside."""

from amp_train.export.files import export_policy

__all__ = ["export_policy"]
