"""A character is one MJCF and one YAML: what is read from robots that are made otherwise than the humanoid."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
import torch
from robots import HINGE_ROBOT, character_config, hinge_robot_config

from amp_train import rotations
from amp_train.character import CharacterSpec, Kinematics, configured_character, load_character
from amp_train.env.actions import PdActionMap
from amp_train.errors import CharacterError

CPU = torch.device("cpu")
ONE_JOINT = """<mujoco><compiler angle="degree"/>{head}<worldbody><body name="a"><freejoint/><geom size=".1"/>
<body name="b" pos="0 0 1">{joints}<geom size=".1" pos="0 0 .3"/></body></body></worldbody>{rest}</mujoco>"""


def one_joint(folder: Path, joints: str, rest: str = "", head: str = "", **keys: Any) -> CharacterSpec:
    path = folder / "one.xml"
    path.write_text(ONE_JOINT.format(joints=joints, rest=rest, head=head))
    return configured_character(character_config(path, **keys))


def drive(spec: CharacterSpec, dof: int = 0) -> "tuple[float, float, float]":
    return tuple(float(values[dof]) for values in (spec.dof_stiffness, spec.dof_damping, spec.dof_effort))  # type: ignore


HINGE = '<joint name="j" axis="0 1 0" range="-90 90" damping="3" stiffness="50"/>'


@pytest.mark.parametrize(
    "actuator, expected",
    [
        ('<position joint="j" kp="70" kv="2" forcerange="-9 9"/>', (70.0, 5.0, 9.0)),
        ('<position joint="j" kp="70" gear="2"/>', (280.0, 3.0, np.inf)),
        ('<position joint="j" kp="70"/><velocity joint="j" kv="4"/>', (70.0, 7.0, np.inf)),
        ('<motor joint="j" gear="60"/>', (50.0, 3.0, 60.0)),
        ('<motor joint="j" gear="2" ctrlrange="-8 8" ctrllimited="true"/>', (50.0, 3.0, 16.0)),
        ('<motor joint="j" forcerange="-7 7" forcelimited="true"/>', (50.0, 3.0, 7.0)),
        ("", (50.0, 3.0, np.inf)),
    ],
)
def test_gains_come_from_actuators_or_from_the_joint(tmp_path: Path, actuator: str, expected: Any) -> None:
    spec = one_joint(tmp_path, HINGE, f"<actuator>{actuator}</actuator>")
    assert drive(spec) == pytest.approx(expected)
    # Beside a position actuator a spring is a spring; else it has become the drive's, and is there once only.
    assert float(spec.joint_spring[0]) == (50.0 if "position" in actuator else 0.0)


def test_the_yaml_wins_by_name_and_by_pattern(tmp_path: Path) -> None:
    spec = configured_character(
        hinge_robot_config(
            tmp_path, stiffness={"*": 80.0, "*_knee": 120.0, "left_knee": 130.0}, armature={"*": 0.05},
            torque_limits={"*_yaw": 30.0},
        )
    )  # fmt: skip
    assert spec.joint_names == ("left_yaw", "left_roll", "left_knee", "right_yaw", "right_roll", "right_knee")
    assert spec.dof_stiffness.tolist() == [80.0, 80.0, 130.0, 80.0, 80.0, 120.0]
    assert spec.dof_effort.tolist() == [30.0, 40.0, 90.0, 30.0, 40.0, 90.0]
    assert spec.dof_armature.tolist() == pytest.approx([0.05] * 6)


def test_the_default_pose_is_the_keyframe_or_the_yamls(tmp_path: Path) -> None:
    spec = configured_character(hinge_robot_config(tmp_path))
    state = Kinematics(spec).default_state(1)
    assert state.dof_pos[0].tolist() == pytest.approx([0.1, 0.0, -0.17, -0.1, 0.0, -0.17])
    assert float(state.root_pos[0, 2]) == pytest.approx(0.52)
    spec = configured_character(hinge_robot_config(tmp_path, default_dof_pos={"*_knee": 0.7}))
    assert spec.default_dof_pos.tolist() == pytest.approx([0.1, 0.0, 0.7, -0.1, 0.0, 0.7])


def test_an_action_scale_acts_around_the_default_pose(tmp_path: Path) -> None:
    spec = configured_character(hinge_robot_config(tmp_path, action_scale={"*_knee": 0.25}))
    target = PdActionMap(spec, CPU)(torch.tensor([[1.0, 1.0, 1.0, 0.0, 0.0, -1.0]]))[0]
    # yaw and roll: 0.7 of the range either side of the middle.
    assert target.tolist() == pytest.approx([0.7, 0.56, 0.08, 0.0, 0.0, -0.42])


def test_several_hinges_on_a_body_are_hinges_and_only_xyz_is_a_ball(tmp_path: Path) -> None:
    axes = {"x": "1 0 0", "y": "0 1 0", "z": "0 0 1"}
    joints = {a: f'<joint name="hip_{a}" axis="{axes[a]}" stiffness="9" damping="1"/>' for a in "xyz"}
    xyz = one_joint(tmp_path, joints["x"] + joints["y"] + joints["z"])
    assert xyz.joint_names == ("hip",) and xyz.joint_sizes == (3,)
    zyx = one_joint(tmp_path, joints["z"] + joints["y"] + joints["x"])
    assert zyx.joint_names == ("hip_z", "hip_y", "hip_x") and zyx.joint_sizes == (1, 1, 1)


def test_kinematics_of_several_hinges_away_from_the_origin_equal_mujocos(tmp_path: Path) -> None:
    spec = configured_character(hinge_robot_config(tmp_path))
    kinematics, model = Kinematics(spec), mujoco.MjModel.from_xml_string(HINGE_ROBOT)
    data = mujoco.MjData(model)
    root_pos, root_rot = torch.randn(20, 3), rotations.normalize(torch.randn(20, 4))
    dof_pos = torch.randn(20, spec.num_dofs)
    joint_rot = kinematics.joint_rot(dof_pos)
    body_pos, body_rot = kinematics.forward(root_pos, root_rot, joint_rot)
    for n in range(20):
        data.qpos[:] = torch.cat((root_pos[n], rotations.xyzw_to_wxyz(root_rot[n]), dof_pos[n])).numpy()
        mujoco.mj_kinematics(model, data)
        np.testing.assert_allclose(body_pos[n], data.xpos[1:], atol=1e-5)
        expected = rotations.wxyz_to_xyzw(torch.tensor(data.xquat[1:], dtype=torch.float32))
        np.testing.assert_allclose((body_rot[n] * expected).sum(-1).abs(), 1.0, atol=1e-5)
    torch.testing.assert_close(kinematics.dof_pos(joint_rot), dof_pos, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "joints, rest, message",
    [
        ('<joint name="j" type="slide"/>', "", "may have hinges and ball joints"),
        ('<joint name="j" ref="10"/>', "", "Joint 'j' .* must have ref=\"0\""),
        (HINGE, '<actuator><muscle name="m" joint="j"/></actuator>', "Actuator 'm' .* activation dynamics"),
        ('<joint name="j" type="ball"/>', '<actuator><motor name="m" joint="j" gear="1 1 0"/></actuator>', "one axis"),
        (HINGE + '<site name="s"/>', '<actuator><motor name="m" site="s"/></actuator>', "does not drive a joint"),
    ],
)
def test_what_cannot_be_used_is_one_clear_line(tmp_path: Path, joints: str, rest: str, message: str) -> None:
    with pytest.raises(CharacterError, match=message) as caught:
        one_joint(tmp_path, joints, rest)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"stiffness": {"left_knea": 3.0}}, "Unknown joint of character 'biped' 'left_knea'.*Did you mean 'left_knee'"),
        ({"damping": {"*": -1.0}}, "damping of joint \\* must be at least 0 N m s/rad, not -1.0"),
        ({"action_scale": {"*": 0.0}}, "action scale of joint \\* must be above 0 rad"),
        ({"stiffness": {"*a*b*c*d*": 3.0}}, "more than 3 stars"),
        ({"key_bodies": ["hand"]}, "Unknown body of character 'biped' 'hand'"),
    ],
)
def test_a_wrong_key_of_the_yaml_is_one_clear_line(tmp_path: Path, keys: Any, message: str) -> None:
    with pytest.raises(CharacterError, match=message):
        configured_character(hinge_robot_config(tmp_path, **keys))


def test_a_joint_without_a_drive_is_named(tmp_path: Path) -> None:
    spec = configured_character(hinge_robot_config(tmp_path, stiffness={"*_knee": 5.0}))
    with pytest.raises(CharacterError, match="has 6 dofs, 4 of them without a drive: left_yaw, left_roll, right_yaw"):
        spec.check_drives()


def test_includes_and_mesh_paths_are_the_files_own(tmp_path: Path) -> None:
    (tmp_path / "meshes").mkdir()
    corners = "v 0 0 0\nv .1 0 0\nv 0 .1 0\nv 0 0 .1\nf 1 3 2\nf 1 2 4\nf 2 3 4\nf 3 1 4\n"
    (tmp_path / "meshes" / "shell.obj").write_text(corners)
    (tmp_path / "leg.xml").write_text('<mujocoinclude><joint name="j" stiffness="5"/></mujocoinclude>')
    head = '<asset><mesh name="shell" file="meshes/shell.obj"/></asset>'
    shell = '<geom type="mesh" mesh="shell" contype="0" conaffinity="0"/>'
    spec = one_joint(tmp_path, '<include file="leg.xml"/>' + shell, head=head)
    assert spec.joint_names == ("j",) and len(spec.geoms.body_ids) == 2


TRIPLE = "".join(
    f'<joint name="hip_{a}" axis="{axis}" range="{limits}" limited="true" stiffness="9" damping="1"/>'
    for a, axis, limits in (("x", "1 0 0", "-60 15"), ("y", "0 1 0", "-140 60"), ("z", "0 0 1", "-60 35"))
)
BALL = '<joint name="hip" type="ball" range="0 70" limited="true" stiffness="9" damping="1"/>'
GIVEN = [[-30.0, 30.0], [-20.0, 25.0], [-10.0, 15.0]]


@pytest.mark.parametrize(
    "joints, keys, ranges",
    [
        (TRIPLE, {}, [[-180, 180]] * 3),
        (TRIPLE, {"limit_ball_joints": True}, [[-60, 15], [-140, 60], [-60, 35]]),
        (BALL, {"limit_ball_joints": True}, [[-70, 70]] * 3),
        (BALL, {"limit_ball_joints": True, "ball_ranges": {"hip": GIVEN}}, GIVEN),
        (BALL, {"ball_ranges": {"hip": GIVEN}}, [[-180, 180]] * 3),
    ],
)
def test_ball_joints_have_limits_where_they_are_asked_for(tmp_path: Path, joints: str, keys: Any, ranges: Any) -> None:
    spec = one_joint(tmp_path, joints, **keys)
    got = torch.stack((spec.dof_lower, spec.dof_upper), dim=-1).rad2deg()
    torch.testing.assert_close(got, torch.tensor(ranges, dtype=torch.float32), atol=1e-3, rtol=0)


@pytest.mark.parametrize("ranges", [GIVEN[:2], [[-200, 3]] + GIVEN[1:], [[5, 30]] + GIVEN[1:], [[1], [2], [3]]])
def test_ranges_that_make_no_sense_are_refused(tmp_path: Path, ranges: Any) -> None:
    with pytest.raises(CharacterError, match="ball range of hip must be three ranges"):
        one_joint(tmp_path, BALL, limit_ball_joints=True, ball_ranges={"hip": ranges})
    with pytest.raises(CharacterError, match="of a spherical joint"):
        one_joint(tmp_path, HINGE, limit_ball_joints=True, ball_ranges={"j": GIVEN})


@pytest.mark.mujoco
def test_limited_balls_have_a_cone_and_clamped_targets_in_mujoco(tmp_path: Path) -> None:
    from amp_train.sim.mujoco_model import compile_model

    # Three hinges are one ball joint there too, whose position is an exponential map.
    spec = one_joint(tmp_path, TRIPLE, limit_ball_joints=True)
    model = compile_model(spec, 1.0 / 120.0)
    assert model.nq == 7 + 4 and model.jnt_type[1] == mujoco.mjtJoint.mjJNT_BALL and model.jnt_limited[1]
    assert np.degrees(model.jnt_range[1]).tolist() == pytest.approx([0.0, np.linalg.norm([60, 140, 60])])
    assert np.degrees(model.actuator_ctrlrange).tolist() == [
        pytest.approx(r) for r in ([-60, 15], [-140, 60], [-60, 35])
    ]
    free = compile_model(spec.without_ball_ranges(), 1.0 / 120.0)
    assert not free.jnt_limited[1] and not free.actuator_ctrllimited.any()


def g1_mjcf() -> Path:
    """Find the G1 of mjlab (`pip download --no-deps mjlab`, unzipped): installed, or in the folder MJLAB_DIR."""
    found = importlib.util.find_spec("mjlab")
    folders = [Path(place) for place in (found.submodule_search_locations or [])] if found else []
    folders += [Path(os.environ["MJLAB_DIR"]) / "mjlab"] if "MJLAB_DIR" in os.environ else []
    for folder in folders:
        path = folder / "asset_zoo" / "robots" / "unitree_g1" / "xmls" / "g1.xml"
        if path.is_file():
            return path
    pytest.skip("needs mjlab's G1: install mjlab, or unzip its wheel and set MJLAB_DIR")


@pytest.mark.mujoco
def test_the_g1_stands_on_its_feet() -> None:
    pytest.importorskip("amp_train.sim.mujoco_cpu")
    from amp_train.sim.mujoco_cpu import MujocoSimulator

    path = g1_mjcf()
    feet = ["left_ankle_roll_link", "right_ankle_roll_link"]
    bent = {"*_hip_pitch_joint": -0.312, "*_knee_joint": 0.669, "*_ankle_pitch_joint": -0.363}
    spec = configured_character(
        character_config(
            path, key_bodies=feet, contact_bodies=feet, default_dof_pos=bent, action_scale={"*": 0.4},
            stiffness={"*": 100.0, "*_knee_joint": 200.0}, damping={"*": 5.0}, armature={"*": 0.01},
            torque_limits={"*": 139.0, "*wrist*": 25.0},
        )
    )  # fmt: skip
    assert spec.num_dofs == 29 and spec.num_bodies == 30 and set(spec.joint_sizes) == {1}
    with pytest.raises(CharacterError, match="29 of them without a drive"):
        load_character(str(path)).check_drives()
    simulator = MujocoSimulator(spec, 2, 1.0 / 30.0, 8)
    for _ in range(20):
        simulator.step(spec.default_dof_pos.repeat(2, 1))
    state = simulator.state()
    assert float(state.root_pos[:, 2].min()) > 0.65
    weight = 9.81 * float(spec.body_mass.sum())
    on_feet = state.contact_force[:, list(spec.contact_body_ids), 2].sum(-1)  # type: ignore[index]
    assert on_feet.tolist() == pytest.approx([weight, weight], rel=0.2)
    torch.testing.assert_close(state.dof_pos, spec.default_dof_pos.repeat(2, 1), atol=0.15, rtol=0)
