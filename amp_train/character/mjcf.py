"""Read a `CharacterSpec` from any MJCF humanoid, and write the hinge-triple variant that Isaac Gym's importer needs.

MuJoCo compiles the file, so its defaults, includes and units are MuJoCo's own."""

import math
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np
import torch

from amp_train import rotations
from amp_train.character.geometry import ContactGeoms
from amp_train.character.spec import CharacterSpec
from amp_train.errors import CharacterError
from amp_train.paths import ASSETS_DIR


def find_mjcf(name: str) -> Path:
    """Return the path of a user's MJCF file, or of a bundled one."""
    for path in (Path(name).expanduser(), ASSETS_DIR / name):
        if path.is_file():
            return path.resolve()
    bundled = ", ".join(sorted(p.name for p in ASSETS_DIR.glob("*.xml")))
    raise CharacterError(
        "Character file '{}' not found. Give the path of an MJCF file, or one of: {}.".format(name, bundled)
    )


def load_character(mjcf: str, key_bodies: Sequence[str] = (), contact_bodies: Sequence[str] = ()) -> CharacterSpec:
    """Read a character from an MJCF file.

    Args:
        mjcf: path of the file, or the name of a bundled one.
        key_bodies: bodies whose positions are observed.
        contact_bodies: bodies that may touch the ground.

    Raises:
        CharacterError: no such file, broken XML, or a structure that is not one free root with ball or hinge joints.
    """
    path = find_mjcf(mjcf)
    import mujoco

    try:
        model = mujoco.MjModel.from_xml_path(str(path))
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise CharacterError("Character file '{}' is not valid MJCF: {}".format(path, reason)) from error
    spec = _read_model(model, path)
    return replace(spec, key_body_ids=spec.body_ids(key_bodies), contact_body_ids=spec.body_ids(contact_bodies))


def _read_model(model: Any, path: Path) -> CharacterSpec:
    import mujoco

    _check_root(model, path, mujoco)
    joints = [_read_joint(model, body, path, mujoco) for body in range(2, model.nbody) if model.body_jntnum[body] > 0]
    gains = _actuation(model, mujoco)
    dof_ids = [d - 6 for joint in joints for d in joint["dofs"]]

    def per_dof(values: Any) -> torch.Tensor:
        return torch.tensor(np.asarray(values, dtype=np.float64), dtype=torch.float32)

    return CharacterSpec(
        name=model.names[: model.names.index(b"\0")].decode() or path.stem,
        mjcf_path=str(path),
        body_names=tuple(model.body(i).name for i in range(1, model.nbody)),
        parent_ids=tuple(int(p) - 1 for p in model.body_parentid[1:]),
        body_offset=per_dof(model.body_pos[1:]),
        body_offset_rot=rotations.wxyz_to_xyzw(per_dof(model.body_quat[1:])),
        body_mass=per_dof(model.body_mass[1:]),
        joint_names=tuple(joint["name"] for joint in joints),
        joint_sizes=tuple(len(joint["dofs"]) for joint in joints),
        joint_body_ids=tuple(joint["body"] for joint in joints),
        joint_axis=per_dof([joint["axis"] for joint in joints]).reshape(-1, 3),
        dof_lower=per_dof([lo for joint in joints for lo, _ in joint["range"]]),
        dof_upper=per_dof([hi for joint in joints for _, hi in joint["range"]]),
        dof_stiffness=per_dof(gains["stiffness"][dof_ids]),
        dof_damping=per_dof(model.dof_damping.reshape(model.nv, -1)[6:, 0][dof_ids]),
        dof_effort=per_dof(gains["effort"][dof_ids]),
        dof_armature=per_dof(model.dof_armature[6:][dof_ids]),
        geoms=_read_geoms(model, mujoco),
    )


def _check_root(model: Any, path: Path, mujoco: Any) -> None:
    free = model.njnt > 0 and model.jnt_type[0] == mujoco.mjtJoint.mjJNT_FREE and model.jnt_bodyid[0] == 1
    if not free or int(np.sum(model.body_parentid[1:] == 0)) != 1:
        raise CharacterError("Character '{}' needs exactly one root body with a free joint.".format(path))


def _read_joint(model: Any, body: int, path: Path, mujoco: Any) -> Dict[str, Any]:
    """Describe the joint of one body: a ball, a hinge, or three hinges about x, y, z that stand for a ball."""
    first, count = int(model.body_jntadr[body]), int(model.body_jntnum[body])
    kinds = [int(model.jnt_type[first + k]) for k in range(count)]
    names = [model.jnt(first + k).name for k in range(count)]
    axes = model.jnt_axis[first : first + count].copy()
    if np.any(model.jnt_pos[first : first + count] != 0):
        raise CharacterError("Joint '{}' of '{}' must lie at its body's origin (pos=\"0 0 0\").".format(names[0], path))
    start = int(model.jnt_dofadr[first])
    common = {"body": body - 1, "name": names[0]}
    if kinds == [int(mujoco.mjtJoint.mjJNT_BALL)]:
        return dict(common, dofs=range(start, start + 3), axis=np.zeros(3), range=[(-math.pi, math.pi)] * 3)
    if kinds == [int(mujoco.mjtJoint.mjJNT_HINGE)]:
        return dict(common, dofs=range(start, start + 1), axis=axes[0], range=[_hinge_range(model, first)])
    if kinds == [int(mujoco.mjtJoint.mjJNT_HINGE)] * 3 and np.allclose(axes, np.eye(3)):
        name = names[0][:-2] if names[0].endswith("_x") else names[0]
        ranges = [_hinge_range(model, first + k) for k in range(3)]
        return dict(body=body - 1, name=name, dofs=range(start, start + 3), axis=np.zeros(3), range=ranges)
    raise CharacterError(
        "Body '{}' of '{}' must have one ball joint, one hinge, or three hinges about x, y, z; it has: {}.".format(
            model.body(body).name, path, ", ".join(names)
        )
    )


