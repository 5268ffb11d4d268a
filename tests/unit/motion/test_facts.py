"""What clips tell of themselves agrees with the presets that were once written by hand; a check finds what is wrong."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, Optional, Set

import pytest
import torch
from make_clip import STANDING_HEIGHT, standing_clip

from amp_train import rotations
from amp_train.character import CharacterSpec
from amp_train.motion import clip_facts, fill_in, find_motion, load_clip, load_motion, place_on_ground, save_clip
from amp_train.motion.check import BAD, OK, WARNING, as_json, check_clip, table, verdict
from amp_train.motion.facts import standing_height
from amp_train.motion.strength import torque_needed

FEET = {"right_foot", "left_foot"}


@pytest.mark.parametrize(
    "name, bodies",
    [
        ("walk", FEET), ("run", FEET), ("jump", FEET), ("backflip", FEET), ("spin", FEET), ("dance_a", FEET),
        ("cartwheel", FEET | {"right_hand", "left_hand", "right_lower_arm", "left_lower_arm"}),
    ],
)  # fmt: skip
def test_contact_bodies_are_those_of_the_hand_written_presets(
    humanoid: CharacterSpec, name: str, bodies: Set[str]
) -> None:
    assert set(clip_facts(load_motion(name).clips, humanoid).contact_bodies) == bodies


@pytest.mark.parametrize(
    "name, more", [("crawl", {"right_shin", "left_shin", "right_hand"}), ("roll", {"torso", "head"})]
)
def test_clips_on_the_ground_may_touch_it_with_more(humanoid: CharacterSpec, name: str, more: Set[str]) -> None:
    assert more <= set(clip_facts(load_motion(name).clips, humanoid).contact_bodies)


@pytest.mark.parametrize(
    "name, rise_height, max_low_s",
    [("roll", 0.5, 1.0), ("jump", 1.0, 2.2), ("backflip", 1.0, 2.2), ("walk", None, None), ("dance_a", None, None)],
)
def test_low_posture_is_about_that_of_the_hand_written_presets(
    humanoid: CharacterSpec, name: str, rise_height: Optional[float], max_low_s: Optional[float]
) -> None:
    facts = clip_facts(load_motion(name).clips, humanoid)
    if rise_height is None:
        assert facts.rise_height is None and facts.max_low_s is None
    else:
        assert facts.rise_height == pytest.approx(rise_height, abs=0.06)
        assert facts.max_low_s == pytest.approx(max_low_s, abs=0.3)


STRONG = {"run", "backflip", "cartwheel", "dance_a", "dance_b", "jump", "kick", "punch", "roll", "spin", "spinkick"}


@pytest.mark.parametrize("name", sorted(STRONG | {"walk"}))
def test_the_stronger_humanoid_is_asked_for_where_the_presets_have_it(humanoid: CharacterSpec, name: str) -> None:
    limits = clip_facts(load_motion(name).clips, humanoid).torque_limits
    assert bool(limits) == (name in STRONG)
    if limits:
        assert limits["left_knee"] == 150.0  # DeepMimic's


def test_a_bent_knee_holds_the_weight_above_it(humanoid: CharacterSpec) -> None:
    """Squatting with the knees in front: the lever of the body's weight over both knees, by hand."""
    clip = standing_clip(humanoid, 20)
    rot = clip.joint_rot.clone()
    axis = torch.tensor([0.0, 1.0, 0.0])
    for side in ("left", "right"):
        for joint, angle in (("hip", -60.0), ("knee", 120.0), ("ankle", -60.0)):
            index = humanoid.joint_names.index(f"{side}_{joint}")
            rot[:, index] = rotations.quat_from_angle_axis(torch.tensor(math.radians(angle)), axis)
    clip = place_on_ground(replace(clip, joint_rot=rot), humanoid)
    torque = torque_needed(clip, humanoid)["left_knee"]
    mass = float(humanoid.body_mass.sum())
    lever_m = 0.421546 * math.sin(math.radians(60.0))
    # The centre of mass is over the hips within a few centimetres; shins and feet do not load the knees.
    assert torque == pytest.approx(0.5 * 0.85 * mass * 9.81 * lever_m, rel=0.25)


def test_standing_height_is_that_of_the_legs(humanoid: CharacterSpec) -> None:
    assert standing_height(humanoid) == pytest.approx(0.881416, abs=1e-4)


def _config(**given: Any) -> "tuple[SimpleNamespace, SimpleNamespace]":
    motion: Dict[str, Any] = {"file": "walk.npz", "contact_bodies": None, "rise_height": None, "max_low_s": None}
    motion.update(given)
    return SimpleNamespace(**motion), SimpleNamespace(torque_limits=None)


def test_bundled_motions_keep_their_presets(humanoid: CharacterSpec) -> None:
    motion, character = _config(file="cartwheel.npz")
    assert fill_in(motion, character, load_motion("cartwheel").clips, humanoid) == []
    assert motion.contact_bodies is None and character.torque_limits is None


