"""Read a `CharacterSpec` from any MJCF humanoid, and write the hinge-triple variant that Isaac Gym's importer needs.

MuJoCo compiles the file, so its defaults, includes and units are MuJoCo's own."""

import math
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, List, NamedTuple, Sequence, Tuple

import numpy as np
import torch

from amp_train import rotations
from amp_train.character.drives import read_drives
from amp_train.character.geometry import ContactGeoms
from amp_train.character.spec import CharacterSpec
from amp_train.errors import CharacterError
from amp_train.paths import ASSETS_DIR

if TYPE_CHECKING:
    from amp_train.config.schema import CharacterConfig


def find_mjcf(name: str) -> Path:
    """Return the path of a user's MJCF file, or of a bundled one."""
    for path in (Path(name).expanduser(), ASSETS_DIR / name):
        if path.is_file():
            return path.resolve()
    bundled = ", ".join(sorted(p.name for p in ASSETS_DIR.glob("*.xml")))
    raise CharacterError(f"Character file '{name}' not found. Give the path of an MJCF file, or one of: {bundled}.")


def load_character(mjcf: str, key_bodies: Sequence[str] = (), contact_bodies: Sequence[str] = ()) -> CharacterSpec:
    """Read a character from an MJCF file; its spherical joints have no limits.

    Args:
        mjcf: path of the file, or the name of a bundled one.
        key_bodies: bodies whose positions are observed.
        contact_bodies: bodies that may touch the ground.

    Raises:
        CharacterError: no such file, broken XML, or a structure that is not one free root with ball or hinge joints.
    """
    spec = _read_file(mjcf).without_ball_ranges()
    return replace(spec, key_body_ids=spec.body_ids(key_bodies), contact_body_ids=spec.body_ids(contact_bodies))


def configured_character(cfg: "CharacterConfig") -> CharacterSpec:
    """Read a character as its YAML says: `CharacterConfig` in config/schema.py.

    Raises:
        CharacterError: as `load_character`; an unknown joint or body, or an invalid value.
    """
    spec = _read_file(cfg.mjcf)
    if cfg.limit_ball_joints:
        spec = spec.with_ball_ranges(cfg.ball_ranges or {})
    else:
        spec = spec.without_ball_ranges()
    for field_name, values in (
        ("dof_stiffness", cfg.stiffness),
        ("dof_damping", cfg.damping),
        ("dof_effort", cfg.torque_limits),
        ("dof_armature", cfg.armature),
        ("action_scale", cfg.action_scale),
        ("default_dof_pos", cfg.default_dof_pos),
    ):
        spec = spec.with_dof_values(field_name, values or {})
    key_body_ids, contact_body_ids = spec.body_ids(cfg.key_bodies), spec.body_ids(cfg.contact_bodies)
    return replace(spec, key_body_ids=key_body_ids, contact_body_ids=contact_body_ids)


def _read_file(mjcf: str) -> CharacterSpec:
    path = find_mjcf(mjcf)
    import mujoco

    try:
        model = mujoco.MjModel.from_xml_path(str(path))
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise CharacterError(f"Character file '{path}' is not valid MJCF: {reason}") from error
    return _read_model(model, path)


class _Joint(NamedTuple):
    """A joint of the character: one of MuJoCo's, or three hinges that form a ball joint.

    Attributes:
        first: MuJoCo's number of the (first) joint.
        name: its name.
        body: MuJoCo's number of the body.
        size: 3 or 1.
        axis: (3,) of a hinge.
        limits: (lower, upper) rad of each dof.
    """

    first: int
    name: str
    body: int
    size: int
    axis: np.ndarray
    limits: List[Tuple[float, float]]


