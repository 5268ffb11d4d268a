"""How low a pose reaches, against MuJoCo's distance between every geom and the floor."""

from pathlib import Path

import mujoco
import numpy as np
import torch

from amp_train.character import CharacterSpec, load_character
from amp_train.rotations import wxyz_to_xyzw

_SHAPES = """
<mujoco><worldbody>
  <geom name="floor" type="plane" size="0 0 1"/>
  <body name="root"><freejoint/>
    <geom type="sphere" size=".1" pos=".1 .2 .3"/>
    <geom type="capsule" size=".05 .2" pos="0 .1 0" euler="20 30 40"/>
    <geom type="box" size=".1 .2 .05" pos=".3 0 0" euler="50 10 70"/>
    <geom type="sphere" size="5" contype="0" conaffinity="0" mass="0"/>
    <body name="limb" pos=".5 0 0"><joint type="ball"/><geom type="capsule" fromto="0 0 0 .2 .1 .3" size=".04"/></body>
  </body>
</worldbody></mujoco>
"""


def _lowest_by_mujoco(model: mujoco.MjModel, data: mujoco.MjData) -> float:
    """Return the height of the lowest point: the least distance between a colliding geom and the floor plane."""
    colliding = [g for g in range(model.ngeom) if model.geom_contype[g] and model.geom_bodyid[g] > 0]
    floor = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, "floor")
    return min(mujoco.mj_geomDistance(model, data, floor, geom, 100.0, None) for geom in colliding)


def _check(model: mujoco.MjModel, spec: CharacterSpec) -> None:
    data, rng = mujoco.MjData(model), np.random.default_rng(0)
    for _ in range(20):
        data.qpos[:] = rng.normal(size=model.nq)
        # High above the floor, as MuJoCo measures a deep overlap in another way.
        data.qpos[2] = 5.0
        mujoco.mj_normalizeQuat(model, data.qpos)
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        body_pos = torch.tensor(data.xpos[1:], dtype=torch.float32)
        body_rot = wxyz_to_xyzw(torch.tensor(data.xquat[1:], dtype=torch.float32))
        lowest = spec.geoms.lowest_height(body_pos, body_rot).min().item()
        assert abs(lowest - _lowest_by_mujoco(model, data)) < 1e-5


def test_the_humanoid_reaches_as_low_as_mujoco_says(humanoid: CharacterSpec) -> None:
    _check(mujoco.MjModel.from_xml_path(humanoid.mjcf_path), humanoid)


def test_every_shape_counts_and_what_cannot_touch_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "shapes.xml"
    path.write_text(_SHAPES)
    spec = load_character(str(path))
    assert spec.geoms.body_ids.tolist() == [0, 0, 0, 1]
    _check(mujoco.MjModel.from_xml_path(str(path)), spec)