def test_a_clip_of_ones_own_sets_what_is_left_open(humanoid: CharacterSpec, tmp_path: Path) -> None:
    save_clip(load_clip(find_motion("roll")), tmp_path / "mine.npz")
    motion, character = _config(file=str(tmp_path / "mine.npz"))
    said = fill_in(motion, character, load_motion(tmp_path / "mine.npz").clips, humanoid)
    assert "torso" in motion.contact_bodies and motion.max_low_s > 0.7 and character.torque_limits["left_hip"] == 187.5
    assert len(said) == 3 and said[0].startswith("motion.contact_bodies=[")


def test_what_the_user_sets_stays(humanoid: CharacterSpec, tmp_path: Path) -> None:
    save_clip(load_clip(find_motion("roll")), tmp_path / "mine.npz")
    motion, character = _config(file=str(tmp_path / "mine.npz"), contact_bodies=["all"], rise_height=0.4, max_low_s=3.0)
    character.torque_limits = {"left_hip": 99.0}
    assert fill_in(motion, character, load_motion(tmp_path / "mine.npz").clips, humanoid) == []
    assert motion.contact_bodies == ["all"] and motion.rise_height == 0.4


@pytest.mark.parametrize("name", ["walk", "jump", "crawl", "getup_faceup"])
def test_good_clips_pass_the_check(humanoid: CharacterSpec, name: str) -> None:
    findings = check_clip(load_clip(find_motion(name)), humanoid)
    assert verdict(findings) == OK, table(findings)


def _spoilt(spec: CharacterSpec, how: str) -> Any:
    clip = load_clip(find_motion("walk"))
    pos, rot = clip.root_pos.clone(), clip.joint_rot.clone()
    if how == "ground_penetration_cm":
        pos[:, 2] -= 0.3
    elif how == "floating_cm":
        pos[:, 2] += 0.3
    elif how == "foot_slide_m_s":
        pos[:, 0] += torch.linspace(0.0, 2.5, len(pos))
    elif how == "joint_limit_excess_deg":
        knee = spec.joint_names.index("left_knee")
        rot[:, knee] = rotations.quat_from_angle_axis(torch.tensor(-0.7), torch.tensor([0.0, 1.0, 0.0]))
    elif how == "joint_speed_rad_s":
        rot[20, 3] = rotations.exp_map_to_quat(torch.tensor([0.0, 3.0, 0.0]))
    elif how == "root_acceleration_m_s2":
        pos[20, 0] += 0.8
    elif how == "loop_gap_deg":
        rot[-1, 0] = rotations.exp_map_to_quat(torch.tensor([0.0, 0.5, 0.0]))
    elif how == "facing_off_path_deg":
        pos[:, 0] *= -1.0
    elif how == "legs_crossed_share":
        order = [spec.joint_names.index(n) for n in ("left_hip", "right_hip")]
        for index, sign in zip(order, (1.0, -1.0)):
            rot[:, index] = rotations.exp_map_to_quat(torch.tensor([-0.4 * sign, 0.0, 0.0]))
    return replace(clip, root_pos=pos, joint_rot=rot)


@pytest.mark.parametrize(
    "how",
    ["ground_penetration_cm", "floating_cm", "foot_slide_m_s", "joint_limit_excess_deg", "joint_speed_rad_s",
     "root_acceleration_m_s2", "loop_gap_deg", "facing_off_path_deg", "legs_crossed_share"],
)  # fmt: skip
def test_a_check_finds_what_is_wrong_and_says_what_to_do(humanoid: CharacterSpec, how: str) -> None:
    findings = {f.name: f for f in check_clip(_spoilt(humanoid, how), humanoid)}
    assert findings[how].verdict in (WARNING, BAD), table(list(findings.values()))
    assert findings[how].advice
    assert check_named(humanoid, how) == OK


def check_named(spec: CharacterSpec, how: str) -> str:
    """The verdict on the walk as it is."""
    return {f.name: f.verdict for f in check_clip(load_clip(find_motion("walk")), spec)}[how]


def test_leaps_that_float_are_found(humanoid: CharacterSpec) -> None:
    findings = {f.name: f for f in check_clip(load_clip(find_motion("spin")), humanoid)}
    assert findings["flights_too_slow"].value == 1.0 and "retime_flights" in findings["flights_too_slow"].advice


def test_a_check_can_be_read_by_programs(humanoid: CharacterSpec) -> None:
    clip = standing_clip(humanoid, 30, root_pos=torch.tensor([0.0, 0.0, STANDING_HEIGHT + 1.0]).repeat(30, 1))
    report = as_json(clip, check_clip(clip, humanoid))
    assert report["verdict"] == BAD and report["findings"]["floating_cm"]["verdict"] == BAD
    assert report["frames"] == 30 and report["findings"]["duration_s"]["value"] == pytest.approx(29 / 30, abs=1e-3)
