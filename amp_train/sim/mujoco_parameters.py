"""The fields of a MuJoCo model that hold what `Simulator.parameters` names, for worlds with values of their own."""

from typing import Any, Callable, Dict

import numpy as np
import torch
from torch import Tensor

MujocoFields = Callable[[str], Any]


class MujocoParameters:
    """Where the parameters of one character are in its model (num_dofs = nv - 6, num_bodies = nbody - 1).

    Attributes:
        nominal: by name, the values of the model, float32.
    """

    def __init__(self, model: Any) -> None:
        import mujoco

        self._inertia = model.body_inertia[1:].copy()
        colliding = (model.geom_contype > 0) | (model.geom_conaffinity > 0)
        self._geoms = np.flatnonzero(colliding & (model.geom_bodyid > 0))
        self._floor = np.flatnonzero(colliding & (model.geom_bodyid == 0))
        self._drives = np.flatnonzero(model.actuator_biastype == mujoco.mjtBias.mjBIAS_AFFINE)
        self._drive_dofs = _driven_dofs(model, mujoco)[self._drives]
        self._hinges = np.flatnonzero((model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE) & (model.jnt_limited > 0))
        self._hinge_dofs = model.jnt_dofadr[self._hinges] - 6
        self.nominal: Dict[str, Tensor] = {
            name: torch.from_numpy(np.array(value, dtype=np.float32)) for name, value in self._read(model).items()
        }

    def _read(self, model: Any) -> Dict[str, np.ndarray]:
        num_dofs = model.nv - 6
        stiffness, lower, upper = np.zeros(num_dofs), np.full(num_dofs, -np.pi), np.full(num_dofs, np.pi)
        stiffness[self._drive_dofs] = model.actuator_gainprm[self._drives, 0]
        lower[self._hinge_dofs], upper[self._hinge_dofs] = model.jnt_range[self._hinges].T
        # MuJoCo takes the larger coefficient of the two geoms in a contact.
        floor_friction = model.geom_friction[self._floor, 0].max(initial=0.0)
        return {
            "gravity": model.opt.gravity,
            "mass": model.body_mass[1:],
            "friction": np.maximum(model.geom_friction[self._geoms, 0], floor_friction),
            "stiffness": stiffness,
            "damping": model.dof_damping.reshape(model.nv, -1)[6:, 0],
            "lower": lower,
            "upper": upper,
        }

    def write(self, fields: MujocoFields, worlds: np.ndarray, values: Dict[str, np.ndarray]) -> None:
        """Write the values of some worlds.

        Args:
            fields: gives a model field of all worlds, with the world in front, to write into.
            worlds: (K,) which.
            values: by name, (K, size).
        """
        rows = worlds[:, None]
        for name, value in values.items():
            if name == "gravity":
                fields("opt.gravity")[worlds] = value
            elif name == "mass":
                self._write_mass(fields, worlds, value)
            elif name == "friction":
                # Of the floor's and the geom's, MuJoCo takes the larger: let it be the geom's.
                fields("geom_friction")[rows, self._floor, 0] = 0.0
                fields("geom_friction")[rows, self._geoms, 0] = value
            elif name == "stiffness":
                fields("actuator_gainprm")[rows, self._drives, 0] = value[:, self._drive_dofs]
                fields("actuator_biasprm")[rows, self._drives, 1] = -value[:, self._drive_dofs]
            elif name == "damping":
                damping = fields("dof_damping")
                damping.reshape(len(damping), damping.shape[1], -1)[worlds, 6:, 0] = value
            else:
                fields("jnt_range")[rows, self._hinges, 0 if name == "lower" else 1] = value[:, self._hinge_dofs]

    def _write_mass(self, fields: MujocoFields, worlds: np.ndarray, mass: np.ndarray) -> None:
        nominal = self.nominal["mass"].numpy()
        ratio = np.divide(mass, nominal, out=np.ones_like(mass), where=nominal > 0)
        fields("body_mass")[worlds, 1:] = mass
        fields("body_inertia")[worlds, 1:] = self._inertia * ratio[..., None]


def _driven_dofs(model: Any, mujoco: Any) -> np.ndarray:
    """Return the dof after the root's six that each actuator drives; at a ball joint its gear says which."""
    joints = model.actuator_trnid[:, 0]
    ball = model.jnt_type[joints] == mujoco.mjtJoint.mjJNT_BALL
    axis = np.abs(model.actuator_gear[:, :3]).argmax(-1)
    return model.jnt_dofadr[joints] - 6 + np.where(ball, axis, 0)
