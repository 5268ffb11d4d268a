"""A small humanoid robot whose joints are all hinges, named as Unitree's are."""

from pathlib import Path
from typing import List

from amp_train.character import CharacterSpec, load_character

_CAPSULE = '<geom type="capsule" size="0.04" fromto="0 0 -0.03 0 0 {:g}"/>'


def _link(name: str, pos: str, axis: str, limits: str, inside: List[str]) -> str:
    joint = f'<joint name="{name}_joint" type="hinge" axis="{axis}" range="{limits}" damping="2"/>'
    weight = '<inertial pos="0 0 0" mass="0.5" diaginertia="0.01 0.01 0.01"/>'
    return f'<body name="{name}_link" pos="{pos}">{weight}{joint}{"".join(inside)}</body>'


def _leg(side: str, y: float) -> str:
    foot = '<geom type="box" pos="0.04 0 -0.03" size="0.09 0.04 0.02"/>'
    roll = _link(f"{side}_ankle_roll", "0 0 0", "1 0 0", "-0.5 0.5", [foot])
    pitch = _link(f"{side}_ankle_pitch", "0 0 -0.3", "0 1 0", "-1.2 0.8", [roll])
    knee = _link(f"{side}_knee", "0 0 -0.33", "0 1 0", "-0.1 2.6", [_CAPSULE.format(-0.25), pitch])
    yaw = _link(f"{side}_hip_yaw", "0 0 0", "0 0 1", "-2.5 2.5", [_CAPSULE.format(-0.28), knee])
    hip = _link(f"{side}_hip_roll", "0 0 0", "1 0 0", "-1.5 1.5", [yaw])
    return _link(f"{side}_hip_pitch", f"0 {y:g} -0.05", "0 1 0", "-2.5 2.5", [hip])


def _arm(side: str, y: float) -> str:
    hand = f'<body name="{side}_rubber_hand" pos="0 0 -0.2"><geom type="sphere" size="0.04"/></body>'
    elbow = _link(f"{side}_elbow", "0 0 -0.22", "0 1 0", "-2.4 0.1", [_CAPSULE.format(-0.15), hand])
    yaw = _link(f"{side}_shoulder_yaw", "0 0 0", "0 0 1", "-2.6 2.6", [_CAPSULE.format(-0.18), elbow])
    roll = _link(f"{side}_shoulder_roll", "0 0 0", "1 0 0", "-2.9 2.9", [yaw])
    return _link(f"{side}_shoulder_pitch", f"0 {y:g} 0.28", "0 1 0", "-3.0 3.0", [roll])


def robot(folder: Path) -> CharacterSpec:
    """Write the robot's MJCF and read it."""
    torso = '<geom type="capsule" size="0.09" fromto="0 0 0.05 0 0 0.3"/>'
    waist = _link("torso", "0 0 0.05", "0 0 1", "-2.6 2.6", [torso, _arm("left", 0.12), _arm("right", -0.12)])
    names = [f"{side}_{joint}_joint" for side in ("left", "right") for joint in (
        "hip_pitch", "hip_roll", "hip_yaw", "knee", "ankle_pitch", "ankle_roll", "shoulder_pitch", "shoulder_roll",
        "shoulder_yaw", "elbow")] + ["torso_joint"]  # fmt: skip
    motors = "".join(f'<position joint="{name}" kp="50" forcerange="-90 90"/>' for name in names)
    text = (
        '<mujoco model="robot"><compiler angle="radian" autolimits="true"/><worldbody><body name="pelvis" '
        'pos="0 0 0.76"><freejoint/><geom type="sphere" size="0.08" mass="5"/>'
        f"{_leg('left', 0.08)}{_leg('right', -0.08)}{waist}</body></worldbody><actuator>{motors}</actuator></mujoco>"
    )
    (folder / "robot.xml").write_text(text)
    return load_character(str(folder / "robot.xml"), (), ("left_ankle_roll_link", "right_ankle_roll_link"))
