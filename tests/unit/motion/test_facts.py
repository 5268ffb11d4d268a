"""What clips tell of themselves agrees with the presets that were once written by hand; a check finds what is wrong."""

import math
from dataclasses import replace
from typing import Any, Optional, Set

import pytest
import torch
from make_clip import STANDING_HEIGHT, standing_clip
from omegaconf import OmegaConf

from amp_train import rotations
from amp_train.character import CharacterSpec, configured_character
from amp_train.config import Config, compose, resolve, with_overrides
from amp_train.config.validate import check_config
from amp_train.env import make_env
from amp_train.errors import ConfigError
from amp_train.motion import clip_facts, fill_in, find_motion, load_clip, load_motion, place_on_ground
from amp_train.motion.check import BAD, OK, WARNING, as_json, check_clip, table, verdict
from amp_train.motion.facts import standing_height
from amp_train.motion.operations import crop, other_side
from amp_train.motion.strength import torque_needed
from amp_train.paths import PRETRAINED_DIR
from amp_train.runner.training import description, stored_config

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
    "name, more",
    [("crawl", {"right_shin", "left_shin", "right_hand", "left_hand"}), ("roll", {"torso", "head", "left_thigh"})],
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


STRONG = {
    "run",
    "backflip",
    "cartwheel",
    "crawl",
    "dance_a",
    "dance_b",
    "jump",
    "kick",
    "punch",
    "roll",
    "spin",
    "spinkick",
}


@pytest.mark.parametrize("name", sorted(STRONG | {"walk"}))
def test_more_strength_is_asked_for_by_every_clip_but_the_walk(humanoid: CharacterSpec, name: str) -> None:
    limits = clip_facts(load_motion(name).clips, humanoid).torque_limits
    assert bool(limits) == (name in STRONG)
    if limits:
        assert limits["left_knee"] == 200.0  # twice 100


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


def _config(**given: Any) -> "tuple[Any, Any]":
    """`cfg.motion` and `cfg.character` of a clip without presets, as they are composed."""
    cfg = compose(["motion.file=mine.npz"])
    for key, value in given.items():
        cfg.motion[key] = value
    return cfg.motion, cfg.character


def test_a_clip_sets_what_is_left_open(humanoid: CharacterSpec) -> None:
    motion, character = _config()
    said = fill_in(motion, character, load_motion("roll").clips, humanoid)
    assert list(motion.contact_bodies) == ["all"] and motion.max_low_s > 0.7
    assert character.torque_limits["left_hip"] == 250.0
    assert len(said) == 3 and said[0] == "motion.contact_bodies=[all]"


def test_what_the_user_sets_stays(humanoid: CharacterSpec) -> None:
    motion, character = _config(contact_bodies=["all"], rise_height=0.4, max_low_s=3.0)
    character.torque_limits = {"left_hip": 99.0}
    assert fill_in(motion, character, load_motion("roll").clips, humanoid) == []
    assert list(motion.contact_bodies) == ["all"] and motion.rise_height == 0.4


@pytest.mark.parametrize("derive, count", [([], 0), (["contact_bodies"], 1), (["low_posture", "torque_limits"], 2)])
def test_only_what_is_asked_for_is_taken(humanoid: CharacterSpec, derive: "list[str]", count: int) -> None:
    motion, character = _config(derive=derive)
    assert len(fill_in(motion, character, load_motion("roll").clips, humanoid)) == count


def _filled_in(*overrides: str) -> "tuple[Config, list[str]]":
    """What a training with these overrides takes from its clips."""
    cfg = compose(list(overrides))
    spec = configured_character(cfg.character)
    return cfg, fill_in(cfg.motion, cfg.character, load_motion(cfg.motion.file, spec).clips, spec)


def test_a_calm_clip_adds_nothing() -> None:
    cfg, said = _filled_in("motion=walk")
    assert said == [] and not cfg.character.torque_limits


def test_joints_that_carry_weight_on_the_ground_may_need_more_strength() -> None:
    cfg, said = _filled_in("motion=crawl")
    assert cfg.character.torque_limits["left_hip"] == 250.0 and "unknown: its body carries weight" in said[0]


@pytest.mark.parametrize("name", ["run", "spinkick", "locomotion", "dance", "kick", "punch", "heading", "spin"])
def test_a_lively_clip_on_the_feet_adds_strength_alone(name: str) -> None:
    cfg, said = _filled_in(f"motion={name}")
    assert len(said) == 1 and said[0].startswith("torque limits 2 times the character's")
    assert (cfg.character.torque_limits["right_hip"], cfg.character.torque_limits["right_knee"]) == (250.0, 200.0)


@pytest.mark.parametrize("name", ["run", "spin", "backflip", "cartwheel", "roll"])
def test_the_reference_takes_only_what_may_touch_the_ground(name: str) -> None:
    cfg, _ = _filled_in(f"motion={name}", "recipe=isaacgymenvs")
    assert (cfg.motion.rise_height, cfg.motion.max_low_s, dict(cfg.character.torque_limits)) == (None, None, {})


def test_a_policy_keeps_the_strength_it_was_trained_with() -> None:
    cfg = resolve(compose(["motion=run", "num_envs=1", "sim=mujoco"]))
    env = make_env(cfg)
    stored = description(cfg, env)["config"]
    env.close()
    playing, said = with_overrides(stored, ["motion=walk"]), with_overrides(stored, []).character.torque_limits
    assert playing.character.torque_limits["left_hip"] == said["left_hip"] == 250.0


def test_an_unknown_fact_is_told() -> None:
    with pytest.raises(ConfigError, match="Unknown motion.derive 'contacts'.*contact_bodies"):
        check_config(compose(["motion.derive=[contacts]"]))


