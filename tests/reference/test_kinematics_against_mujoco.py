"""Forward kinematics, dof_pos and the rotations against MuJoCo's own functions."""

import math

import mujoco
import numpy as np
import pytest
import torch

from amp_train import rotations
from amp_train.character import CharacterSpec, Kinematics, hinge_triple_mjcf, load_character

# float32 against float64 over a chain of five bodies.
TOLERANCE = 1e-5


def random_quats(*shape: int) -> torch.Tensor:
    return rotations.normalize(torch.randn(*shape, 4))


def random_dof_pos(spec: CharacterSpec, num: int) -> torch.Tensor:
    return spec.dof_lower / 2 + torch.rand(num, spec.num_dofs) * (spec.dof_upper - spec.dof_lower) / 2


def to_qpos(root_pos: torch.Tensor, root_rot: torch.Tensor, joint_rot: torch.Tensor, spec: CharacterSpec) -> np.ndarray:
    dof_pos = Kinematics(spec).dof_pos(joint_rot)
    parts = [root_pos, rotations.xyzw_to_wxyz(root_rot)]
    for j, size in enumerate(spec.joint_sizes):
        dof = spec.dof_offsets[j]
        parts.append(rotations.xyzw_to_wxyz(joint_rot[j]) if size == 3 else dof_pos[dof : dof + 1])
    return torch.cat(parts).double().numpy()


def test_forward_kinematics_equals_mj_kinematics(humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    model = mujoco.MjModel.from_xml_path(humanoid.mjcf_path)
    data = mujoco.MjData(model)
    dof_pos = random_dof_pos(humanoid, 50)
    joint_rot = kinematics.joint_rot(dof_pos)
    root_pos, root_rot = torch.randn(50, 3), random_quats(50)
    body_pos, body_rot = kinematics.forward(root_pos, root_rot, joint_rot)
    for n in range(50):
        data.qpos[:] = to_qpos(root_pos[n], root_rot[n], joint_rot[n], humanoid)
        mujoco.mj_kinematics(model, data)
        np.testing.assert_allclose(body_pos[n], data.xpos[1:], atol=TOLERANCE)
        expected = torch.tensor(data.xquat[1:][:, [1, 2, 3, 0]], dtype=torch.float32)
        np.testing.assert_allclose((body_rot[n] * expected).sum(-1).abs(), 1.0, atol=TOLERANCE)


def test_dof_pos_is_what_the_position_actuators_measure(humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    model = mujoco.MjModel.from_xml_path(humanoid.mjcf_path)
    data = mujoco.MjData(model)
    dof_pos = random_dof_pos(humanoid, 20)
    joint_rot = kinematics.joint_rot(dof_pos)
    for n in range(20):
        data.qpos[:] = to_qpos(torch.zeros(3), torch.tensor([0.0, 0.0, 0.0, 1.0]), joint_rot[n], humanoid)
        mujoco.mj_forward(model, data)
        np.testing.assert_allclose(kinematics.dof_pos(joint_rot)[n], data.actuator_length, atol=TOLERANCE)


def test_dof_pos_and_joint_rot_are_inverse(humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    dof_pos = random_dof_pos(humanoid, 100)
    torch.testing.assert_close(kinematics.dof_pos(kinematics.joint_rot(dof_pos)), dof_pos, atol=TOLERANCE, rtol=0)


def test_body_offset_rotation_is_honoured(tmp_path: "pytest.TempPathFactory") -> None:
    xml = """<mujoco><worldbody><body name="a"><freejoint/><geom size=".1"/><body name="b" pos="0 0 1" euler="0 0 90">
      <joint name="j" type="ball"/><geom size=".1"/><body name="c" pos="1 0 0"><joint name="k" axis="0 0 1"/><geom
      size=".1"/> </body></body></body></worldbody></mujoco>"""
    path = tmp_path / "tilted.xml"  # type: ignore[operator]
    path.write_text(xml)
    spec = load_character(str(path))
    kinematics = Kinematics(spec)
    joint_rot = kinematics.joint_rot(torch.tensor([[0.0, 0.0, math.pi / 2, 0.3]]))
    body_pos, _ = kinematics.forward(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 0.0, 1.0]]), joint_rot)
    # Offset 90 deg, joint 90 deg more: c lies one metre along -x of the root, one above.
    torch.testing.assert_close(body_pos[0, 2], torch.tensor([-1.0, 0.0, 1.0]), atol=TOLERANCE, rtol=0)


def test_hinge_triple_variant_describes_the_same_character(
    humanoid: CharacterSpec, tmp_path: "pytest.TempPathFactory"
) -> None:
    path = tmp_path / "triple.xml"  # type: ignore[operator]
    path.write_text(hinge_triple_mjcf(humanoid))
    triple = load_character(str(path))
    for name in ("body_names", "parent_ids", "joint_names", "joint_sizes", "joint_body_ids"):
        assert getattr(triple, name) == getattr(humanoid, name), name
    tensors = "body_offset body_offset_rot body_mass joint_axis"
    dofs = "dof_lower dof_upper dof_stiffness dof_damping dof_effort dof_armature"
    for name in tensors.split() + dofs.split():
        torch.testing.assert_close(getattr(triple, name), getattr(humanoid, name), atol=1e-5, rtol=0, msg=name)


@pytest.mark.parametrize("seed", range(5))
def test_rotations_equal_mujocos(seed: int) -> None:
    torch.manual_seed(seed)
    p, q, v = random_quats(), random_quats(), torch.randn(3)
    p_wxyz, q_wxyz = (rotations.xyzw_to_wxyz(x).double().numpy() for x in (p, q))
    out4, out3, v64 = np.zeros(4), np.zeros(3), v.double().numpy()
    mujoco.mju_mulQuat(out4, p_wxyz, q_wxyz)
    np.testing.assert_allclose(rotations.xyzw_to_wxyz(rotations.quat_mul(p, q)), out4, atol=1e-6)
    mujoco.mju_rotVecQuat(out3, v64, p_wxyz)
    np.testing.assert_allclose(rotations.quat_rotate(p, v), out3, atol=1e-5)
    np.testing.assert_allclose(rotations.quat_rotate_inverse(p, rotations.quat_rotate(p, v)), v, atol=1e-5)
    mujoco.mju_quat2Vel(out3, p_wxyz, 1.0)
    np.testing.assert_allclose(rotations.quat_to_exp_map(p), out3, atol=1e-5)
    mujoco.mju_axisAngle2Quat(out4, v64 / np.linalg.norm(v64), 0.7)
    axis = v / v.norm()
    np.testing.assert_allclose(rotations.quat_from_angle_axis(torch.tensor(0.7), axis), np.roll(out4, -1), atol=1e-6)
    np.testing.assert_allclose(rotations.exp_map_to_quat(0.7 * axis), np.roll(out4, -1), atol=1e-6)
    matrix = np.zeros(9)
    mujoco.mju_quat2Mat(matrix, p_wxyz)
    columns = matrix.reshape(3, 3)[:, [0, 2]].T.reshape(-1)
    np.testing.assert_allclose(rotations.quat_to_tan_norm(p), columns, atol=1e-6)
