"""What is drawn is what is simulated: the same bodies in the same places, on the floor where it is."""

from pathlib import Path

import numpy as np
import pytest
import torch
from robots import character_config, hinge_robot_config

from amp_train.character import CharacterSpec, Kinematics, configured_character
from amp_train.sim.mujoco_model import compile_model
from amp_train.sim.mujoco_state import MujocoState
from amp_train.viewers import render_frames
from amp_train.viewers.model import import_mujoco, picture_model

pytestmark = pytest.mark.mujoco

THREE_HINGES = """
<mujoco model="arm">
  <worldbody>
    <body name="trunk" pos="0 0 1"><freejoint/><geom type="sphere" size="0.2"/>
      <body name="arm" pos="0.2 0 0">
        <joint name="arm_x" axis="1 0 0" pos="0 0 0" stiffness="9" damping="1"/>
        <joint name="arm_y" axis="0 1 0" pos="0 0 0" stiffness="9" damping="1"/>
        <joint name="arm_z" axis="0 0 1" pos="0 0 0" stiffness="9" damping="1"/>
        <geom type="capsule" fromto="0 0 0 0.4 0 0" size="0.05"/>
        <geom type="box" size="0.05 0.3 0.05" pos="0.4 0.1 0" group="3"/>
      </body>
    </body>
  </worldbody>
</mujoco>
"""


@pytest.fixture(params=["hinges", "three hinges for a ball"])
def robot(request: pytest.FixtureRequest, tmp_path: Path) -> CharacterSpec:
    if request.param == "hinges":
        return configured_character(hinge_robot_config(tmp_path))
    (tmp_path / "arm.xml").write_text(THREE_HINGES)
    return configured_character(character_config(tmp_path / "arm.xml"))


def test_a_pose_is_drawn_as_it_is_simulated(robot: CharacterSpec) -> None:
    mujoco, model = import_mujoco(), picture_model(robot)
    state = Kinematics(robot).default_state(1)
    state.dof_pos = 0.3 * torch.ones_like(state.dof_pos)
    kinematics = Kinematics(robot)
    state.joint_rot = kinematics.joint_rot(state.dof_pos)
    state.body_pos, _ = kinematics.forward(state.root_pos, state.root_rot, state.joint_rot)
    qpos = MujocoState(robot).qpos(state)[0].numpy()
    assert model.nq == len(qpos) == compile_model(robot, 1 / 120).nq
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_kinematics(model, data)
    np.testing.assert_allclose(data.xpos[1:], state.body_pos[0].numpy(), atol=1e-5)


def test_a_file_without_a_floor_and_a_sky_is_drawn_with_both(robot: CharacterSpec) -> None:
    frame = render_frames(robot, Kinematics(robot).default_state(1), width=160, height=120)[0].astype(int)
    sky, floor = frame[3].mean(0), frame[-3].mean(0)
    assert sky.min() > 120 and floor.min() > 60
    assert picture_model(robot).geom_type[0] == import_mujoco().mjtGeom.mjGEOM_PLANE


def test_the_floor_is_where_the_scene_has_it(humanoid: CharacterSpec) -> None:
    assert [picture_model(humanoid, height).geom_pos[0, 2] for height in (0.0, -1.5)] == [0.0, -1.5]


def test_the_browser_shows_the_geoms_that_mujocos_window_shows(robot: CharacterSpec) -> None:
    pytest.importorskip("mjviser")
    from amp_train.viewers.web_scene import _body_meshes

    shapes = _body_meshes(robot)
    assert {body for body, *_ in shapes} >= {0, 1}
    if robot.name == "arm":
        (arm,) = (mesh for body, _, mesh, _ in shapes if body == 1)
        assert np.ptp(arm.vertices[:, 1]) < 0.11  # not the box, which is there for contacts only
