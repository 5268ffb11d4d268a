"""Motions of other skeletons arrive on the character as they were meant."""

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Dict, Optional

import pytest
import torch
from make_clip import standing_clip
from make_rigs import along_bones, as_bvh, body_distances_cm, joint_angles_deg, rest_pose
from make_robot import robot

from amp_train import rotations
from amp_train.character import CharacterSpec, Kinematics
from amp_train.errors import MotionError
from amp_train.motion import MotionClip, find_motion, import_clip, load_clip, load_motion
from amp_train.motion.check import check_clip, verdict
from amp_train.motion.importers.bvh import parse_bvh
from amp_train.motion.operations import posed_bodies
from amp_train.motion.retarget import RetargetOptions, retarget
from amp_train.motion.retarget.axes import leg_length
from amp_train.motion.retarget.roles import find_roles, side_and_part
from amp_train.motion.retarget.transfer import stretches

pytest.importorskip("mink")
WITHOUT_IK = RetargetOptions(ik=False, max_fps=1000.0)


def _imported(text: str, folder: Path, spec: CharacterSpec, options: Optional[RetargetOptions] = None) -> MotionClip:
    (folder / "clip.bvh").write_text(text)
    return load_clip(folder / "clip.bvh", spec, options=options or RetargetOptions(max_fps=1000.0))


@pytest.mark.parametrize("arms_deg, legs_deg", [(0.0, 0.0), (90.0, 0.0), (45.0, 20.0)], ids=["hanging", "T", "A"])
@pytest.mark.parametrize("joint, axis", [("left_shoulder", 0), ("right_hip", 1), ("neck", 2), ("left_ankle", 1)])
def test_a_limb_turned_by_a_known_angle(
    humanoid: CharacterSpec, tmp_path: Path, arms_deg: float, legs_deg: float, joint: str, axis: int
) -> None:
    clip = standing_clip(humanoid, 12)
    turn = torch.zeros(12, 3)
    turn[:, axis] = torch.linspace(0.0, math.radians(70.0), 12)
    rot = clip.joint_rot.clone()
    rot[:, humanoid.joint_names.index(joint)] = rotations.exp_map_to_quat(turn)
    clip = replace(clip, joint_rot=rot)
    got = _imported(as_bvh(clip, humanoid, rest_pose(humanoid, arms_deg, legs_deg)), tmp_path, humanoid, WITHOUT_IK)
    assert float(joint_angles_deg(clip, got).max()) < 0.5


@pytest.mark.parametrize("name", ["walk", "dance_a", "cartwheel", "crawl", "getup_faceup", "spinkick"])
@pytest.mark.parametrize("arms_deg, legs_deg, scale, arms", [(90.0, 0.0, 1.3, 1.0), (45.0, 20.0, 0.7, 1.25)])
def test_bundled_clips_come_back_from_other_bodies(
    humanoid: CharacterSpec, tmp_path: Path, name: str, arms_deg: float, legs_deg: float, scale: float, arms: float
) -> None:
    clip = load_clip(find_motion(name))
    text = as_bvh(clip, humanoid, rest_pose(humanoid, arms_deg, legs_deg), scale, arms)
    got = _imported(text, tmp_path, humanoid)
    distances = body_distances_cm(clip, got, humanoid)
    assert float(distances.mean()) < 1.0  # 2 cm are asked for
    assert float(distances.max()) < 6.0


@pytest.mark.parametrize("mirrored", [False, True], ids=["LAFAN1-like", "Bandai-Namco-like"])
@pytest.mark.parametrize("name", ["walk", "dance_a", "cartwheel"])
def test_a_zero_pose_that_does_not_stand_is_learnt_from_the_motion(
    humanoid: CharacterSpec, tmp_path: Path, name: str, mirrored: bool
) -> None:
    clip = load_clip(find_motion(name))
    got = _imported(as_bvh(clip, humanoid, along_bones(humanoid, mirrored)), tmp_path, humanoid, WITHOUT_IK)
    angles = joint_angles_deg(clip, got).mean(dim=0)
    assert float(body_distances_cm(clip, got, humanoid).mean()) < 1.0
    # How an ankle lies is learnt from when the foot stands; all else is exact.
    ankles = [humanoid.joint_names.index(f"{side}_ankle") for side in ("left", "right")]
    others = [j for j in range(humanoid.num_joints) if j not in ankles]
    assert float(angles[others].max()) < 0.5
    assert float(angles[ankles].max()) < 4.0


