"""MuJoCo behind the stand-in: a hinge-triple asset becomes a model with ball joints and position actuators.

The state between two calls is float32 in Isaac Gym's layout (exponential maps, root angular velocity in the world
frame), and nothing else is remembered.
"""

import xml.etree.ElementTree as ElementTree

import mujoco
import numpy as np

DOF_DTYPE = np.dtype(
    [("hasLimits", "?"), ("lower", "<f4"), ("upper", "<f4"), ("driveMode", "<i4"), ("velocity", "<f4")]
    + [(name, "<f4") for name in ("effort", "stiffness", "damping", "friction", "armature")]
)
BROKEN_SPEED = 1e8  # beyond it a world is not stepped but becomes NaN


class Asset:
    """An MJCF file as Isaac Gym's importer reads it: three hinges about x, y, z on a body are one spherical joint."""

    def __init__(self, path):
        self.root = ElementTree.parse(path).getroot()
        for tag in ("light", "camera", "default", "asset"):
            if self.root.find(".//" + tag) is not None:
                raise ValueError(f"this stand-in's importer does not know <{tag}>")
        bodies = list(self.root.find("worldbody").iter("body"))
        self.body_names = [body.get("name") for body in bodies]
        self.joints = [(body, body.findall("joint")) for body in bodies if body.findall("joint")]
        self.dof_names = [joint.get("name") for _, joints in self.joints for joint in joints]
        self.dofs = np.zeros(len(self.dof_names), dtype=DOF_DTYPE)
        for row, joint in zip(self.dofs, [joint for _, joints in self.joints for joint in joints]):
            row["hasLimits"] = True
            row["lower"], row["upper"] = np.radians([float(text) for text in joint.get("range").split()])


def compile_model(asset, dofs, pose, dt, gravity, floor_friction):
    """Compile a model for one character on a plane.

    Args:
        dofs: a row of DOF_DTYPE for each dof.
        pose: (3,) m, where the root begins.
        dt: s.
        gravity: (3,) m/s2.
        floor_friction: of the plane.
    """
    root = ElementTree.fromstring(ElementTree.tostring(asset.root))
    for tag in ("actuator", "option"):
        for element in root.findall(tag):
            root.remove(element)
    option = ElementTree.SubElement(root, "option", timestep=repr(dt), integrator="Euler")
    option.set("gravity", " ".join(repr(float(g)) for g in gravity))
    ElementTree.SubElement(option, "flag", warmstart="disable")
    floor = ElementTree.SubElement(root.find("worldbody"), "geom", type="plane", size="0 0 1")
    floor.set("friction", f"{floor_friction} 0.05 0.05")
    actuator = ElementTree.SubElement(root, "actuator")
    rows = iter(dofs)
    for body in root.find("worldbody").iter("body"):
        joints = body.findall("joint")
        if joints:
            _drive(body, joints, [next(rows) for _ in joints], actuator, dt)
    root.find("worldbody/body").set("pos", " ".join(repr(float(p)) for p in pose))
    return mujoco.MjModel.from_xml_string(ElementTree.tostring(root, encoding="unicode"))


def _drive(body, joints, rows, actuator, dt):
    """Drive a body's hinges, or the one joint in the place of three."""
    is_ball = len(joints) == 3
    for joint, its_rows in [(joints[0], rows)] if is_ball else zip(joints, ([row] for row in rows)):
        _drive_joint(body, joint, joints, its_rows, actuator, dt)


def _drive_joint(body, joint, joints, rows, actuator, dt):
    is_ball = len(joints) == 3
    if is_ball:
        assert [j.get("axis") for j in joints] == ["1 0 0", "0 1 0", "0 0 1"], "no spherical joint"
        assert len({(float(row["damping"]), float(row["armature"])) for row in rows}) == 1
        for other in joints[1:]:
            body.remove(other)
        joint.attrib = {"name": joint.get("name"), "type": "ball"}
    joint.attrib.pop("stiffness", None)
    # PhysX limits the whole drive, and integrates its damping implicitly.
    damping = float(rows[0]["damping"])
    joint.attrib.pop("damping", None)
    joint.set("armature", repr(float(rows[0]["armature"]) + dt * damping))
    for k, row in enumerate(rows):
        if row["driveMode"] != 1:
            raise NotImplementedError("only position drives")
        drive = ElementTree.SubElement(actuator, "position", joint=joint.get("name"))
        drive.set("kp", repr(float(row["stiffness"])))
        drive.set("kv", repr(damping))
        drive.set("forcerange", f"{-row['effort']} {row['effort']}")
        if is_ball and row["hasLimits"]:
            # PhysX stops the joint there; here its target is.
            drive.set("ctrlrange", f"{row['lower']} {row['upper']}")
            drive.set("ctrllimited", "true")
        drive.set("gear", " ".join("1" if i == k else "0" for i in range(3)) if is_ball else "1")


