"""A stand-in for NVIDIA's package, for tests: see tests/doubles/README.md."""

import sys

if "torch" in sys.modules:
    raise ImportError("PyTorch was imported before isaacgym modules.  Please import torch after isaacgym modules.")