@pytest.mark.parametrize("policy", sorted(path.stem for path in PRETRAINED_DIR.glob("*.pth")))
def test_shipped_policies_are_evaluated_as_they_were_trained(policy: str) -> None:
    stored = stored_config(str(PRETRAINED_DIR / f"{policy}.pth"))
    assert stored is not None
    cfg = with_overrides(stored, [])
    before = OmegaConf.to_container(cfg)
    spec = configured_character(cfg.character)
    assert fill_in(cfg.motion, cfg.character, load_motion(cfg.motion.file, spec).clips, spec) == []
    assert OmegaConf.to_container(cfg) == before
    for key in ("contact_bodies", "rise_height", "max_low_s"):
        assert cfg.motion[key] == stored["motion"].get(key), key


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
    elif how in ("joint_speed_rad_s", "joint_acceleration_rad_s2"):
        rot[20, 3] = rotations.exp_map_to_quat(torch.tensor([0.0, 3.0, 0.0]))
    elif how == "root_acceleration_m_s2":
        pos[20, 0] += 0.8
    elif how == "loop_gap_deg":
        rot[-1, 0] = rotations.exp_map_to_quat(torch.tensor([0.0, 0.5, 0.0]))
    elif how == "facing_off_path_deg":
        pos[:, 0] *= -1.0
    elif how == "jitter_share":
        noise = 0.15 * torch.randn(rot.shape[:2] + (3,), generator=torch.Generator().manual_seed(0))
        rot = rotations.quat_mul(rot, rotations.exp_map_to_quat(noise))
    elif how == "loop_speed_gap_rad_s":  # a run goes on backwards: the pose meets, its speed does not
        clip = load_clip(find_motion("run"))
        pos, rot = clip.root_pos, clip.joint_rot
        pos, rot = torch.cat((pos, pos.flip(0)[1:])), torch.cat((rot, rot.flip(0)[1:]))
        root_rot = torch.cat((clip.root_rot, clip.root_rot.flip(0)[1:]))
        clip = replace(clip, root_rot=root_rot, joint_rot=rot, root_pos=pos)
    elif how == "duration_s":
        return crop(clip, 0.0, 0.2)
    elif how == "legs_crossed_share":
        order = [spec.joint_names.index(n) for n in ("left_hip", "right_hip")]
        for index, sign in zip(order, (1.0, -1.0)):
            rot[:, index] = rotations.exp_map_to_quat(torch.tensor([-0.4 * sign, 0.0, 0.0]))
    return replace(clip, root_pos=pos, joint_rot=rot)


@pytest.mark.parametrize(
    "how",
    ["ground_penetration_cm", "floating_cm", "foot_slide_m_s", "joint_limit_excess_deg", "joint_speed_rad_s",
     "joint_acceleration_rad_s2", "jitter_share", "root_acceleration_m_s2", "loop_gap_deg", "loop_speed_gap_rad_s",
     "facing_off_path_deg", "legs_crossed_share", "duration_s"],
)  # fmt: skip
def test_a_check_finds_what_is_wrong_and_says_what_to_do(humanoid: CharacterSpec, how: str) -> None:
    findings = {f.name: f for f in check_clip(_spoilt(humanoid, how), humanoid)}
    assert findings[how].verdict in (WARNING, BAD), table(list(findings.values()))
    assert findings[how].advice
    assert check_named(humanoid, how) == OK


def check_named(spec: CharacterSpec, how: str) -> str:
    """The verdict on the walk as it is."""
    return {f.name: f.verdict for f in check_clip(load_clip(find_motion("walk")), spec)}[how]


@pytest.mark.parametrize("name", ["walk", "run", "kick", "punch", "jump", "spinkick", "cartwheel", "crawl"])
def test_exchanged_sides_are_found(humanoid: CharacterSpec, name: str) -> None:
    clip = load_clip(find_motion(name))
    order = [humanoid.joint_names.index(other_side(joint)) for joint in humanoid.joint_names]
    exchanged = replace(clip, joint_rot=clip.joint_rot[:, order])
    as_it_is, wrong = ({f.name: f for f in check_clip(c, humanoid)}["left_right_exchanged"] for c in (clip, exchanged))
    assert as_it_is.verdict == OK and wrong.verdict == BAD and "map=" in wrong.advice


def test_a_leap_slowed_down_is_found(humanoid: CharacterSpec) -> None:
    clip = load_clip(find_motion("jump"))
    as_it_is, slow = ({f.name: f for f in check_clip(c, humanoid)}["flights_too_slow"]
                      for c in (clip, replace(clip, fps=clip.fps / 1.5)))  # fmt: skip
    assert as_it_is.verdict == OK and slow.verdict == WARNING and "retime_flights" in slow.advice


def test_leaps_that_float_are_found(humanoid: CharacterSpec) -> None:
    findings = {f.name: f for f in check_clip(load_clip(find_motion("spin")), humanoid)}
    assert findings["flights_too_slow"].value == 1.0 and "retime_flights" in findings["flights_too_slow"].advice


def test_a_check_can_be_read_by_programs(humanoid: CharacterSpec) -> None:
    clip = standing_clip(humanoid, 30, root_pos=torch.tensor([0.0, 0.0, STANDING_HEIGHT + 1.0]).repeat(30, 1))
    report = as_json(clip, check_clip(clip, humanoid))
    assert report["verdict"] == BAD and report["findings"]["floating_cm"]["verdict"] == BAD
    assert report["frames"] == 30 and report["findings"]["duration_s"]["value"] == pytest.approx(29 / 30, abs=1e-3)
