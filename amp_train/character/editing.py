"""A character's MJCF as MuJoCo's editable `MjSpec`, with bodies and joints as `CharacterSpec` describes them."""

from typing import Any, Iterator, List

import numpy as np

from amp_train.character.spec import CharacterSpec
from amp_train.errors import CharacterError


def editable_mjcf(spec: CharacterSpec) -> Any:
    """Read the file again, to be compiled with additions.

    Bodies and joints have the spec's names, three hinges that form a spherical joint are a ball joint, there is a
    floor, and actuators, sensors and keyframes are left out: they have been read already, or are not needed.

    Raises:
        CharacterError: the file has changed since the character was read.
    """
    import mujoco

    mjcf = mujoco.MjSpec.from_file(spec.mjcf_path)
    for element in [*mjcf.sensors, *mjcf.keys, *mjcf.actuators]:
        mjcf.delete(element)
    bodies = list(_depth_first(mjcf.worldbody))[1:]
    if len(bodies) != spec.num_bodies:
        raise CharacterError(f"Character '{spec.mjcf_path}' has {len(bodies)} bodies, expected {spec.num_bodies}.")
    for body_id, (body, name) in enumerate(zip(bodies, spec.body_names)):
        body.name = name
        _name_joints(mjcf, body, spec, [j for j, moved in enumerate(spec.joint_body_ids) if moved == body_id])
    if not any(geom.contype or geom.conaffinity for geom in mjcf.worldbody.geoms):
        add_floor(mjcf)
    return mjcf


def add_floor(mjcf: Any, height: float = 0.0) -> None:
    """Add the plane z = height (m), friction 1, which everything touches."""
    import mujoco

    every_bit = 2**31 - 1
    floor = mjcf.worldbody.add_geom(name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0.0, 0.0, 0.05])
    floor.pos = [0.0, 0.0, height]
    floor.contype = floor.conaffinity = every_bit
    floor.friction = [1.0, 0.05, 0.05]


def _depth_first(body: Any) -> Iterator[Any]:
    yield body
    for child in body.bodies:
        yield from _depth_first(child)


def _name_joints(mjcf: Any, body: Any, spec: CharacterSpec, joint_ids: List[int]) -> None:
    import mujoco

    hinges = [joint for joint in body.joints if joint.type == mujoco.mjtJoint.mjJNT_HINGE]
    if len(joint_ids) == 1 and spec.joint_sizes[joint_ids[0]] == 3 and len(hinges) == 3:
        pos = np.array(hinges[0].pos)
        for hinge in hinges:
            mjcf.delete(hinge)
        body.add_joint(type=mujoco.mjtJoint.mjJNT_BALL, pos=pos)
    joints = [joint for joint in body.joints if joint.type != mujoco.mjtJoint.mjJNT_FREE]
    for joint, joint_id in zip(joints, joint_ids):
        joint.name = spec.joint_names[joint_id]
