"""The clips that come with the program: right side up, forward, left and right not swapped, feet on the ground."""

import pytest
import torch

from amp_train import rotations
from amp_train.character import CharacterSpec, CharacterState
from amp_train.motion import MotionClip, MotionLibrary, bundled_motions, find_motion, load_clip, load_motion
from amp_train.motion.velocities import cycle_of

CLIPS = [name for name in bundled_motions() if find_motion(name).suffix == ".npz"]


def _clip(name: str, humanoid: CharacterSpec) -> MotionClip:
    return load_clip(find_motion(name), humanoid)


def _frames(clip: MotionClip, humanoid: CharacterSpec) -> CharacterState:
    library = MotionLibrary([clip], spec=humanoid)
    return library.state_at(torch.zeros(clip.num_frames, dtype=torch.long), torch.arange(clip.num_frames) / clip.fps)


def _dof(humanoid: CharacterSpec, joint: str) -> int:
    return humanoid.dof_offsets[humanoid.joint_names.index(joint)]


def test_all_fifteen_clips_and_the_data_sets_are_there() -> None:
    wanted = "walk run jump backflip cartwheel spinkick spin roll crawl dance_a dance_b kick punch".split()
    assert set(wanted + ["getup_faceup", "getup_facedown"]) == set(CLIPS)
    assert {"locomotion", "dance", "getup"} <= set(bundled_motions())


@pytest.mark.parametrize("name", sorted(set(bundled_motions()) - set(CLIPS)))
def test_every_data_set_loads(humanoid: CharacterSpec, name: str) -> None:
    clips, weights = load_motion(name, humanoid)
    assert len(clips) == len(weights) == (4 if name == "heading_getup" else 2)


@pytest.mark.parametrize("name", CLIPS)
def test_a_clip_names_its_source(humanoid: CharacterSpec, name: str) -> None:
    clip = _clip(name, humanoid)
    assert "DeepMimic" in clip.source and "MIT" in clip.licence and clip.name == name


@pytest.mark.parametrize("name", CLIPS)
def test_knees_and_elbows_bend_the_right_way(humanoid: CharacterSpec, name: str) -> None:
    dof_pos = _frames(_clip(name, humanoid), humanoid).dof_pos
    for side in ("right", "left"):
        knee, elbow = (dof_pos[:, _dof(humanoid, side + joint)] for joint in ("_knee", "_elbow"))
        # The capture overshoots a straight knee by up to 0.22 rad (spinkick); a wrong sign would by 1 rad and more.
        assert knee.min() > -0.25 and knee.mean() > 0.2
        assert elbow.max() < 0.05 and elbow.mean() < -0.2


@pytest.mark.parametrize("name", [name for name in CLIPS if name not in ("kick", "punch") and "getup" not in name])
def test_a_cyclic_clip_closes_and_keeps_its_direction(humanoid: CharacterSpec, name: str) -> None:
    clip = _clip(name, humanoid)
    assert clip.loop == "wrap"
    gap = rotations.quat_mul(rotations.quat_conjugate(clip.joint_rot[0]), clip.joint_rot[-1])
    assert rotations.quat_to_exp_map(gap).norm(dim=-1).max() < 1e-3
    assert cycle_of(clip).turn.abs() < 1e-5


@pytest.mark.parametrize("name, speed", [("walk", 0.98), ("run", 3.56)])
def test_walking_and_running_go_where_the_character_faces(humanoid: CharacterSpec, name: str, speed: float) -> None:
    clip = _clip(name, humanoid)
    state = _frames(clip, humanoid)
    facing = rotations.quat_rotate(rotations.yaw_quat(rotations.heading(state.root_rot)), torch.tensor([1.0, 0.0, 0.0]))
    forward = (state.root_vel * facing).sum(-1)
    assert forward.min() > 0.5 * speed and forward.mean().item() == pytest.approx(speed, rel=0.03)
    assert clip.root_pos[-1, 0] > 0.9 and clip.root_pos[-1, 1].abs() < 0.01


def test_the_feet_of_the_walk_alternate_each_on_its_side(humanoid: CharacterSpec) -> None:
    state = _frames(_clip("walk", humanoid), humanoid)
    right, left = (state.body_pos[:, humanoid.body_names.index(foot)] for foot in ("right_foot", "left_foot"))
    lead = (right - left)[:, 0]
    assert lead.max() > 0.4 and lead.min() < -0.4
    # Facing +x, left is +y.
    assert (left - right)[:, 1].min() > 0.0
    # The foot in front swings forward past the one that stands.
    assert (torch.sign(lead[1:]) != torch.sign(lead[:-1])).sum() == 2


def test_arms_swing_against_the_legs(humanoid: CharacterSpec) -> None:
    state = _frames(_clip("walk", humanoid), humanoid)
    at = {body: state.body_pos[:, humanoid.body_names.index(body), 0] for body in humanoid.body_names}
    arms, legs = at["right_hand"] - at["left_hand"], at["right_foot"] - at["left_foot"]
    assert torch.corrcoef(torch.stack((arms, legs)))[0, 1] < -0.8


def test_the_backflip_turns_over_backwards_once(humanoid: CharacterSpec) -> None:
    state = _frames(_clip("backflip", humanoid), humanoid)
    up = rotations.quat_rotate(state.root_rot, torch.tensor([0.0, 0.0, 1.0]))[:, 2]
    assert up[0] > 0.9 and up[-1] > 0.9 and up.min() < -0.8
    # Backwards for one who faces +x is a turn about -y.
    assert (state.root_ang_vel[:, 1].sum() / 16.0).item() == pytest.approx(-2 * torch.pi, abs=0.7)


@pytest.mark.parametrize("name", ["getup_faceup", "getup_facedown"])
def test_the_getups_end_on_their_feet_from_the_side_they_are_named_after(humanoid: CharacterSpec, name: str) -> None:
    state = _frames(_clip(name, humanoid), humanoid)
    chest = rotations.quat_rotate(state.root_rot[0], torch.tensor([1.0, 0.0, 0.0]))[2]
    assert chest.item() * (1.0 if name == "getup_faceup" else -1.0) > 0.8
    assert state.body_pos[0, :, 2].max() < 0.45 and state.body_pos[-1, 2, 2] > 1.2
