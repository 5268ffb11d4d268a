"""The model that `sim=mujoco` and `sim=mujoco_warp` step: the character's MJCF with drives and contact sensors."""

import math
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor

from amp_train.character import CharacterSpec
from amp_train.character.editing import editable_mjcf
from amp_train.errors import CharacterError
from amp_train.sim.mujoco_scene import add_scene, set_damping
from amp_train.sim.scene import Scene


def driven_mjcf(spec: CharacterSpec, physics_dt_s: float) -> Any:
    """Return the character's `MjSpec` with one position actuator for each dof, in the order of the spec, and the
    integrator and physics step of the training.

    Raises:
        CharacterError: a joint without a drive, or what MuJoCo cannot build.
    """
    import mujoco

    spec.check_drives()
    mjcf = editable_mjcf(spec)
    _add_drives(mjcf, spec, physics_dt_s, mujoco)
    mjcf.option.timestep = physics_dt_s
    return mjcf


def compile_model(spec: CharacterSpec, physics_dt_s: float, scene: Optional[Scene] = None) -> Any:
    """Compile the character for simulation: its drives, one net contact force sensor for each body and then each object
    of the scene (N, world frame), and no silent reset of a diverged world.

    Raises:
        CharacterError: a joint without a drive.
    """
    import mujoco

    mjcf = driven_mjcf(spec, physics_dt_s)
    scene = scene or Scene()
    add_scene(mjcf, scene)
    for body in spec.body_names + tuple(thing.name for thing in scene.objects):
        _add_contact_sensor(mjcf, body, mujoco)
    try:
        model = mjcf.compile()
    except ValueError as error:  # the character alone compiles: load_character has done it
        reason = " ".join(str(error).split())
        raise CharacterError(
            f"MuJoCo cannot build the character with its drives and the task's scene: {reason}"
        ) from error
    set_damping(model, scene)
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
    assert model.nu == spec.num_dofs, "a drive for each dof"
    return model


def _add_contact_sensor(mjcf: Any, body: str, mujoco: Any) -> None:
    sensor = mjcf.add_sensor()
    sensor.name, sensor.type = "contact_force_" + body, mujoco.mjtSensor.mjSENS_CONTACT
    sensor.objtype, sensor.objname = mujoco.mjtObj.mjOBJ_BODY, body
    force_field, net_force, one = 1 << int(mujoco.mjtConDataField.mjCONDATA_FORCE), 3, 1
    sensor.intprm[:3] = [force_field, net_force, one]


def _add_drives(mjcf: Any, spec: CharacterSpec, physics_dt_s: float, mujoco: Any) -> None:
    """Add the PD drives. A torque limit applies to the whole drive, kp * (target - q) - kd * dq/dt, as in PhysX and
    DeepMimic. With kd as the joint's damping, outside the limit, a knee of 150 N m and 30 N m s/rad extends at 5 rad/s
    at most, and the character cannot leap.

    (M + dt kd) dv = dt torque, kd in the armature and Euler's method: equal to MuJoCo's implicit damping, and
    as stable. With those integrators a drive at its limit would not be damped, and light limbs would chatter.

    Ranges of a spherical joint apply to the components of its exponential map, as in PhysX. MuJoCo has only a cone for
    a ball joint, so a drive's target is clamped to the ranges: it never pushes the joint out of them, and pulls it back
    with kp where a load has pushed it out. The cone around the ranges' corners is a hard limit. PhysX makes each range
    a hard limit, and a target beyond it presses the joint against it.
    """
    mjcf.option.integrator = mujoco.mjtIntegrator.mjINT_EULER
    stiffness, damping, armature, effort = (
        _decimals(values) for values in (spec.dof_stiffness, spec.dof_damping, spec.dof_armature, spec.dof_effort)
    )
    springs = _decimals(spec.joint_spring)
    for joint_id, name in enumerate(spec.joint_names):
        joint, start, size = mjcf.joint(name), spec.dof_offsets[joint_id], spec.joint_sizes[joint_id]
        dofs = slice(start, start + size)
        # A ball joint has one armature for its three axes.
        joint.armature = armature[dofs].max() + physics_dt_s * damping[dofs].max()
        joint.damping, joint.actfrclimited = 0.0 * joint.damping, mujoco.mjtLimited.mjLIMITED_FALSE
        joint.stiffness = np.where(np.arange(np.size(joint.stiffness)) == 0, springs[joint_id], 0.0)
        cone = _cone(spec, dofs) if size == 3 else None
        if size == 3:
            joint.limited = mujoco.mjtLimited.mjLIMITED_TRUE if cone else mujoco.mjtLimited.mjLIMITED_FALSE
        if cone:
            joint.range = [0.0, math.degrees(cone) if mjcf.compiler.degree else cone]
        for dof in range(start, start + size):
            drive = mjcf.add_actuator(name=spec.dof_names[dof], target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
            drive.set_to_position(kp=stiffness[dof], kv=damping[dof])
            drive.gear[:3] = np.eye(3)[dof - start]
            if math.isfinite(effort[dof]):
                drive.forcelimited, drive.forcerange = mujoco.mjtLimited.mjLIMITED_TRUE, [-effort[dof], effort[dof]]
            if cone:
                lower, upper = float(spec.dof_lower[dof]), float(spec.dof_upper[dof])
                drive.ctrllimited, drive.ctrlrange = mujoco.mjtLimited.mjLIMITED_TRUE, [lower, upper]


def _cone(spec: CharacterSpec, dofs: slice) -> Optional[float]:
    """Return the angle (rad) that no pose within a spherical joint's ranges exceeds; None if that limits nothing."""
    largest = torch.maximum(spec.dof_lower[dofs].abs(), spec.dof_upper[dofs].abs())
    is_limited = bool((largest < math.pi - 1e-4).any())
    return min(float(largest.norm()), math.pi) if is_limited else None


def _decimals(values: Tensor) -> np.ndarray:
    """Return float32 values as the float64 with the same shortest decimal: 0.025 is 0.025 again, as in the MJCF."""
    return np.array([float(str(value)) for value in values.numpy()])
