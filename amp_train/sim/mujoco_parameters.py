"""The fields of a MuJoCo model behind `Simulator.parameters`, with values per world."""

from typing import Any, Callable, Dict, Sequence, Union

import numpy as np
import torch
from torch import Tensor

from amp_train.character import CharacterSpec

# Returns a writable model field of all worlds, with the world as first dimension.
MujocoFields = Callable[[str], Tensor]


class MujocoParameters:
    """The places of a character's parameters in its model (num_dofs = nv - 6, num_bodies = nbody - 1).

    Attributes:
        nominal: by name, the values of the model, float32, on `device`.
    """

    def __init__(self, model: Any, spec: CharacterSpec, device: Union[str, torch.device] = "cpu") -> None:
        import mujoco

        # The character's bodies and dofs come first in a model; objects of a scene follow.
        num_bodies, num_dofs = spec.num_bodies, spec.num_dofs
        self._bodies, self._dofs = slice(1, 1 + num_bodies), slice(6, 6 + num_dofs)
        colliding = (model.geom_contype > 0) | (model.geom_conaffinity > 0)
        of_character = (model.geom_bodyid > 0) & (model.geom_bodyid <= num_bodies)
        geoms, floor = (np.flatnonzero(colliding & of_body) for of_body in (of_character, model.geom_bodyid == 0))
        drives = np.flatnonzero(model.actuator_biastype == mujoco.mjtBias.mjBIAS_AFFINE)
        drive_dofs = _driven_dofs(model, mujoco)[drives]
        hinges = np.flatnonzero((model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE) & (model.jnt_limited > 0))
        hinge_dofs = model.jnt_dofadr[hinges] - 6
        self._geoms, self._floor, self._drives, self._drive_dofs, self._hinges, self._hinge_dofs = (
            torch.from_numpy(np.asarray(ids, dtype=np.int64)).to(device)
            for ids in (geoms, floor, drives, drive_dofs, hinges, hinge_dofs)
        )
        stiffness, limits = np.zeros(num_dofs), np.tile([-np.pi, np.pi], (num_dofs, 1))
        damping = np.zeros(num_dofs)
        stiffness[drive_dofs] = model.actuator_gainprm[drives, 0]
        damping[drive_dofs] = -model.actuator_biasprm[drives, 2]
        limits[hinge_dofs] = model.jnt_range[hinges]
        # MuJoCo takes the larger coefficient of the two geoms in a contact.
        floor_friction = model.geom_friction[floor, 0].max(initial=0.0)
        nominal = {
            "gravity": model.opt.gravity,
            "mass": model.body_mass[self._bodies],
            "friction": np.maximum(model.geom_friction[geoms, 0], floor_friction),
            "stiffness": stiffness,
            "damping": damping,
            "lower": limits[:, 0],
            "upper": limits[:, 1],
        }
        self.nominal = {name: torch.from_numpy(np.array(v, dtype=np.float32)).to(device) for name, v in nominal.items()}
        self._dt_s = float(model.opt.timestep)
        # The part of the armature that is not the drives' damping (compile_model).
        self._armature = torch.from_numpy(model.dof_armature[self._dofs] - self._dt_s * damping).to(device)
        self._inertia = torch.from_numpy(np.array(model.body_inertia[self._bodies])).to(device)

    def write(self, fields: MujocoFields, chosen: Tensor, values: Dict[str, Tensor]) -> None:
        """Write the values (N, size), by name, of the worlds `chosen` (N,) bool. Nothing waits for a GPU."""
        for name, value in values.items():
            if name == "gravity":
                _put(fields("opt.gravity"), chosen, value)
            elif name == "mass":
                self._write_mass(fields, chosen, value)
            elif name == "friction":
                # MuJoCo takes the larger of the floor's and the geom's: the floor's becomes 0.
                sliding = fields("geom_friction")[..., 0]
                _put(sliding, chosen, torch.zeros_like(value[:, :1]), self._floor)
                _put(sliding, chosen, value, self._geoms)
            elif name == "stiffness":
                of_drives = value[:, self._drive_dofs]
                _put(fields("actuator_gainprm")[..., 0], chosen, of_drives, self._drives)
                _put(fields("actuator_biasprm")[..., 1], chosen, -of_drives, self._drives)
            elif name == "damping":
                _put(fields("actuator_biasprm")[..., 2], chosen, -value[:, self._drive_dofs], self._drives)
                _put(fields("dof_armature")[:, self._dofs], chosen, self._armature + self._dt_s * value)
            else:
                side = fields("jnt_range")[..., 0 if name == "lower" else 1]
                _put(side, chosen, value[:, self._hinge_dofs], self._hinges)

    def _write_mass(self, fields: MujocoFields, chosen: Tensor, mass: Tensor) -> None:
        nominal = self.nominal["mass"]
        ratio = torch.where(nominal > 0, mass / nominal, torch.ones_like(mass))
        _put(fields("body_mass")[:, self._bodies], chosen, mass)
        _put(fields("body_inertia")[:, self._bodies], chosen, self._inertia * ratio.unsqueeze(-1))


# The fields that each parameter is written to.
FIELDS: Dict[str, Sequence[str]] = {
    "gravity": ("opt.gravity",),
    "mass": ("body_mass", "body_inertia"),
    "friction": ("geom_friction",),
    "stiffness": ("actuator_gainprm", "actuator_biasprm"),
    "damping": ("actuator_biasprm", "dof_armature"),
    "lower": ("jnt_range",),
    "upper": ("jnt_range",),
}


def _put(field: Tensor, chosen: Tensor, value: Tensor, columns: "Tensor | slice" = slice(None)) -> None:
    """Write rows of `value` into columns of a field (N, n, ...), for the worlds `chosen` (N,) bool."""
    rows = chosen.view((-1,) + (1,) * (field.dim() - 1))
    field[:, columns] = torch.where(rows, value.to(field.dtype), field[:, columns])


def _driven_dofs(model: Any, mujoco: Any) -> np.ndarray:
    """Return the dof after the root's six that each actuator drives; at a ball joint its gear says which."""
    joints = model.actuator_trnid[:, 0]
    ball = model.jnt_type[joints] == mujoco.mjtJoint.mjJNT_BALL
    axis = np.abs(model.actuator_gear[:, :3]).argmax(-1)
    return model.jnt_dofadr[joints] - 6 + np.where(ball, axis, 0)
