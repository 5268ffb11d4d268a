"""Small made-up robots, each with what the humanoid has not: for tests of characters of one's own."""

from pathlib import Path
from typing import Any, Dict

from amp_train.config.schema import CharacterConfig

# Motors in another order than the joints, no floor, several hinges on a body, sensors, sites, a keyframe, joints away
# from their bodies' origins, torque limits of three kinds.
HINGE_ROBOT = """
<mujoco model="biped">
  <compiler angle="radian"/>
  <default><joint armature="0.01"/><geom density="600"/></default>
  <worldbody>
    <light pos="0 0 4"/>
    <body name="trunk" pos="0 0 0.62">
      <freejoint name="floating_base"/>
      <camera name="eye" pos="0 0 1"/>
      <site name="imu"/>
      <geom type="box" size="0.06 0.1 0.1"/>
      <body name="left_leg" pos="0 0.1 -0.1" quat="0.9961947 0 0.0871557 0">
        <joint name="left_yaw" axis="0 0 1" range="-0.5 0.5"/>
        <joint name="left_roll" axis="1 0 0" range="-0.4 0.4"/>
        <geom type="capsule" fromto="0 0 -0.04 0 0 -0.2" size="0.04"/>
        <body name="left_foot" pos="0 0 -0.3">
          <joint name="left_knee" axis="0 1 0" pos="0 0 0.06" range="-0.5 1.5" actuatorfrcrange="-90 90"/>
          <geom type="box" size="0.1 0.05 0.02" pos="0.02 0 -0.1"/>
          <body name="left_tip" pos="0.1 0 -0.1"><site name="tip"/><inertial pos="0 0 0" mass="0.01"
            diaginertia="1e-5 1e-5 1e-5"/></body>
        </body>
      </body>
      <body name="right_leg" pos="0 -0.1 -0.1" quat="0.9961947 0 0.0871557 0">
        <joint name="right_yaw" axis="0 0 1" range="-0.5 0.5"/>
        <joint name="right_roll" axis="1 0 0" range="-0.4 0.4"/>
        <geom type="capsule" fromto="0 0 -0.04 0 0 -0.2" size="0.04"/>
        <body name="right_foot" pos="0 0 -0.3">
          <joint name="right_knee" axis="0 1 0" pos="0 0 0.06" range="-0.5 1.5" actuatorfrcrange="-90 90"/>
          <geom type="box" size="0.1 0.05 0.02" pos="0.02 0 -0.1"/>
        </body>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor joint="right_knee" ctrlrange="-200 200"/>
    <motor joint="left_knee" ctrlrange="-200 200"/>
    <motor joint="left_roll" gear="40"/>
    <motor joint="right_roll" gear="40"/>
    <motor joint="right_yaw" forcerange="-20 20"/>
    <motor joint="left_yaw" forcerange="-20 20"/>
  </actuator>
  <sensor><gyro site="imu"/><jointpos joint="left_knee"/></sensor>
  <keyframe><key name="home" qpos="0 0 0.52 1 0 0 0  0.1 0 -0.17  -0.1 0 -0.17"/></keyframe>
</mujoco>
"""


def hinge_robot_config(folder: Path, **keys: Any) -> CharacterConfig:
    """Write the hinge robot into a folder, and return its configuration with some keys changed."""
    path = folder / "biped.xml"
    path.write_text(HINGE_ROBOT)
    given: Dict[str, Any] = {
        "stiffness": {"*": 80.0, "*_knee": 120.0},
        "damping": {"*": 4.0},
        "key_bodies": ["left_foot", "right_foot"],
    }
    return character_config(path, **{**given, **keys})


def character_config(mjcf: Path, **keys: Any) -> CharacterConfig:
    """Return what a character's YAML gives, with the keys that matter to a test."""
    given = {"key_bodies": [], "contact_bodies": [], "fall_bodies": [], **keys}
    return CharacterConfig(name="robot", mjcf=str(mjcf), **given)
