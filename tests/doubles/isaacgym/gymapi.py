"""The part of `isaacgym.gymapi` that the backend uses: settings that know their fields, and `acquire_gym`."""

import ctypes
from enum import IntEnum

import numpy as np


class _Struct:
    """Fields have a type, and there are no others."""

    FIELDS = {}

    def __init__(self, *values):
        for name, default in self.FIELDS.items():
            object.__setattr__(self, name, default() if callable(default) else default)
        for name, value in zip(self.FIELDS, values):
            setattr(self, name, value)

    def __setattr__(self, name, value):
        if name not in self.FIELDS:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        old = getattr(self, name)
        is_number = isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool)
        if type(value) is not type(old) and not is_number:
            raise TypeError(f"{type(self).__name__}.{name} is a {type(old).__name__}, not {value!r}")
        object.__setattr__(self, name, value)


UpAxis = IntEnum("UpAxis", "UP_AXIS_Y UP_AXIS_Z", start=0)
SimType = IntEnum("SimType", "SIM_PHYSX SIM_FLEX", start=0)
ContactCollection = IntEnum("ContactCollection", "CC_NEVER CC_LAST_SUBSTEP CC_ALL_SUBSTEPS", start=0)
DofDriveMode = IntEnum("DofDriveMode", "DOF_MODE_NONE DOF_MODE_POS DOF_MODE_VEL DOF_MODE_EFFORT", start=0)
IndexDomain = IntEnum("IndexDomain", "DOMAIN_ACTOR DOMAIN_ENV DOMAIN_SIM", start=0)
TensorDataType = IntEnum("TensorDataType", "DTYPE_FLOAT32 DTYPE_UINT32 DTYPE_UINT64", start=0)
KeyboardInput = IntEnum("KeyboardInput", "KEY_ESCAPE KEY_V", start=0)

UP_AXIS_Z, SIM_PHYSX, CC_LAST_SUBSTEP = UpAxis.UP_AXIS_Z, SimType.SIM_PHYSX, ContactCollection.CC_LAST_SUBSTEP
DOF_MODE_NONE, DOF_MODE_POS = DofDriveMode.DOF_MODE_NONE, DofDriveMode.DOF_MODE_POS
DOMAIN_SIM, KEY_ESCAPE, KEY_V = IndexDomain.DOMAIN_SIM, KeyboardInput.KEY_ESCAPE, KeyboardInput.KEY_V
DTYPE_FLOAT32, DTYPE_UINT32, DTYPE_UINT64 = TensorDataType


class Vec3(_Struct):
    FIELDS = {"x": 0.0, "y": 0.0, "z": 0.0}


class Quat(_Struct):
    FIELDS = {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}


class Transform(_Struct):
    FIELDS = {"p": Vec3, "r": Quat}


class PhysXParams(_Struct):
    FIELDS = {
        "use_gpu": False, "num_threads": 0, "num_subscenes": 0, "solver_type": 0, "num_position_iterations": 0,
        "num_velocity_iterations": 0, "contact_offset": 0.0, "rest_offset": 0.0, "bounce_threshold_velocity": 0.0,
        "max_depenetration_velocity": 0.0, "default_buffer_size_multiplier": 0.0, "max_gpu_contact_pairs": 0,
        "contact_collection": ContactCollection.CC_NEVER,
    }  # fmt: skip


class SimParams(_Struct):
    FIELDS = {
        "dt": 0.0, "substeps": 0, "up_axis": UpAxis.UP_AXIS_Y, "gravity": Vec3, "use_gpu_pipeline": False,
        "physx": PhysXParams,
    }  # fmt: skip


class PlaneParams(_Struct):
    FIELDS = {"normal": Vec3, "distance": 0.0, "static_friction": 0.0, "dynamic_friction": 0.0, "restitution": 0.0}


class AssetOptions(_Struct):
    FIELDS = {"angular_damping": 0.5, "max_angular_velocity": 64.0, "default_dof_drive_mode": 0}


class CameraProperties(_Struct):
    FIELDS = {"width": 1600, "height": 900}


class Tensor:
    """Where a buffer lies and what it holds."""

    def __init__(self):
        self.data_address, self.device, self.dtype, self.own_data, self.shape = 0, -1, DTYPE_FLOAT32, True, ()


def memory(tensor):
    """Return the memory that a descriptor points to as an array."""
    kind = ctypes.c_float if tensor.dtype == DTYPE_FLOAT32 else ctypes.c_int32
    if 0 in tensor.shape:
        return np.zeros(tensor.shape, dtype=kind)
    return np.ctypeslib.as_array(ctypes.cast(tensor.data_address, ctypes.POINTER(kind)), shape=tuple(tensor.shape))


def acquire_gym(*args, **kwargs):
    return _GYM


from isaacgym._gym import Gym  # noqa: E402 (it needs the names above)

_GYM = Gym()