class Physics:
    """Steps worlds one after another."""

    def __init__(self, model, num_dofs):
        self.model, self.data = model, mujoco.MjData(model)
        self.balls = [j for j in range(model.njnt) if model.jnt_type[j] == mujoco.mjtJoint.mjJNT_BALL]
        hinges = [j for j in range(model.njnt) if model.jnt_type[j] == mujoco.mjtJoint.mjJNT_HINGE]
        self.hinge_qpos, self.hinge_dofs = model.jnt_qposadr[hinges], model.jnt_dofadr[hinges] - 6
        assert num_dofs == model.nv - 6

    def write(self, root, dofs):
        """Put a root row (13,) and dofs (num_dofs, 2) into MuJoCo."""
        qpos, qvel = self.data.qpos, self.data.qvel
        qpos[:3], qpos[3:7] = root[:3], root[[6, 3, 4, 5]]
        mujoco.mju_normalize4(qpos[3:7])
        qvel[:3] = root[7:10]
        _rotate(qvel[3:6], root[10:13], qpos[3:7], inverse=True)
        qvel[6:] = dofs[:, 1]
        qpos[self.hinge_qpos] = dofs[self.hinge_dofs, 0]
        for joint in self.balls:
            start, at = self.model.jnt_dofadr[joint] - 6, self.model.jnt_qposadr[joint]
            axis = dofs[start : start + 3, 0].astype(np.float64)
            angle = mujoco.mju_normalize3(axis)
            mujoco.mju_axisAngle2Quat(qpos[at : at + 4], axis, angle)

    def read(self, root, dofs):
        """Take a root row (13,) and dofs (num_dofs, 2) from MuJoCo."""
        qpos, qvel = self.data.qpos, self.data.qvel
        root[:3], root[3:7], root[7:10] = qpos[:3], qpos[[4, 5, 6, 3]], qvel[:3]
        ang_vel, exp_map = np.zeros(3), np.zeros(3)
        _rotate(ang_vel, qvel[3:6], qpos[3:7])
        root[10:13], dofs[:, 1] = ang_vel, qvel[6:]
        dofs[self.hinge_dofs, 0] = qpos[self.hinge_qpos]
        for joint in self.balls:
            start, at = self.model.jnt_dofadr[joint] - 6, self.model.jnt_qposadr[joint]
            mujoco.mju_quat2Vel(exp_map, qpos[at : at + 4], 1.0)
            dofs[start : start + 3, 0] = exp_map

    def step(self, root, dofs, target, bodies, forces, substeps):
        """Advance one world in place.

        Args:
            root: (13,)
            dofs: (num_dofs, 2)
            target: (num_dofs,)
            bodies: (num_bodies, 13)
            forces: (num_bodies, 3), of the last substep.
            substeps: how many.
        """
        if not np.isfinite(root).all() or not np.abs(dofs).max() < BROKEN_SPEED:
            for array in (root, dofs, bodies, forces):
                array[:] = np.nan
            return
        self.write(root, dofs)
        self.data.ctrl[:] = target
        for _ in range(substeps):
            mujoco.mj_step(self.model, self.data)
        self.read(root, dofs)
        self._net_forces(forces)
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_comPos(self.model, self.data)
        mujoco.mj_comVel(self.model, self.data)
        bodies[:, :3], bodies[:, 3:7] = self.data.xpos[1:], self.data.xquat[1:][:, [1, 2, 3, 0]]
        velocity = np.zeros(6)
        for body in range(1, self.model.nbody):
            mujoco.mj_objectVelocity(self.model, self.data, mujoco.mjtObj.mjOBJ_XBODY, body, velocity, 0)
            bodies[body - 1, 7:10], bodies[body - 1, 10:13] = velocity[3:], velocity[:3]

    def _net_forces(self, forces):
        net, wrench = np.zeros((self.model.nbody, 3)), np.zeros(6)
        for k in range(self.data.ncon):
            contact = self.data.contact[k]
            mujoco.mj_contactForce(self.model, self.data, k, wrench)
            force = contact.frame.reshape(3, 3).T @ wrench[:3]
            net[self.model.geom_bodyid[contact.geom2]] += force
            net[self.model.geom_bodyid[contact.geom1]] -= force
        forces[:] = net[1:]


def _rotate(result, vector, quat, inverse=False):
    turn = quat.copy()
    if inverse:
        mujoco.mju_negQuat(turn, quat)
    mujoco.mju_rotVecQuat(result, np.asarray(vector, dtype=np.float64), turn)
