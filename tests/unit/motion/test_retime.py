"""`retime_flights`: a leap that was slowed down falls with gravity again, and nothing else changes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from make_clip import STANDING_HEIGHT, standing_clip

from amp_train.character import CharacterSpec
from amp_train.motion import MotionClip, find_motion, load_clip, retime_flights
from amp_train.motion.ground import GRAVITY_M_S2, lowest_heights, mass_height


def leap(spec: CharacterSpec, gravity: float, seconds: float = 0.5, fps: float = 60.0) -> MotionClip:
    """Stand for a second, leap, stand for a second; 1 m/s ahead."""
    time = np.arange(int((2.0 + seconds) * fps) + 1) / fps - 1.0
    height = np.clip(0.5 * gravity * time * (seconds - time), 0.0, None)
    root_pos = np.stack((time, 0 * time, STANDING_HEIGHT + height), axis=-1)
    return replace(standing_clip(spec, len(time), root_pos=torch.from_numpy(root_pos).float()), fps=fps)


def fall_in_the_air(clip: MotionClip, spec: CharacterSpec) -> float:
    air = (lowest_heights(clip, spec) > 0.06).numpy()
    return float(-2.0 * np.polyfit(np.arange(air.sum()) / clip.fps, mass_height(clip, spec).numpy()[air], 2)[0])


@pytest.mark.parametrize("gravity", [9.81, 8.0, 12.0])
def test_a_leap_at_its_own_speed_stays_as_it_is(humanoid: CharacterSpec, gravity: float) -> None:
    clip = leap(humanoid, gravity)
    assert retime_flights(clip, humanoid) is clip


def test_a_slow_leap_falls_with_gravity_and_the_standing_keeps_its_time(humanoid: CharacterSpec) -> None:
    clip = leap(humanoid, GRAVITY_M_S2 / 2.25, seconds=0.75)
    retimed = retime_flights(clip, humanoid)
    assert fall_in_the_air(retimed, humanoid) == pytest.approx(GRAVITY_M_S2, rel=0.03)
    # A third of the flight, of what is before it, and about half of that of easing in and out.
    assert clip.duration_s - retimed.duration_s == pytest.approx(0.75 / 3, abs=0.1)
    assert torch.allclose(torch.diff(retimed.root_pos[:20, 0]) * retimed.fps, torch.ones(19), atol=1e-3)  # 1 m/s
    assert torch.equal(retimed.root_pos[0], clip.root_pos[0])
    assert torch.allclose(retimed.root_pos[-1], clip.root_pos[-1], atol=1e-5)
    highest = float(mass_height(clip, humanoid).max())
    assert float(mass_height(retimed, humanoid).max()) == pytest.approx(highest, abs=1e-3)


def test_a_leap_is_played_at_most_twice_as_fast(humanoid: CharacterSpec) -> None:
    retimed = retime_flights(leap(humanoid, 1.5, seconds=2.0), humanoid)
    assert float((torch.diff(retimed.root_pos[:, 0]) * retimed.fps).max()) == pytest.approx(2.0, abs=0.01)


def test_what_stands_on_something_and_half_a_leap_stay_as_they_are(humanoid: CharacterSpec) -> None:
    raised = standing_clip(humanoid, 120, root_pos=torch.tensor([0.0, 0.0, STANDING_HEIGHT + 0.3]).repeat(120, 1))
    assert retime_flights(raised, humanoid) is raised
    whole = leap(humanoid, 4.0, seconds=0.75)
    cut = replace(whole, root_pos=whole.root_pos[80:], root_rot=whole.root_rot[80:], joint_rot=whole.joint_rot[80:])
    assert float(lowest_heights(cut, humanoid)[0]) > 0.06
    assert retime_flights(cut, humanoid) is cut


def test_a_fast_camera_stays_within_what_a_clip_may_be(humanoid: CharacterSpec) -> None:
    retimed = retime_flights(leap(humanoid, 4.0, seconds=0.75, fps=900.0), humanoid)
    assert retimed.fps == pytest.approx(1000.0, abs=1.0)
    assert fall_in_the_air(retimed, humanoid) == pytest.approx(GRAVITY_M_S2, rel=0.03)


def test_of_the_bundled_clips_those_with_slowed_frames_are_too_slow(humanoid: CharacterSpec) -> None:
    for name in ("walk", "run", "jump", "spinkick", "cartwheel", "roll", "kick", "getup_faceup"):
        clip = load_clip(find_motion(name + ".npz"), humanoid)
        assert retime_flights(clip, humanoid) is clip, name
    spin = load_clip(find_motion("spin.npz"), humanoid)
    backflip = load_clip(find_motion("backflip.npz"), humanoid)
    assert retime_flights(spin, humanoid).duration_s == pytest.approx(4.18, abs=0.02)
    assert retime_flights(backflip, humanoid).duration_s == pytest.approx(1.45, abs=0.02)