def test_planted_feet_stay_where_they_stand(humanoid: CharacterSpec, tmp_path: Path) -> None:
    text = as_bvh(load_clip(find_motion("dance_a")), humanoid, rest_pose(humanoid, 90.0, 0.0), 1.2, 1.3)
    (tmp_path / "clip.bvh").write_text(text)
    imported = import_clip(tmp_path / "clip.bvh", humanoid)
    done = imported.retargeted
    assert done is not None
    pos, _ = posed_bodies(done.clip, humanoid)
    held = 0
    for side in ("left", "right"):
        foot = pos[:, humanoid.body_names.index(f"{side}_foot"), :2]
        for begin, end in stretches(done.planted[side]):
            held += 1
            spread = foot[begin + 1 : end - 1]
            assert float((spread - spread.mean(dim=0)).norm(dim=-1).max()) < 0.01
    assert held >= 2


@pytest.mark.parametrize("units, metres", [("cm", 100.0), ("m", 1.0), ("inch", 1.0 / 0.0254)])
def test_units_and_up_axis_are_found(humanoid: CharacterSpec, units: str, metres: float) -> None:
    motion = parse_bvh(as_bvh(load_clip(find_motion("walk")), humanoid).encode(), "walk")
    factor = metres / 100.0
    scaled = replace(motion, offsets=motion.offsets * factor, root_pos=motion.root_pos * factor, tips={})
    done = retarget(scaled, humanoid, WITHOUT_IK)
    assert f"unit {units}, y up" in done.notes[0]
    # The same file with z up: x stays, y becomes z.
    turn = rotations.exp_map_to_quat(torch.tensor([math.pi / 2, 0.0, 0.0]).double())
    rot = scaled.rotations
    tilted = replace(
        scaled,
        offsets=rotations.quat_rotate(turn.expand(len(scaled.offsets), 4), scaled.offsets),
        root_pos=rotations.quat_rotate(turn.expand(len(rot), 4), scaled.root_pos),
        rotations=rotations.quat_mul(
            rotations.quat_mul(turn.expand_as(rot), rot), rotations.quat_conjugate(turn).expand_as(rot)
        ),
    )
    again = retarget(tilted, humanoid, WITHOUT_IK)
    assert f"unit {units}, z up" in again.notes[0]
    assert float(joint_angles_deg(done.clip, again.clip).max()) < 0.1


def test_what_the_user_says_counts(humanoid: CharacterSpec) -> None:
    motion = parse_bvh(as_bvh(load_clip(find_motion("walk")), humanoid).encode(), "walk")
    done = retarget(motion, humanoid, RetargetOptions(ik=False, units="mm", up="z", fps=24.0))
    assert "unit mm, z up" in done.notes[0] and done.clip.fps == 24.0
    with pytest.raises(Exception, match="Did you mean 'inch'"):
        retarget(motion, humanoid, RetargetOptions(units="inches"))


def test_a_zero_pose_in_front_is_left_out(humanoid: CharacterSpec) -> None:
    motion = parse_bvh(
        as_bvh(load_clip(find_motion("walk")), humanoid, rest_pose(humanoid, 90.0, 0.0)).encode(), "walk"
    )
    zero = torch.tensor([0.0, 0.0, 0.0, 1.0]).double().expand(1, len(motion.parents), 4)
    longer = replace(
        motion,
        rotations=torch.cat((zero, motion.rotations)),
        root_pos=torch.cat((motion.root_pos[:1], motion.root_pos)),
    )
    done = retarget(longer, humanoid, WITHOUT_IK)
    assert done.clip.num_frames == 39 and "its first frame is the zero pose and was dropped" in done.notes
    assert retarget(motion, humanoid, WITHOUT_IK).clip.num_frames == 39


def test_frames_above_60_a_second_are_left_out(humanoid: CharacterSpec) -> None:
    motion = parse_bvh(as_bvh(load_clip(find_motion("walk")), humanoid).encode(), "walk")
    clip = retarget(replace(motion, fps=120.0), humanoid, RetargetOptions(ik=False)).clip
    assert clip.fps == 60.0 and clip.num_frames == 20


