"""The ghost shows the clip where the character is in it."""

import math
from typing import Iterator

import pytest
import torch

from amp_train import rotations
from amp_train.character import CharacterSpec, CharacterState
from amp_train.motion import MotionLibrary, load_motion
from amp_train.viewers.ghost import GhostTracker, place, pose_error_m

DT_S = 1.0 / 30


@pytest.fixture(scope="module")
def walk(humanoid: CharacterSpec) -> Iterator[MotionLibrary]:
    clips, weights = load_motion("walk.npz", humanoid)
    yield MotionLibrary(clips, weights, "cpu", humanoid, 0.0, torch.Generator().manual_seed(0))


def at(library: MotionLibrary, *times_s: float) -> CharacterState:
    times = torch.tensor(times_s)
    return library.state_at(torch.zeros(len(times), dtype=torch.long), times)


def nothing_new(num: int) -> torch.Tensor:
    return torch.zeros(num, dtype=torch.bool)


def phase_error(found_s: torch.Tensor, expected_s: torch.Tensor, duration_s: float) -> torch.Tensor:
    return (torch.remainder(found_s - expected_s + 0.5 * duration_s, duration_s) - 0.5 * duration_s).abs()


def test_a_ghost_keeps_the_phase_of_what_follows_the_clip(walk: MotionLibrary) -> None:
    tracker, duration_s = GhostTracker(walk, DT_S), float(walk.durations_s[0])
    for step in range(60):
        times_s = torch.tensor([0.2, 0.7]) + step * DT_S
        state = at(walk, *times_s.tolist())
        ghost = tracker.follow(state, nothing_new(2))
        assert phase_error(tracker.times_s, times_s, duration_s).max() < 0.02, step
        assert pose_error_m(ghost, state).max() < 0.01


@pytest.mark.parametrize("tempo", [0.85, 1.15])
def test_a_ghost_is_pulled_along_by_another_tempo(walk: MotionLibrary, tempo: float) -> None:
    tracker, duration_s = GhostTracker(walk, DT_S), float(walk.durations_s[0])
    for step in range(90):
        times_s = torch.tensor([0.3]) + tempo * step * DT_S
        tracker.follow(at(walk, *times_s.tolist()), nothing_new(1))
        # Without the pull it would be 0.45 s off by the end.
        assert phase_error(tracker.times_s, times_s, duration_s).max() < 0.06, step


def test_only_a_new_episode_moves_a_ghost_at_once(walk: MotionLibrary) -> None:
    duration_s = float(walk.durations_s[0])
    for restarted in (True, False):
        tracker = GhostTracker(walk, DT_S)
        tracker.follow(at(walk, 0.1), nothing_new(1))
        tracker.follow(at(walk, 0.1 + 0.5 * duration_s), torch.tensor([restarted]))
        error = phase_error(tracker.times_s, torch.tensor([0.1 + 0.5 * duration_s]), duration_s)
        assert (error < 0.02) == restarted


def test_a_lost_ghost_finds_its_character_again(walk: MotionLibrary) -> None:
    tracker, duration_s = GhostTracker(walk, DT_S), float(walk.durations_s[0])
    tracker.follow(at(walk, 0.1), nothing_new(1))
    for step in range(30):  # the character stumbles half a cycle on
        time_s = 0.1 + 0.5 * duration_s + step * DT_S
        tracker.follow(at(walk, time_s), nothing_new(1))
    assert phase_error(tracker.times_s, torch.tensor([time_s]), duration_s) < 0.05


def test_a_diverged_character_does_not_break_the_ghosts_of_others(walk: MotionLibrary) -> None:
    tracker = GhostTracker(walk, DT_S)
    for step in range(3):
        state = at(walk, 0.3 + step * DT_S, 0.3)
        state.body_pos = state.body_pos.clone()
        state.body_pos[1] = float("nan")
        ghost = tracker.follow(state, nothing_new(2))
        assert torch.isfinite(ghost.root_pos).all()
    assert phase_error(tracker.times_s[:1], torch.tensor([0.3 + 2 * DT_S]), float(walk.durations_s[0])) < 0.02


def test_a_placed_ghost_faces_as_its_character_at_the_clips_height(walk: MotionLibrary) -> None:
    state = at(walk, 0.4)
    turn = rotations.yaw_quat(torch.tensor([2.0]))
    state.root_rot, state.root_pos = rotations.quat_mul(turn, state.root_rot), torch.tensor([[5.0, -3.0, 1.4]])
    ghost = place(at(walk, 0.4), state, (0.0, 0.9))
    assert torch.allclose(rotations.heading(ghost.root_rot), rotations.heading(state.root_rot), atol=1e-5)
    assert torch.allclose(ghost.root_pos[0, :2], torch.tensor([5.0, -2.1]))
    assert float(ghost.root_pos[0, 2]) == pytest.approx(float(at(walk, 0.4).root_pos[0, 2]))
    assert torch.allclose(ghost.body_pos[:, 0], ghost.root_pos, atol=1e-6)
    reach = (at(walk, 0.4).body_pos - at(walk, 0.4).root_pos.unsqueeze(1))[0, 5]
    moved = (ghost.body_pos - ghost.root_pos.unsqueeze(1))[0, 5]
    assert torch.allclose(rotations.quat_rotate(turn[0], reach), moved, atol=1e-5)


def test_the_pose_error_knows_no_place_and_no_heading_but_limbs(walk: MotionLibrary) -> None:
    state, moved = at(walk, 0.4), at(walk, 0.4)
    turn = rotations.yaw_quat(torch.tensor(math.pi / 3))
    moved.root_rot = rotations.quat_mul(turn, state.root_rot)
    moved.body_pos = rotations.quat_rotate(turn, state.body_pos) + torch.tensor([3.0, 4.0, 0.0])
    moved.root_pos = moved.body_pos[:, 0]
    assert pose_error_m(state, moved).max() < 1e-5
    moved.body_pos = moved.body_pos.clone()
    moved.body_pos[:, 1] += torch.tensor([0.0, 0.0, 0.3])
    assert float(pose_error_m(state, moved)) == pytest.approx(0.3 / state.body_pos.shape[1], rel=1e-4)
