"""Mirror, crop, resample, concatenate, loop: what is kept and what changes. And the formats that clips are written
in."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from make_clip import circling_clip, random_clip, standing_clip
from make_rigs import body_distances_cm, joint_angles_deg

from amp_train import rotations
from amp_train.character import CharacterSpec
from amp_train.errors import ConfigError, MotionError
from amp_train.motion import export_clip, find_motion, load_clip
from amp_train.motion.operations import best_cycle, concat, crop, ends_meet, loop, mirror, posed_bodies, resample


def test_a_mirrored_body_is_on_the_other_side(humanoid: CharacterSpec) -> None:
    clip = random_clip(humanoid)
    mirrored = mirror(clip, humanoid)
    pos, _ = posed_bodies(clip, humanoid)
    other, _ = posed_bodies(mirrored, humanoid)
    names = humanoid.body_names
    for body, name in enumerate(names):
        swapped = name.replace("left", "?").replace("right", "left").replace("?", "right")
        expected = pos[:, body] * torch.tensor([1.0, -1.0, 1.0])
        assert torch.allclose(other[:, names.index(swapped)], expected, atol=1e-5)
    assert float(joint_angles_deg(clip, mirror(mirrored, humanoid)).max()) < 0.05


def test_crop_keeps_the_frames_between(humanoid: CharacterSpec) -> None:
    clip = load_clip(find_motion("walk"))
    part = crop(clip, 0.2, 0.8)
    assert part.num_frames == 19 and part.loop == "clamp" and torch.equal(part.joint_rot, clip.joint_rot[6:25])
    assert crop(clip).loop == "wrap"
    with pytest.raises(MotionError, match="there is nothing between"):
        crop(clip, 5.0, 6.0)


@pytest.mark.parametrize("fps", [24.0, 60.0, 120.0])
def test_resampling_keeps_length_and_poses(humanoid: CharacterSpec, fps: float) -> None:
    clip = load_clip(find_motion("walk"))
    other = resample(clip, fps)
    assert other.duration_s == pytest.approx(clip.duration_s, abs=1e-6) and other.fps == pytest.approx(fps, rel=0.03)
    assert torch.allclose(other.root_pos[-1], clip.root_pos[-1], atol=1e-6)
    back = resample(other, clip.fps)
    assert float(joint_angles_deg(clip, back).max()) < (8.0 if fps < 30 else 0.05)
    with pytest.raises(MotionError, match="fps must be"):
        resample(clip, 0.0)


def test_clips_go_on_where_the_one_before_ended(humanoid: CharacterSpec) -> None:
    quarter = replace(circling_clip(humanoid, math.pi / 2), loop="clamp")
    whole = concat([quarter, quarter, quarter, quarter], humanoid)
    assert whole.num_frames == 4 * 30 + 1
    assert torch.allclose(whole.root_pos[-1], whole.root_pos[0], atol=1e-4)  # a full circle
    steps = (whole.root_pos[1:] - whole.root_pos[:-1]).norm(dim=-1)
    assert float(steps.max()) < 1.02 * float(steps.min())


def test_a_gap_between_clips_is_blended_away(humanoid: CharacterSpec) -> None:
    bent = standing_clip(humanoid, 30)
    rot = bent.joint_rot.clone()
    rot[:, 0] = rotations.exp_map_to_quat(torch.tensor([0.0, 0.6, 0.0]))
    joined = concat([standing_clip(humanoid, 30), replace(bent, joint_rot=rot)], humanoid, blend_s=0.5)
    turn = rotations.quat_to_exp_map(joined.joint_rot[:, 0])[:, 1]
    assert float(turn[29]) == 0.0 and float(turn[-1]) == pytest.approx(0.6, abs=1e-3)
    assert float((turn[1:] - turn[:-1]).abs().max()) < 0.08  # a jump would be 0.6


def test_the_cycle_of_a_long_take_is_found_and_closed(humanoid: CharacterSpec) -> None:
    walk = load_clip(find_motion("walk"))
    kick = load_clip(find_motion("kick"))
    take = concat([kick, walk, walk, kick], humanoid)
    cycle = best_cycle(take, 0.8, 2.0)
    assert (cycle.end - cycle.begin) / take.fps == pytest.approx(walk.duration_s, abs=0.04)
    assert cycle.gap_rad < 0.05
    closed = loop(take, 0.8, 2.0)
    assert closed.loop == "wrap" and ends_meet(closed)
    assert torch.allclose(closed.joint_rot[0], closed.joint_rot[-1], atol=1e-5)
    with pytest.raises(MotionError, match=r"less than a cycle \(shortest=9"):
        best_cycle(walk, 9.0)


@pytest.mark.parametrize("ending", [".bvh", ".csv", ".txt", ".npy", ".pkl", ".npz"])
@pytest.mark.parametrize("name", ["walk", "spinkick", "getup_faceup"])
def test_a_clip_comes_back_from_every_format(humanoid: CharacterSpec, tmp_path: Path, name: str, ending: str) -> None:
    if ending == ".bvh":
        pytest.importorskip("mink")
    clip = load_clip(find_motion(name))
    export_clip(clip, humanoid, tmp_path / f"clip{ending}")
    from amp_train.motion import RetargetOptions

    options = RetargetOptions(ik=False, max_fps=1000.0, fps=clip.fps if ending == ".csv" else None)
    got = load_clip(tmp_path / f"clip{ending}", humanoid, fit_ground=ending == ".bvh", options=options)
    assert got.num_frames == clip.num_frames and got.fps == pytest.approx(clip.fps, rel=1e-3)
    assert float(joint_angles_deg(clip, got).max()) < 0.2
    assert float((body_distances_cm(clip, got, humanoid)).mean()) < 0.5
    if ending in (".txt", ".pkl", ".npz"):
        assert got.loop == clip.loop


def test_an_unknown_format_is_told(humanoid: CharacterSpec, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Unknown format 'bhv'.*Did you mean 'bvh'"):
        export_clip(standing_clip(humanoid), humanoid, tmp_path / "clip.bhv")