def test_hinges_keep_their_limits_and_feet_their_place(humanoid: CharacterSpec, tmp_path: Path) -> None:
    """Somebody with shins half as long again: the knees cannot follow both."""
    clip = load_clip(find_motion("dance_b"))
    text = as_bvh(clip, humanoid, rest_pose(humanoid, 90.0, 0.0))
    motion = parse_bvh(text.encode(), "long")
    names = list(motion.joint_names)
    offsets = motion.offsets.clone()
    for side in ("Left", "Right"):
        offsets[names.index(f"mixamorig:{side}Foot")] *= 1.5
    done = retarget(replace(motion, offsets=offsets), humanoid)
    knee = humanoid.dof_offsets[humanoid.joint_names.index("left_knee")]
    angle = Kinematics(humanoid).dof_pos(done.clip.joint_rot)[:, knee]
    assert float(angle.min()) > -0.01
    assert done.error_cm["left_foot"] < 1.0


@pytest.mark.parametrize(
    "name, parts",
    [
        ("mixamorig:LeftUpLeg", ("left", "upleg")), ("UpperLeg_L", ("left", "upperleg")), ("lfemur", ("left", "femur")),
        ("Bip01_R_Thigh", ("right", "thigh")), ("lowerback", ("", "lowerback")), ("rShldr", ("right", "shldr")),
        ("m_avg_L_Hip", ("left", "hip")), ("left_hip_yaw_link", ("left", "hipyaw")), ("Toes_R", ("right", "toes")),
    ],
)  # fmt: skip
def test_names_are_taken_apart(name: str, parts: "tuple[str, str]") -> None:
    assert side_and_part(name) == parts


SKELETONS: Dict[str, str] = {
    # Joints with their parents, as the data sets name them; what follows is left shin, left foot, left upper arm.
    "CMU": "Hips LHipJoint<Hips LeftUpLeg<LHipJoint LeftLeg<LeftUpLeg LeftFoot<LeftLeg LeftToeBase<LeftFoot"
    " RHipJoint<Hips"
    " RightUpLeg<RHipJoint RightLeg<RightUpLeg RightFoot<RightLeg LowerBack<Hips Spine<LowerBack LeftShoulder<Spine"
    " LeftArm<LeftShoulder LeftForeArm<LeftArm RightShoulder<Spine RightArm<RightShoulder RightForeArm<RightArm",
    "cgspeed": "Hips LHipJoint<Hips LeftHip<LHipJoint LeftKnee<LeftHip LeftAnkle<LeftKnee LeftToe<LeftAnkle"
    " RightHip<Hips RightKnee<RightHip RightAnkle<RightKnee Chest<Hips LeftCollar<Chest LeftShoulder<LeftCollar"
    " LeftElbow<LeftShoulder LeftWrist<LeftElbow RightCollar<Chest RightShoulder<RightCollar RightElbow<RightShoulder",
    "Rokoko": "Hips Spine<Hips LeftShoulder<Spine LeftArm<LeftShoulder LeftForeArm<LeftArm RightShoulder<Spine"
    " RightArm<RightShoulder RightForeArm<RightArm LeftThigh<Hips LeftShin<LeftThigh LeftFoot<LeftShin RightThigh<Hips"
    " RightShin<RightThigh RightFoot<RightShin",
    "Bandai-Namco": "joint_Root Hips<joint_Root Spine<Hips Shoulder_L<Spine UpperArm_L<Shoulder_L LowerArm_L<UpperArm_L"
    " Shoulder_R<Spine UpperArm_R<Shoulder_R LowerArm_R<UpperArm_R UpperLeg_L<Hips LowerLeg_L<UpperLeg_L"
    " Foot_L<LowerLeg_L UpperLeg_R<Hips LowerLeg_R<UpperLeg_R Foot_R<LowerLeg_R",
    "ASF": "root lhipjoint<root lfemur<lhipjoint ltibia<lfemur lfoot<ltibia rhipjoint<root rfemur<rhipjoint"
    " rtibia<rfemur"
    " rfoot<rtibia thorax<root lclavicle<thorax lhumerus<lclavicle lradius<lhumerus rclavicle<thorax rhumerus<rclavicle"
    " rradius<rhumerus",
    "SMPL": "Pelvis L_Hip<Pelvis L_Knee<L_Hip L_Ankle<L_Knee L_Foot<L_Ankle R_Hip<Pelvis R_Knee<R_Hip R_Ankle<R_Knee"
    " R_Foot<R_Ankle Spine3<Pelvis L_Collar<Spine3 L_Shoulder<L_Collar L_Elbow<L_Shoulder R_Collar<Spine3"
    " R_Shoulder<R_Collar R_Elbow<R_Shoulder",
    "G1": "pelvis left_hip_pitch_link<pelvis left_hip_roll_link<left_hip_pitch_link"
    " left_hip_yaw_link<left_hip_roll_link"
    " left_knee_link<left_hip_yaw_link left_ankle_pitch_link<left_knee_link left_ankle_roll_link<left_ankle_pitch_link"
    " right_hip_pitch_link<pelvis right_hip_yaw_link<right_hip_pitch_link right_knee_link<right_hip_yaw_link"
    " right_ankle_roll_link<right_knee_link torso_link<pelvis left_shoulder_pitch_link<torso_link"
    " left_shoulder_yaw_link<left_shoulder_pitch_link left_elbow_link<left_shoulder_yaw_link"
    " right_shoulder_yaw_link<torso_link right_elbow_link<right_shoulder_yaw_link",
}
EXPECTED = {
    "CMU": "LeftUpLeg LeftLeg LeftFoot LeftArm LeftForeArm Hips Spine",
    "cgspeed": "LeftHip LeftKnee LeftAnkle LeftShoulder LeftElbow Hips Chest",
    "Rokoko": "LeftThigh LeftShin LeftFoot LeftArm LeftForeArm Hips Spine",
    "Bandai-Namco": "UpperLeg_L LowerLeg_L Foot_L UpperArm_L LowerArm_L Hips Spine",
    "ASF": "lfemur ltibia lfoot lhumerus lradius root thorax",
    "SMPL": "L_Hip L_Knee L_Ankle L_Shoulder L_Elbow Pelvis Spine3",
    "G1": "left_hip_yaw_link left_knee_link left_ankle_roll_link left_shoulder_yaw_link left_elbow_link pelvis"
    " torso_link",
}