def _read_model(model: Any, path: Path) -> CharacterSpec:
    import mujoco

    _check_root(model, path, mujoco)
    joints = [joint for body in range(2, model.nbody) for joint in _read_joints(model, body, path, mujoco)]
    drives = read_drives(model, path)
    firsts = [joint.first for joint in joints]
    limits = [limit for joint in joints for limit in joint.limits]
    root_pos, root_rot, dof_pos = _default_pose(model, joints)

    def tensor(values: Any) -> torch.Tensor:
        return torch.tensor(np.asarray(values, dtype=np.float64), dtype=torch.float32)

    return CharacterSpec(
        name=model.names[: model.names.index(b"\0")].decode() or path.stem,
        mjcf_path=str(path),
        body_names=tuple(model.body(i).name or f"body_{i}" for i in range(1, model.nbody)),
        parent_ids=tuple(int(p) - 1 for p in model.body_parentid[1:]),
        body_offset=tensor(model.body_pos[1:]),
        body_offset_rot=rotations.wxyz_to_xyzw(tensor(model.body_quat[1:])),
        body_mass=tensor(model.body_mass[1:]),
        joint_names=tuple(joint.name for joint in joints),
        joint_sizes=tuple(joint.size for joint in joints),
        joint_body_ids=tuple(joint.body - 1 for joint in joints),
        joint_axis=tensor([joint.axis for joint in joints]).reshape(-1, 3),
        joint_pos=tensor(model.jnt_pos[firsts]).reshape(-1, 3),
        joint_spring=tensor(drives.spring[firsts]),
        dof_lower=tensor([lower for lower, _ in limits]),
        dof_upper=tensor([upper for _, upper in limits]),
        dof_stiffness=tensor(drives.stiffness),
        dof_damping=tensor(drives.damping),
        dof_effort=tensor(drives.effort),
        dof_armature=tensor(model.dof_armature[6:]),
        action_scale=torch.full((model.nv - 6,), math.nan),
        default_root_pos=tensor(root_pos),
        default_root_rot=rotations.wxyz_to_xyzw(tensor(root_rot)),
        default_dof_pos=dof_pos,
        geoms=_read_geoms(model, mujoco),
    )


def _check_root(model: Any, path: Path, mujoco: Any) -> None:
    free = model.njnt > 0 and model.jnt_type[0] == mujoco.mjtJoint.mjJNT_FREE and model.jnt_bodyid[0] == 1
    if not free or int(np.sum(model.body_parentid[1:] == 0)) != 1:
        raise CharacterError(f"Character '{path}' needs exactly one root body with a free joint.")


def _read_joints(model: Any, body: int, path: Path, mujoco: Any) -> List[_Joint]:
    """Describe the joints of one body: balls and hinges, three hinges about x, y, z being one ball."""
    first, count = int(model.body_jntadr[body]), int(model.body_jntnum[body])
    joints = range(first, first + count)
    kinds = {int(model.jnt_type[joint]) for joint in joints}
    hinge, ball = int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_BALL)
    if not kinds <= {hinge, ball}:
        raise CharacterError(
            f"Body '{model.body(body).name}' of '{path}' may have hinges and ball joints, not slides or free ones."
        )
    for joint in joints:
        if model.jnt_type[joint] == hinge and model.qpos0[model.jnt_qposadr[joint]] != 0.0:
            raise CharacterError(f"Joint '{model.jnt(joint).name}' of '{path}' must have ref=\"0\".")
    is_triple = kinds == {hinge} and count == 3 and np.allclose(model.jnt_axis[first : first + 3], np.eye(3))
    if is_triple and np.allclose(model.jnt_pos[first : first + 3], model.jnt_pos[first]):
        name = _joint_name(model, first)
        name = name[:-2] if name.endswith("_x") else name
        return [_Joint(first, name, body, 3, np.zeros(3), [_limits(model, joint) for joint in joints])]
    found = []
    for joint in joints:
        lower, upper = _limits(model, joint)
        if model.jnt_type[joint] == ball:
            found.append(_Joint(joint, _joint_name(model, joint), body, 3, np.zeros(3), [(-upper, upper)] * 3))
        else:
            axis = model.jnt_axis[joint].copy()
            found.append(_Joint(joint, _joint_name(model, joint), body, 1, axis, [(lower, upper)]))
    return found


def _joint_name(model: Any, joint: int) -> str:
    return model.jnt(joint).name or f"joint_{joint}"


def _limits(model: Any, joint: int) -> Tuple[float, float]:
    if not model.jnt_limited[joint]:
        return -math.pi, math.pi
    lower, upper = model.jnt_range[joint]
    return float(lower), float(upper)


