"""Tensors that share memory with the stand-in's buffers."""

import numpy as np
import torch

from isaacgym import gymapi

_DTYPES = {torch.float32: gymapi.DTYPE_FLOAT32, torch.int32: gymapi.DTYPE_UINT32, torch.int64: gymapi.DTYPE_UINT64}


def wrap_tensor(gym_tensor, offsets=None, counts=None):
    if gym_tensor is None:
        raise AttributeError("the buffer was not acquired")
    array = gymapi.memory(gym_tensor)
    assert array.dtype == np.float32
    return torch.from_numpy(array)


def unwrap_tensor(torch_tensor):
    if not torch_tensor.is_contiguous():
        raise Exception("Input tensor must be contiguous")
    if torch_tensor.device.type != "cpu":
        raise Exception("this stand-in has no GPU")
    tensor = gymapi.Tensor()
    tensor.device, tensor.dtype, tensor.own_data = -1, _DTYPES[torch_tensor.dtype], False
    tensor.shape, tensor.data_address = tuple(torch_tensor.shape), torch_tensor.data_ptr()
    return tensor
