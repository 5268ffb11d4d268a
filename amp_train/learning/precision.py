"""Whether a device multiplies bf16 in hardware; where it does not, bf16 is emulated and slower than fp32."""

from typing import Union

import torch


def multiplies_bf16(device: Union[str, torch.device]) -> bool:
    """Return whether bf16 matrix products are worth it on the device; when in doubt, no."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8  # Ampere and later
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # not in every torch
    return device.type == "cpu" and any(getattr(torch.cpu, probe, bool)() for probe in probes)