def _default_pose(model: Any, joints: Sequence[_Joint]) -> Tuple[np.ndarray, np.ndarray, torch.Tensor]:
    """Return root position, root rotation wxyz and dof_pos (num_dofs,) of the first keyframe, if there is one."""
    qpos = model.key_qpos[0] if model.nkey else model.qpos0
    parts: List[torch.Tensor] = []
    for joint in joints:
        at = int(model.jnt_qposadr[joint.first])
        values = torch.tensor(qpos[at : at + 4].copy(), dtype=torch.float32)
        if joint.size == 1:
            parts.append(values[:1])
        elif joint.first + 1 < model.njnt and model.jnt_bodyid[joint.first + 1] == joint.body:
            turns = rotations.quat_from_angle_axis(values[:3], torch.eye(3))
            parts.append(rotations.quat_to_exp_map(rotations.quat_mul(rotations.quat_mul(*turns[:2]), turns[2])))
        else:
            parts.append(rotations.quat_to_exp_map(rotations.wxyz_to_xyzw(values)))
    return qpos[:3], qpos[3:7], torch.cat(parts) if parts else torch.zeros(0)


def _read_geoms(model: Any, mujoco: Any) -> ContactGeoms:
    """Describe the colliding geoms; kinds other than sphere, capsule and box become their bounding box."""
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


def hinge_triple_mjcf(spec: CharacterSpec) -> str:
    """Write the character with every ball joint as three hinges about x, y, z, springs on the joints and motors:
    the form that Isaac Gym's MJCF importer reads. Isaac Gym turns such a triple back into one spherical joint,
    whose dof_pos is an exponential map; MuJoCo would read it as Euler angles, so this file is for Isaac Gym only.
    """
    root = ElementTree.parse(spec.mjcf_path).getroot()
    defaults = root.find("default")
    for element in [] if defaults is None else list(defaults.iter("default")):
        for child in [c for c in element if c.tag in ("joint", "position", "motor", "general")]:
            element.remove(child)
    compiler = root.find("compiler")
    in_radians = compiler is not None and compiler.get("angle") == "radian"
    angle_unit = 1.0 if in_radians else math.degrees(1.0)
    bodies = list(root.iter("body"))
    for body_id in sorted(set(spec.joint_body_ids)):
        body = bodies[body_id]
        old = body.findall("joint")
        at = list(body).index(old[0])
        for joint in old:
            body.remove(joint)
        joint_ids = [j for j, moved in enumerate(spec.joint_body_ids) if moved == body_id]
        hinges = [hinge for j in joint_ids for hinge in _hinges(spec, j, spec.joint_names[j], angle_unit)]
        body[at:at] = hinges
    old_actuator = root.find("actuator")
    if old_actuator is not None:
        root.remove(old_actuator)
    actuator = ElementTree.SubElement(root, "actuator")
    for hinge_element in [j for j in root.iter("joint") if j.get("stiffness")]:
        name, effort = str(hinge_element.get("name")), hinge_element.attrib.pop("effort")
        ElementTree.SubElement(actuator, "motor", {"name": name, "joint": name, "gear": effort})
    return ElementTree.tostring(root, encoding="unicode")


def _hinges(spec: CharacterSpec, joint_id: int, name: str, angle_unit: float) -> List[ElementTree.Element]:
    size, start = spec.joint_sizes[joint_id], spec.dof_offsets[joint_id]
    axes = torch.eye(3) if size == 3 else spec.joint_axis[joint_id : joint_id + 1]
    hinges = []
    for k in range(size):
        dof = start + k
        low, high = (angle_unit * float(limit[dof]) for limit in (spec.dof_lower, spec.dof_upper))
        hinges.append(
            ElementTree.Element(
                "joint",
                {
                    "name": name + ("_" + "xyz"[k] if size == 3 else ""),
                    "type": "hinge",
                    "pos": " ".join(f"{float(p):.9g}" for p in spec.joint_pos[joint_id]),
                    "axis": " ".join(f"{float(a):g}" for a in axes[k]),
                    "range": f"{low:.6g} {high:.6g}",
                    "limited": "true",
                    "stiffness": f"{float(spec.dof_stiffness[dof]):g}",
                    "damping": f"{float(spec.dof_damping[dof]):g}",
                    "armature": f"{float(spec.dof_armature[dof]):g}",
                    "effort": f"{float(spec.dof_effort[dof]):g}",
                },
            )
        )
    return hinges
