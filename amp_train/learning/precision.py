"""How exactly matrices are multiplied: bf16 where a device has it, TF32 on NVIDIA's GPUs, and the policy in fp32."""

import contextlib
from typing import Iterator, Union

import torch


def multiplies_bf16(device: Union[str, torch.device]) -> bool:
    """Return whether the device multiplies bf16 in hardware; emulated it is slower than fp32. When in doubt, no."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8  # Ampere and later
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # not in every torch
    return device.type == "cpu" and any(getattr(torch.cpu, probe, bool)() for probe in probes)


@contextlib.contextmanager
def without_tf32() -> Iterator[None]:
    """Multiply fp32 matrices as such within it; rl_games' Runner turns TF32, 10 bits of mantissa, on for everything."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