def _hinge_range(model: Any, joint: int) -> Tuple[float, float]:
    if not model.jnt_limited[joint]:
        return -math.pi, math.pi
    lower, upper = model.jnt_range[joint]
    return float(lower), float(upper)


def _read_geoms(model: Any, mujoco: Any) -> ContactGeoms:
    """Describe the colliding geoms; a kind other than sphere, capsule and box by its bounding box."""
    geoms = np.flatnonzero((model.geom_bodyid > 0) & ((model.geom_contype > 0) | (model.geom_conaffinity > 0)))
    pos, half_size, radius = model.geom_pos[geoms].copy(), np.zeros((len(geoms), 3)), np.zeros(len(geoms))
    for k, geom in enumerate(geoms):
        kind, size = model.geom_type[geom], model.geom_size[geom]
        if kind == mujoco.mjtGeom.mjGEOM_SPHERE:
            radius[k] = size[0]
        elif kind == mujoco.mjtGeom.mjGEOM_CAPSULE:
            radius[k], half_size[k, 2] = size[0], size[1]
        else:
            centre = np.zeros(3)
            mujoco.mju_rotVecQuat(centre, model.geom_aabb[geom, :3], model.geom_quat[geom])
            pos[k] += centre
            half_size[k] = model.geom_aabb[geom, 3:]

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float32)

    rot = rotations.wxyz_to_xyzw(tensor(model.geom_quat[geoms]))
    body_ids = torch.tensor(model.geom_bodyid[geoms] - 1).long()
    return ContactGeoms(body_ids, tensor(pos), rot, tensor(half_size), tensor(radius))


def _actuation(model: Any, mujoco: Any) -> Dict[str, np.ndarray]:
    """Return PD stiffness and torque limit per non-root dof, from position actuators or from motors and joint
    springs."""
    stiffness, effort = np.zeros(model.nv - 6), np.full(model.nv - 6, np.inf)
    for joint in range(1, model.njnt):
        size = 3 if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_BALL else 1
        start = int(model.jnt_dofadr[joint]) - 6
        stiffness[start : start + size] = model.jnt_stiffness.reshape(model.njnt, -1)[joint, 0]
    for actuator in range(model.nu):
        joint = int(model.actuator_trnid[actuator, 0])
        gear = model.actuator_gear[actuator]
        ball = model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_BALL
        dof = int(model.jnt_dofadr[joint]) - 6 + (int(np.argmax(np.abs(gear[:3]))) if ball else 0)
        if model.actuator_biastype[actuator] == mujoco.mjtBias.mjBIAS_AFFINE:
            stiffness[dof] = model.actuator_gainprm[actuator, 0]
            limited = model.actuator_forcelimited[actuator]
            effort[dof] = model.actuator_forcerange[actuator, 1] if limited else np.inf
        else:
            effort[dof] = abs(gear[0])
    return {"stiffness": stiffness, "effort": effort}


def hinge_triple_mjcf(spec: CharacterSpec) -> str:
    """Write the character with every ball joint as three hinges about x, y, z, springs on the joints and motors:
    the form that Isaac Gym's MJCF importer reads. Isaac Gym turns such a triple back into one spherical joint,
    whose dof_pos is an exponential map; MuJoCo would read it as Euler angles, so this file is for Isaac Gym only.
    """
    root = ElementTree.parse(spec.mjcf_path).getroot()
    defaults = root.find("default")
    for element in [] if defaults is None else list(defaults.iter("default")):
        for child in [c for c in element if c.tag in ("joint", "position")]:
            element.remove(child)
    for joint_id, joint in enumerate(spec.joint_names):
        body = next(b for b in root.iter("body") if b.get("name") == spec.body_names[spec.joint_body_ids[joint_id]])
        old = next(j for j in body.findall("joint"))
        at = list(body).index(old)
        body.remove(old)
        for hinge in reversed(_hinges(spec, joint_id, joint)):
            body.insert(at, hinge)
    old_actuator = root.find("actuator")
    if old_actuator is not None:
        root.remove(old_actuator)
    actuator = ElementTree.SubElement(root, "actuator")
    for hinge_element in [j for j in root.iter("joint") if j.get("stiffness")]:
        name, effort = str(hinge_element.get("name")), hinge_element.attrib.pop("effort")
        ElementTree.SubElement(actuator, "motor", {"name": name, "joint": name, "gear": effort})
    return ElementTree.tostring(root, encoding="unicode")


def _hinges(spec: CharacterSpec, joint_id: int, name: str) -> List[ElementTree.Element]:
    size, start = spec.joint_sizes[joint_id], spec.dof_offsets[joint_id]
    axes = torch.eye(3) if size == 3 else spec.joint_axis[joint_id : joint_id + 1]
    hinges = []
    for k in range(size):
        dof = start + k
        low, high = math.degrees(float(spec.dof_lower[dof])), math.degrees(float(spec.dof_upper[dof]))
        hinges.append(
            ElementTree.Element(
                "joint",
                {
                    "name": name + ("_" + "xyz"[k] if size == 3 else ""),
                    "type": "hinge",
                    "axis": " ".join("{:g}".format(float(a)) for a in axes[k]),
                    "range": "{:.6g} {:.6g}".format(low, high),
                    "limited": "true",
                    "stiffness": "{:g}".format(float(spec.dof_stiffness[dof])),
                    "damping": "{:g}".format(float(spec.dof_damping[dof])),
                    "armature": "{:g}".format(float(spec.dof_armature[dof])),
                    "effort": "{:g}".format(float(spec.dof_effort[dof])),
                },
            )
        )
    return hinges