@pytest.mark.parametrize("family", sorted(SKELETONS))
def test_parts_are_found_in_the_skeletons_of_the_field(family: str) -> None:
    pairs = [word.partition("<")[::2] for word in SKELETONS[family].split()]
    names = [name for name, _ in pairs]
    parents = [names.index(parent) if parent else -1 for _, parent in pairs]
    roles = find_roles(names, parents)
    parts = ["left_thigh", "left_shin", "left_foot", "left_upper_arm", "left_lower_arm", "pelvis", "chest"]
    assert [names[roles[part]] for part in parts] == EXPECTED[family].split()


def test_unknown_names_are_told_and_can_be_mapped(humanoid: CharacterSpec, tmp_path: Path) -> None:
    odd = {body: f"b{index}" for index, body in enumerate(humanoid.body_names)}
    clip = load_clip(find_motion("walk"))
    text = as_bvh(clip, humanoid, names=odd)
    with pytest.raises(MotionError, match="were recognised as left_thigh.* It has: b0, b1.* Give map=FILE.yaml"):
        _imported(text, tmp_path, humanoid)
    roles = {body: odd[body] for body in humanoid.body_names if "_" in body or body == "head"}
    (tmp_path / "map.yaml").write_text("".join(f"{role}: {joint}\n" for role, joint in roles.items()))
    got = _imported(text, tmp_path, humanoid, RetargetOptions(ik=False, map=str(tmp_path / "map.yaml")))
    assert float(joint_angles_deg(clip, got).max()) < 0.5
    with pytest.raises(MotionError, match="joint 'b99', which the skeleton does not have"):
        _imported(text, tmp_path, humanoid, RetargetOptions(map={"left_thigh": "b99"}))
    with pytest.raises(MotionError, match="Unknown part 'left_thig'"):
        _imported(text, tmp_path, humanoid, RetargetOptions(map={"left_thig": "b1"}))


def test_a_cycle_is_recognised_and_a_take_is_not(humanoid: CharacterSpec, tmp_path: Path) -> None:
    for name, loop in (("walk", "wrap"), ("kick", "clamp")):
        text = as_bvh(load_clip(find_motion(name)), humanoid, rest_pose(humanoid, 90.0, 0.0), 1.3)
        assert _imported(text, tmp_path, humanoid).loop == loop


