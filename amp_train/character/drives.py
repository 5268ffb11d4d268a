"""The drives of a character, read from its MJCF's actuators and joints. An actuator is known by what it drives, never
by its position in the file."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from amp_train.errors import CharacterError


class Drives(NamedTuple):
    """PD drives in joint space, float64, of the dofs after the root's six.

    Attributes:
        stiffness, damping, effort: (nv - 6,) N m/rad, N m s/rad, N m; effort is inf where nothing limits it.
        spring: (njnt,) N m/rad, the springs of the joints, in addition to the drive.
    """

    stiffness: np.ndarray
    damping: np.ndarray
    effort: np.ndarray
    spring: np.ndarray


def read_drives(model: Any, path: Path) -> Drives:
    """Read the drives of a compiled MuJoCo model.

    A position actuator (and a velocity actuator of its joint) gives the gains; the joint's damping adds to them and its
    joint's spring stays a spring. Without one, the joint's spring and damping are the gains, as Isaac Gym reads MJCF.
    Torque limits are the least of `forcerange`, `actuatorfrcrange` and, of a motor, gear times `ctrlrange`.

    Raises:
        CharacterError: an actuator that does not drive one axis of a joint.
    """
    import mujoco

    num_dofs = model.nv - 6
    stiffness, effort = np.zeros(num_dofs), np.full(num_dofs, np.inf)
    damping = model.dof_damping.reshape(model.nv, -1)[6:, 0].astype(np.float64)
    for actuator in range(model.nu):
        dof, gear = _driven_dof(model, actuator, path, mujoco)
        if model.actuator_biastype[actuator] == mujoco.mjtBias.mjBIAS_AFFINE:
            stiffness[dof] -= gear**2 * model.actuator_biasprm[actuator, 1]
            damping[dof] -= gear**2 * model.actuator_biasprm[actuator, 2]
        effort[dof] = min(effort[dof], _actuator_limit(model, actuator, abs(gear), mujoco))
    spring = model.jnt_stiffness.reshape(model.njnt, -1)[:, 0].astype(np.float64)
    for joint in range(1, model.njnt):
        start = int(model.jnt_dofadr[joint]) - 6
        dofs = slice(start, start + (3 if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_BALL else 1))
        if model.jnt_actfrclimited[joint]:
            effort[dofs] = np.minimum(effort[dofs], np.abs(model.jnt_actfrcrange[joint]).max())
        if not stiffness[dofs].any():
            stiffness[dofs], spring[joint] = spring[joint], 0.0
    return Drives(stiffness, damping, effort, spring)


def _driven_dof(model: Any, actuator: int, path: Path, mujoco: Any) -> "tuple[int, float]":
    """Return the dof after the root's six that an actuator drives, and its gear."""
    name = model.actuator(actuator).name or str(actuator)
    if model.actuator_trntype[actuator] != mujoco.mjtTrn.mjTRN_JOINT:
        raise CharacterError(f"Actuator '{name}' of '{path}' does not drive a joint, as all actuators must.")
    if model.actuator_dyntype[actuator] != mujoco.mjtDyn.mjDYN_NONE:
        raise CharacterError(
            f"Actuator '{name}' of '{path}' has activation dynamics. Use a motor or a position actuator."
        )
    joint = int(model.actuator_trnid[actuator, 0])
    gear, start = model.actuator_gear[actuator], int(model.jnt_dofadr[joint]) - 6
    if model.jnt_type[joint] != mujoco.mjtJoint.mjJNT_BALL and start >= 0:
        return start, float(gear[0])
    axes = np.flatnonzero(gear[:3])
    if start < 0 or len(axes) != 1:
        raise CharacterError(
            f'Actuator \'{name}\' of \'{path}\' must drive one axis: gear="1 0 0", "0 1 0" or "0 0 1".'
        )
    return start + int(axes[0]), float(gear[axes[0]])


def _actuator_limit(model: Any, actuator: int, gear: float, mujoco: Any) -> float:
    limits = [np.inf]
    if model.actuator_forcelimited[actuator]:
        limits.append(gear * np.abs(model.actuator_forcerange[actuator]).max())
    if model.actuator_biastype[actuator] == mujoco.mjtBias.mjBIAS_NONE:
        # Of a motor without a range of controls, the gear is the torque at full control, unless it is left at 1.
        if model.actuator_ctrllimited[actuator]:
            limits.append(gear * model.actuator_gainprm[actuator, 0] * np.abs(model.actuator_ctrlrange[actuator]).max())
        elif gear != 1.0:
            limits.append(gear)
    return float(min(limits))
