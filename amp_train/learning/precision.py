"""Whether to multiply in bf16 where it does no harm."""

from typing import Any, Union

import torch

from amp_train.errors import ConfigError


def use_bf16(mixed_precision: Any, device: Union[str, torch.device]) -> bool:
    """Resolve the config key `mixed_precision`: True, False, or "auto" for "where the hardware multiplies bf16".

    Without such hardware bf16 is emulated, and slower than fp32.
    """
    if mixed_precision in (True, False, None):
        return bool(mixed_precision)
    if mixed_precision == "auto":
        return multiplies_bf16(device)
    raise ConfigError(f"mixed_precision must be True, False or auto, not {mixed_precision!r}.")


def multiplies_bf16(device: Union[str, torch.device]) -> bool:
    """Return whether the device has bf16 multiplication; when in doubt, no."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8  # Ampere and later
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return torch.device(device).type == "cpu" and any(getattr(torch.cpu, probe, bool)() for probe in probes)
