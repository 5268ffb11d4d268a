"""A scene in a MuJoCo model: its bodies come after the character's, whose indices do not change."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character.editing import add_floor
from amp_train.errors import ConfigError
from amp_train.sim.scene import ObjectState, Scene, SceneObject

ROLLS = 6  # contact dimensions: sliding, spinning and rolling friction


def add_scene(mjcf: Any, scene: Scene) -> None:
    """Add objects and terrain to a character's MjSpec.

    Raises:
        ConfigError: an object with the name of a body of the character.
    """
    import mujoco

    if scene.floor_height:
        for geom in [geom for geom in mjcf.worldbody.geoms if geom.type == mujoco.mjtGeom.mjGEOM_PLANE]:
            mjcf.delete(geom)
        add_floor(mjcf, scene.floor_height)
    for number, box in enumerate(scene.terrain):
        ground = mjcf.worldbody.add_geom(name=f"terrain_{number}", type=mujoco.mjtGeom.mjGEOM_BOX, pos=box.pos)
        ground.size, ground.friction, ground.rgba = list(box.half_size), [1.0, 0.05, 0.05], [0.6, 0.62, 0.66, 1.0]
    for thing in scene.objects:
        if mjcf.body(thing.name) is not None:
            raise ConfigError(f"Object '{thing.name}' has the same name as a body of the character.")
        _add_object(mjcf, thing, mujoco)


def _add_object(mjcf: Any, thing: SceneObject, mujoco: Any) -> None:
    body = mjcf.worldbody.add_body(name=thing.name, pos=thing.pos, quat=[thing.rot[3], *thing.rot[:3]])
    body.mocap = thing.kind == "mocap"
    if thing.kind == "free":
        body.add_freejoint(name=thing.name)
    kind = getattr(mujoco.mjtGeom, "mjGEOM_" + thing.shape.upper())
    geom = body.add_geom(name=thing.name, type=kind, size=[*thing.size, 0.0, 0.0][:3], mass=thing.mass, rgba=thing.rgba)
    geom.contype = geom.conaffinity = int(thing.collides)
    geom.condim = ROLLS if thing.rolling_friction else 3
    # A higher priority: the friction is this geom's, not the larger of two.
    geom.friction, geom.priority = [thing.friction, 0.005, thing.rolling_friction or 1e-4], 1


def set_damping(model: Any, scene: Scene) -> None:
    """Give a compiled model the damping of its objects; MuJoCo integrates it implicitly."""
    for thing in scene.objects:
        if thing.kind == "free" and thing.damping:
            body = model.body(thing.name)
            start = int(model.jnt_dofadr[model.body_jntadr[body.id]])
            damping = thing.damping * np.concatenate(
                (np.full(3, model.body_mass[body.id]), model.body_inertia[body.id])
            )
            model.dof_damping.reshape(model.nv, -1)[start : start + 6, 0] = damping


class MujocoObjects:
    """Reading and writing the objects of a scene in qpos (nq), qvel (nv), mocap_pos and mocap_quat."""

    def __init__(self, model: Any, scene: Scene, device: "torch.device | str" = "cpu") -> None:
        self.scene, self._device = scene, device
        bodies = [model.body(thing.name).id for thing in scene.objects]
        self._free = torch.tensor([k for k, b in enumerate(bodies) if model.body_mocapid[b] < 0], device=device).long()
        self._mocap = torch.tensor(
            [k for k, b in enumerate(bodies) if model.body_mocapid[b] >= 0], device=device
        ).long()
        free_joints = [model.body_jntadr[bodies[int(k)]] for k in self._free]
        qpos = [model.jnt_qposadr[joint] for joint in free_joints]
        qvel = [model.jnt_dofadr[joint] for joint in free_joints]
        self._qpos = torch.tensor(np.array(qpos).reshape(-1, 1) + np.arange(7), device=device).long()
        self._qvel = torch.tensor(np.array(qvel).reshape(-1, 1) + np.arange(6), device=device).long()

    def read(self, arrays: "dict[str, Tensor]", contact_force: Tensor) -> ObjectState:
        """Read N worlds.

        Args:
            arrays: `qpos` (N, nq), `qvel` (N, nv), `mocap_pos` (N, M, 3) and `mocap_quat` (N, M, 4).
            contact_force: (N, K, 3) N.
        """
        num_envs = contact_force.shape[0]
        state = ObjectState.default(self.scene, num_envs, self._device)
        if len(self._free):
            qpos, qvel = arrays["qpos"][:, self._qpos].float(), arrays["qvel"][:, self._qvel].float()
            rot = rotations.wxyz_to_xyzw(qpos[..., 3:])
            state.pos[:, self._free], state.rot[:, self._free] = qpos[..., :3], rot
            state.vel[:, self._free] = qvel[..., :3]
            state.ang_vel[:, self._free] = rotations.quat_rotate(rot, qvel[..., 3:])
        if len(self._mocap):
            state.pos[:, self._mocap] = arrays["mocap_pos"].float()
            state.rot[:, self._mocap] = rotations.wxyz_to_xyzw(arrays["mocap_quat"].float())
        state.contact_force = contact_force
        return state

    def write(self, arrays: "dict[str, Tensor]", chosen: Tensor, state: ObjectState) -> None:
        """Write the worlds `chosen` (N,) bool from N states into the arrays that `read` reads."""
        rows = chosen.view(-1, 1, 1)
        if len(self._free):
            rot = state.rot[:, self._free]
            spin = rotations.quat_rotate_inverse(rot, state.ang_vel[:, self._free])
            qpos = torch.cat((state.pos[:, self._free], rotations.xyzw_to_wxyz(rot)), dim=-1)
            qvel = torch.cat((state.vel[:, self._free], spin), dim=-1)
            for name, columns, values in (("qpos", self._qpos, qpos), ("qvel", self._qvel, qvel)):
                array = arrays[name]
                array[:, columns] = torch.where(rows, values.to(array.dtype), array[:, columns])
        if len(self._mocap):
            quat = rotations.xyzw_to_wxyz(state.rot[:, self._mocap])
            for name, values in (("mocap_pos", state.pos[:, self._mocap]), ("mocap_quat", quat)):
                array = arrays[name]
                array.copy_(torch.where(rows, values.to(array.dtype), array))
