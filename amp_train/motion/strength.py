"""The torques that a clip needs of a character: inverse dynamics with MuJoCo.

The force on the whole body comes from the ground, through the bodies that touch it: the smallest forces that support
the root. The rest is the joints' torque. This is an estimate: the ground's friction and the size of the feet are not
limited, and accelerations of captured motion are smoothed first."""

from typing import Any, Dict, Optional

import numpy as np
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterSpec
from amp_train.motion.clip import MotionClip
from amp_train.motion.ground import lowest_of_bodies

_TOUCHING_M = 0.02
_SMOOTHING_S = 0.04
_USUAL = 0.95  # share of the frames for which a joint must be strong enough
_MAX_FRAMES = 600  # longer clips are sampled at this many frames
_MOMENT_COST = 10.0  # per m: a foot takes forces rather than moments


def pose_qpos(
    model: Any, spec: CharacterSpec, root_pos: Tensor, root_rot: Tensor, joint_rot: Tensor
) -> Optional[np.ndarray]:
    """Return MuJoCo's qpos (F, nq) of poses; None if a body has several joints."""
    qpos = np.tile(model.qpos0, (len(root_pos), 1))
    qpos[:, :3], qpos[:, 3:7] = root_pos.numpy(), rotations.xyzw_to_wxyz(root_rot).numpy()
    for joint, body in enumerate(spec.joint_body_ids):
        body_id = model.body(spec.body_names[body]).id
        if int(model.body_jntnum[body_id]) != 1:
            return None
        address = int(model.jnt_qposadr[model.body_jntadr[body_id]])
        if spec.joint_sizes[joint] == 3:
            qpos[:, address : address + 4] = rotations.xyzw_to_wxyz(joint_rot[:, joint]).numpy()
        else:
            axis = spec.joint_axis[joint].to(joint_rot).expand(len(root_pos), 3)
            qpos[:, address] = rotations.quat_twist_angle(joint_rot[:, joint], axis).numpy()
    return qpos


def torque_needed(clip: MotionClip, spec: CharacterSpec) -> Dict[str, float]:
    """Return the torque (N m) of every joint that suffices in 95 % of the frames; {} if unknown. A joint of three dofs
    counts by its largest component. Joints of bodies that touch the ground are left out: an ankle's torque depends on
    the centre of pressure under the foot, which a clip does not contain."""
    import mujoco

    model = mujoco.MjModel.from_xml_path(spec.mjcf_path)
    qpos = pose_qpos(model, spec, clip.root_pos, clip.root_rot, clip.joint_rot)
    if qpos is None or clip.num_frames < 5:
        return {}
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONTACT | mujoco.mjtDisableBit.mjDSBL_LIMIT)
    model.dof_damping[:] = 0.0  # of the PD drive, not of the body
    model.jnt_stiffness[:] = 0.0
    velocity, acceleration = _derivatives(mujoco, model, qpos, clip.fps)
    touching = (lowest_of_bodies(clip, spec) < _TOUCHING_M).numpy()
    frames = np.unique(np.linspace(0, clip.num_frames - 1, min(clip.num_frames, _MAX_FRAMES)).astype(int))
    data = mujoco.MjData(model)
    torques = np.stack([_torques(mujoco, model, data, spec, touching[f], qpos[f], velocity[f], acceleration[f])
                        for f in frames])  # fmt: skip
    usual = np.quantile(np.abs(torques), _USUAL, axis=0)
    return _by_joint(model, spec, usual, np.asarray(touching.any(axis=0)))


def _derivatives(mujoco: Any, model: Any, qpos: np.ndarray, fps: float) -> "tuple[np.ndarray, np.ndarray]":
    """Return smoothed velocities and accelerations (F, nv) at the frames."""
    steps = np.zeros((len(qpos) - 1, model.nv))
    for k in range(len(steps)):
        mujoco.mj_differentiatePos(model, steps[k], 1.0 / fps, qpos[k], qpos[k + 1])
    between = _smooth(steps, fps)
    velocity = 0.5 * (np.concatenate((between[:1], between)) + np.concatenate((between, between[-1:])))
    change = np.diff(between, axis=0) * fps
    return velocity, np.concatenate((change[:1], change, change[-1:]))


def _smooth(values: np.ndarray, fps: float) -> np.ndarray:
    reach = max(1, int(3.0 * _SMOOTHING_S * fps))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (_SMOOTHING_S * fps)) ** 2)
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, weights / weights.sum(), mode="valid") for column in padded.T], axis=1)


def _torques(
    mujoco: Any,
    model: Any,
    data: Any,
    spec: CharacterSpec,
    touching: np.ndarray,
    qpos: np.ndarray,
    velocity: np.ndarray,
    acceleration: np.ndarray,
) -> np.ndarray:
    """Return the joints' torques (nv - 6,) in one frame."""
    data.qpos[:], data.qvel[:], data.qacc[:] = qpos, velocity, acceleration
    mujoco.mj_inverse(model, data)
    needed = data.qfrc_inverse.copy()
    bodies = [model.body(spec.body_names[b]).id for b in np.flatnonzero(touching)]
    if bodies:
        rows = []
        for body in bodies:
            place, turn = np.zeros((3, model.nv)), np.zeros((3, model.nv))
            mujoco.mj_jacBody(model, data, place, turn, body)
            rows += [place, turn / _MOMENT_COST]
        jacobian = np.concatenate(rows)
        root = jacobian[:, :6]
        forces = root @ np.linalg.solve(root.T @ root + 1e-6 * np.eye(6), needed[:6])
        needed -= jacobian.T @ forces
    return needed[6:]


def _by_joint(model: Any, spec: CharacterSpec, torques: np.ndarray, touching: np.ndarray) -> Dict[str, float]:
    found = {}
    for joint, body in zip(spec.joint_names, spec.joint_body_ids):
        if touching[body]:
            continue
        body_id = model.body(spec.body_names[body]).id
        start = int(model.body_dofadr[body_id]) - 6
        found[joint] = float(torques[start : start + int(model.body_dofnum[body_id])].max())
    return found
