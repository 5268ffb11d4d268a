"""A clip stands on the ground: as a whole, and in every frame in which something carries it."""

import math
from dataclasses import replace

import pytest
import torch
from make_clip import STANDING_HEIGHT, random_clip, standing_clip

from amp_train.character import CharacterSpec
from amp_train.motion import bundled_motions, find_motion, ground, load_clip, place_on_ground
from amp_train.motion.ground import lower_hovering, lowest_heights

# A little below what it is; the rest is flight. Before they were lowered: walk 0.62, run 0.20, crawl 0.04, roll 0.06.
CARRIED_SHARE = {
    "walk": 0.95, "run": 0.5, "jump": 0.7, "backflip": 0.65, "cartwheel": 0.9, "spinkick": 0.5, "spin": 0.7,
    "roll": 0.75, "crawl": 0.9, "dance_a": 0.85, "dance_b": 0.8, "kick": 0.9, "punch": 0.9, "getup_faceup": 0.95,
    "getup_facedown": 0.95,
}  # fmt: skip


@pytest.mark.parametrize("height", [STANDING_HEIGHT, 2.0, 0.1])
def test_a_standing_clip_is_put_on_the_ground_from_any_height(humanoid: CharacterSpec, height: float) -> None:
    clip = place_on_ground(standing_clip(humanoid, root_pos=torch.tensor([3.0, 4.0, height]).repeat(4, 1)), humanoid)
    # The legs and the foot box below the ankle: 0.421546 + 0.40987 + 0.0225 + 0.0275 m.
    assert torch.allclose(clip.root_pos, torch.tensor([3.0, 4.0, 0.881416]).expand(4, 3), atol=1e-5)


def test_the_lowest_body_decides_not_the_feet(humanoid: CharacterSpec) -> None:
    upside_down = standing_clip(humanoid, root_rot=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(4, 1))
    clip = place_on_ground(upside_down, humanoid)
    # The top of the head lies 0.236151 + 0.223894 + 0.175 + 0.095 m from the pelvis.
    assert clip.root_pos[0, 2].item() == pytest.approx(0.730045, abs=1e-5)
    assert lowest_heights(clip, humanoid).min().abs() < 1e-5


def test_one_wrong_frame_in_forty_does_not_leave_the_others_hovering(humanoid: CharacterSpec) -> None:
    root_pos = torch.tensor([0.0, 0.0, 1.0]).repeat(40, 1)
    root_pos[7, 2] = 0.8
    clip = place_on_ground(standing_clip(humanoid, 40, root_pos=root_pos), humanoid)
    assert lowest_heights(clip, humanoid)[8].abs() < 1e-5


def test_a_long_clip_is_measured_piece_by_piece(humanoid: CharacterSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = random_clip(humanoid, 8)
    whole = lowest_heights(clip, humanoid)
    monkeypatch.setattr(ground, "_CHUNK", 3)
    assert torch.allclose(lowest_heights(clip, humanoid), whole, atol=1e-6)


def _standing_at(humanoid: CharacterSpec, heights: torch.Tensor, **kwargs):
    """A clip of 60 frames a second whose soles are at `heights` (F,) m."""
    clip = place_on_ground(standing_clip(humanoid, len(heights)), humanoid)
    root_pos = clip.root_pos + torch.stack((0 * heights, 0 * heights, heights), dim=-1)
    return replace(clip, root_pos=root_pos, fps=60.0, **kwargs)


def test_feet_that_hover_while_they_carry_are_put_down(humanoid: CharacterSpec) -> None:
    heights = 0.03 + 0.02 * torch.sin(torch.arange(60) * 0.1)
    lowered = lower_hovering(_standing_at(humanoid, heights), humanoid)
    assert lowest_heights(lowered, humanoid).abs().max() < 2e-3  # smoothing costs the ends a little


@pytest.mark.parametrize("loop", ["clamp", "wrap"])
def test_a_jump_keeps_its_flight_and_takes_off_from_the_ground(humanoid: CharacterSpec, loop: str) -> None:
    time_s = torch.arange(24) / 60.0
    flight = 0.05 + 0.5 * 9.81 * (time_s * (0.4 - time_s)).clamp(min=0.0)  # 0.4 s, 0.2 m, from 5 cm above the ground
    before, after = torch.linspace(0.0, 0.05, 40), torch.linspace(0.05, 0.0, 40)
    clip = _standing_at(humanoid, torch.cat((before, flight, after)), loop=loop)
    heights = lowest_heights(lower_hovering(clip, humanoid), humanoid)
    assert heights[:36].abs().max() < 0.01 and heights[-36:].abs().max() < 0.01
    assert heights.max().item() == pytest.approx(0.196, abs=0.01)


def test_what_is_far_above_the_ground_is_meant(humanoid: CharacterSpec) -> None:
    clip = _standing_at(humanoid, torch.full((60,), 0.3))
    assert lower_hovering(clip, humanoid) is clip


def test_a_step_onto_a_box_stays_beside_frames_that_hover(humanoid: CharacterSpec) -> None:
    rise = 0.05 + 0.125 * (1.0 - torch.cos(torch.linspace(0.0, math.pi, 90)))
    heights = torch.cat((torch.full((60,), 0.05), rise, torch.full((60,), 0.3)))
    lowered = lowest_heights(lower_hovering(_standing_at(humanoid, heights), humanoid), humanoid)
    assert lowered[:50].abs().max() < 1e-3
    assert torch.allclose(lowered[-60:], torch.tensor(0.3), atol=2e-3)


def test_a_cycle_that_does_not_close_is_lowered_like_a_clip_with_ends(humanoid: CharacterSpec) -> None:
    heights = torch.linspace(0.06, 0.0, 60)
    clip = _standing_at(humanoid, heights, loop="wrap")
    lowered = lower_hovering(clip, humanoid)
    assert lowered.loop == "wrap"
    assert torch.equal(lowered.root_pos, lower_hovering(replace(clip, loop="clamp"), humanoid).root_pos)
    assert lowest_heights(lowered, humanoid).abs().max() < 5e-3


def test_a_frame_below_the_ground_is_not_raised(humanoid: CharacterSpec) -> None:
    heights = torch.zeros(60)
    heights[20:40] = -0.03
    clip = _standing_at(humanoid, heights)
    assert torch.allclose(lower_hovering(clip, humanoid).root_pos, clip.root_pos, atol=1e-6)


def test_only_the_height_changes_and_a_closed_loop_stays_closed(humanoid: CharacterSpec) -> None:
    clip = load_clip(find_motion("jump"), humanoid)
    raised = replace(clip, root_pos=clip.root_pos + torch.tensor([0.0, 0.0, 0.05]))
    lowered = lower_hovering(raised, humanoid)
    assert torch.equal(lowered.root_pos[:, :2], clip.root_pos[:, :2]) and torch.allclose(
        lowered.joint_rot, clip.joint_rot, atol=1e-6
    )
    assert (lowered.root_pos[0, 2] - lowered.root_pos[-1, 2]).abs() < 1e-6


@pytest.mark.parametrize("name", [n for n in bundled_motions() if find_motion(n).suffix == ".npz"])
def test_a_bundled_clip_stands_where_something_carries_it(humanoid: CharacterSpec, name: str) -> None:
    clip = load_clip(find_motion(name), humanoid)
    heights = lowest_heights(clip, humanoid)
    assert (heights.abs() < 0.012).float().mean() > CARRIED_SHARE[name]
    assert torch.quantile(heights, 0.05).abs() < 1e-3
    assert heights.min() > -0.035  # the deepest dips left (roll and spin) are in motions/PROVENANCE.md