def test_a_training_keeps_what_was_put_on_the_character(
    humanoid: CharacterSpec, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "walk.bvh").write_text(as_bvh(load_clip(find_motion("walk")), humanoid))
    first = load_motion(tmp_path / "walk.bvh", humanoid).clips[0]
    assert "walk.bvh is retargeted to 'humanoid' (BVH; 15 joints" in caplog.text
    assert "cached as .amp_motion/" in caplog.text
    monkeypatch.setattr("amp_train.motion.cache.import_clip", None)  # what is kept needs no import
    again = load_motion(tmp_path / "walk.bvh", humanoid).clips[0]
    assert torch.equal(first.joint_rot, again.joint_rot) and again.loop == "wrap"


@pytest.mark.parametrize("trap", ["link", "half", "pipe", "broken"])
def test_nothing_is_kept_through_what_came_with_a_strangers_clips(
    humanoid: CharacterSpec, tmp_path: Path, caplog: pytest.LogCaptureFixture, trap: str
) -> None:
    folder, outside = tmp_path / "clips", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (outside / "mine").write_text("precious")
    (folder / "walk.bvh").write_text(as_bvh(load_clip(find_motion("walk")), humanoid))
    first = load_motion(folder / "walk.bvh", humanoid).clips[0]
    (kept,) = (folder / ".amp_motion").iterdir()  # whoever made the clips knows this name too
    half = kept.with_name(kept.name + ".partial")
    kept.unlink()
    if trap == "link":
        kept.parent.rmdir()
        kept.parent.symlink_to(outside)
    elif trap == "half":
        half.symlink_to(outside / "mine")
    elif trap == "pipe":
        os.mkfifo(str(half))
    else:
        kept.write_bytes(b"broken")
        half.mkdir()
    caplog.clear()
    again = load_motion(folder / "walk.bvh", humanoid).clips[0]
    torch.testing.assert_close(first.joint_rot, again.joint_rot, atol=1e-5, rtol=0)
    assert "not cached" in caplog.text
    assert [path.name for path in outside.iterdir()] == ["mine"]
    assert (outside / "mine").read_text() == "precious"


def test_a_clip_whose_name_is_as_long_as_names_can_be_is_kept(humanoid: CharacterSpec, tmp_path: Path) -> None:
    path = tmp_path / ("w" * 250 + ".bvh")
    path.write_text(as_bvh(load_clip(find_motion("walk")), humanoid))
    load_motion(path, humanoid)
    assert len(list((tmp_path / ".amp_motion").iterdir())) == 1


def test_another_file_is_put_on_the_character_anew(humanoid: CharacterSpec, tmp_path: Path) -> None:
    for name in ("walk", "punch"):
        (tmp_path / "clip.bvh").write_text(as_bvh(load_clip(find_motion(name)), humanoid))
        frames = load_clip(find_motion(name)).num_frames
        assert load_motion(tmp_path / "clip.bvh", humanoid).clips[0].num_frames == frames


@pytest.mark.parametrize("name", ["walk", "cartwheel"])
def test_a_robot_of_hinges_follows(tmp_path: Path, humanoid: CharacterSpec, name: str) -> None:
    spec = robot(tmp_path)
    assert set(spec.joint_sizes) == {1}
    (tmp_path / "clip.bvh").write_text(as_bvh(load_clip(find_motion(name)), humanoid, rest_pose(humanoid, 90.0, 0.0)))
    imported = import_clip(tmp_path / "clip.bvh", spec)
    done = imported.retargeted
    assert done is not None
    assert max(done.error_cm["left_foot"], done.error_cm["right_foot"]) < 1.0
    assert max(done.error_cm[f"{side}_{part}"] for side in ("left", "right") for part in ("shin", "lower_arm")) < 6.0
    findings = {f.name: f for f in check_clip(imported.clip, spec)}
    assert findings["joint_limit_excess_deg"].verdict == "ok" and verdict(list(findings.values())) != "bad"


def test_leg_length_is_that_of_the_bones(humanoid: CharacterSpec) -> None:
    motion = parse_bvh(as_bvh(standing_clip(humanoid), humanoid, scale=2.0).encode(), "tall")
    roles = find_roles(motion.joint_names, motion.parents)
    assert leg_length(motion, roles) == pytest.approx(200.0 * (0.421546 + 0.40987), abs=1e-3)
