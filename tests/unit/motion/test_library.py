"""The motion library looks poses up in batches, wraps or holds them, and samples times that have a history."""

import math
from dataclasses import fields, replace

import pytest
import torch
from make_clip import STANDING_HEIGHT, circling_clip, random_clip, standing_clip
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterSpec, CharacterState, Kinematics
from amp_train.errors import MotionError
from amp_train.motion import MotionLibrary, close_loop


def _look_up(library: MotionLibrary, times_s: Tensor, clip: int = 0) -> CharacterState:
    return library.state_at(torch.full(times_s.shape, clip, dtype=torch.long), times_s)


def _cyclic(humanoid: CharacterSpec, num_frames: int = 61, seed: int = 0) -> MotionLibrary:
    return MotionLibrary([close_loop(random_clip(humanoid, num_frames, seed, loop="wrap"))], spec=humanoid)


def _angle(p: Tensor, q: Tensor) -> Tensor:
    return rotations.quat_to_exp_map(rotations.quat_mul(rotations.quat_conjugate(p), q)).norm(dim=-1)


def test_the_state_at_a_frame_is_that_frame(humanoid: CharacterSpec) -> None:
    clip = random_clip(humanoid, 20)
    state = _look_up(MotionLibrary([clip], spec=humanoid), torch.arange(20) / 30.0)
    assert torch.allclose(state.root_pos, clip.root_pos, atol=1e-5)
    assert _angle(state.root_rot, clip.root_rot).max() < 1e-3
    assert _angle(state.joint_rot, clip.joint_rot).max() < 1e-3
    assert torch.allclose(state.dof_pos, Kinematics(humanoid).dof_pos(clip.joint_rot), atol=1e-4)


def test_halfway_between_frames_the_pose_is_halfway(humanoid: CharacterSpec) -> None:
    clip = random_clip(humanoid, 4)
    state = _look_up(MotionLibrary([clip], spec=humanoid), torch.tensor([1.5 / 30.0]))
    assert torch.allclose(state.root_pos[0], clip.root_pos[1:3].mean(dim=0), atol=1e-6)
    assert torch.allclose(
        _angle(state.root_rot[0], clip.root_rot[1]), _angle(state.root_rot[0], clip.root_rot[2]), atol=1e-4
    )


def test_the_bodies_are_those_of_the_interpolated_pose(humanoid: CharacterSpec) -> None:
    state = _look_up(MotionLibrary([random_clip(humanoid)], spec=humanoid), torch.rand(16) * 0.6)
    body_pos, body_rot = Kinematics(humanoid).forward(state.root_pos, state.root_rot, state.joint_rot)
    assert state.body_rot is not None and state.contact_force is None
    assert torch.equal(state.body_pos, body_pos) and torch.equal(state.body_rot, body_rot)


def test_a_batch_over_many_clips_equals_one_look_up_after_another(humanoid: CharacterSpec) -> None:
    clips = [
        random_clip(humanoid, 20, seed=1),
        close_loop(random_clip(humanoid, 31, seed=2, loop="wrap", fps=60.0)),
        circling_clip(humanoid, 1.0),
        random_clip(humanoid, 5, seed=3, fps=16.0),
    ]
    clip_ids, times_s = torch.arange(24) % 4, 6.0 * torch.rand(24) - 3.0
    batch = MotionLibrary(clips, spec=humanoid).state_at(clip_ids, times_s)
    libraries = [MotionLibrary([clip], spec=humanoid) for clip in clips]
    for row in range(24):
        alone = libraries[row % 4].state_at(torch.tensor([0]), times_s[row : row + 1])
        for field in fields(alone):
            value = getattr(alone, field.name)
            # One row or many may be summed in another order.
            assert value is None or torch.allclose(getattr(batch, field.name)[row], value[0], atol=2e-5), field.name


@pytest.mark.parametrize("cycles", [-3, -1, 1, 2, 50])
def test_a_straight_cycle_repeats_with_its_displacement(humanoid: CharacterSpec, cycles: int) -> None:
    root_pos = torch.stack((torch.linspace(0, 1.2, 31), torch.linspace(0, -0.3, 31), torch.full((31,), 0.9)), dim=-1)
    library = MotionLibrary([standing_clip(humanoid, 31, root_pos=root_pos, loop="wrap")], spec=humanoid)
    times_s = torch.tensor([0.0, 0.3, 0.77])
    first, later = _look_up(library, times_s), _look_up(library, times_s + cycles)
    # After 50 cycles a float32 time is known to 4 us, of a root at 1.2 m/s.
    assert torch.allclose(later.root_pos, first.root_pos + cycles * torch.tensor([1.2, -0.3, 0.0]), atol=3e-5)
    assert torch.allclose(later.root_vel, first.root_vel, atol=1e-4)
    assert torch.allclose(later.body_pos[:, 5] - later.root_pos, first.body_pos[:, 5] - first.root_pos, atol=1e-4)


@pytest.mark.parametrize("turn", [0.5 * math.pi, -0.3, 1e-3, 1e-6])
def test_a_turning_cycle_goes_on_along_its_circle(humanoid: CharacterSpec, turn: float) -> None:
    library = MotionLibrary([circling_clip(humanoid, turn)], spec=humanoid)
    times_s = torch.linspace(-3.0, 6.0, 37)
    state, angle = _look_up(library, times_s), turn * torch.linspace(-3.0, 6.0, 37)
    expected = 1.5 * torch.stack((torch.sin(angle), 1.0 - torch.cos(angle)), dim=-1)
    # A 31-frame polygon differs from its circle by radius * (turn / 30)^2 / 8 = 0.5 mm at most.
    assert torch.allclose(state.root_pos[:, :2], expected, atol=6e-4)
    assert torch.allclose(torch.sin(rotations.heading(state.root_rot) - angle), torch.zeros(37), atol=1e-4)
    velocity = 1.5 * turn * torch.stack((torch.cos(angle), torch.sin(angle)), dim=-1)
    assert torch.allclose(state.root_vel[:, :2], velocity, atol=2e-3)
    assert torch.allclose(state.root_ang_vel, torch.tensor([0.0, 0.0, turn]).expand(37, 3), atol=2e-3)


def test_a_quarter_turn_cycle_comes_back_after_four(humanoid: CharacterSpec) -> None:
    library = MotionLibrary([circling_clip(humanoid, 0.5 * math.pi)], spec=humanoid)
    start, end = _look_up(library, torch.tensor([0.25])), _look_up(library, torch.tensor([4.25]))
    assert torch.allclose(start.body_pos, end.body_pos, atol=1e-4)


def test_nothing_jumps_where_one_cycle_meets_the_next(humanoid: CharacterSpec) -> None:
    library = _cyclic(humanoid)
    duration = float(library.durations_s[0])
    for seam in (-duration, 0.0, duration, 3 * duration):
        before, after = _look_up(library, torch.tensor([seam - 1e-4])), _look_up(library, torch.tensor([seam + 1e-4]))
        # 0.2 ms at the clip's few rad/s and m/s.
        assert (before.body_pos - after.body_pos).abs().max() < 3e-3
        assert (before.dof_pos - after.dof_pos).abs().max() < 3e-3
        for name in ("root_vel", "root_ang_vel", "dof_vel"):
            # Velocities are interpolated linearly; accelerations stay below 200 rad/s^2.
            assert (getattr(before, name) - getattr(after, name)).abs().max() < 0.05, name


def test_a_clamp_clip_holds_its_ends_at_rest(humanoid: CharacterSpec) -> None:
    clip = random_clip(humanoid, 20)
    library = MotionLibrary([clip], spec=humanoid)
    state = _look_up(library, torch.tensor([-5.0, -1e-3, clip.duration_s + 1e-3, 100.0]))
    assert torch.allclose(state.root_pos, clip.root_pos[[0, 0, -1, -1]], atol=1e-5)
    assert _angle(state.joint_rot, clip.joint_rot[[0, 0, -1, -1]]).max() < 1e-3
    for name in ("root_vel", "root_ang_vel", "dof_vel"):
        assert (getattr(state, name) == 0).all()
    inside = _look_up(library, torch.tensor([0.0, clip.duration_s]))
    assert (inside.root_vel.norm(dim=-1) > 0.1).all()


def test_a_clip_with_a_loop_and_one_without_do_not_disturb_each_other(humanoid: CharacterSpec) -> None:
    clips = [random_clip(humanoid, 20), circling_clip(humanoid, 1.0)]
    library = MotionLibrary(clips, spec=humanoid)
    state = library.state_at(torch.tensor([0, 1]), torch.tensor([5.0, 5.0]))
    assert torch.allclose(state.root_pos[0], clips[0].root_pos[-1], atol=1e-5)
    assert state.root_vel[0].norm() == 0 and state.root_vel[1].norm() == pytest.approx(1.5, abs=1e-2)


def test_joints_in_the_files_order_are_mapped_to_the_characters(humanoid: CharacterSpec) -> None:
    clip = random_clip(humanoid)
    order = torch.randperm(humanoid.num_joints)
    shuffled = replace(clip, joint_names=tuple(clip.joint_names[i] for i in order), joint_rot=clip.joint_rot[:, order])
    times_s = torch.rand(8) * 0.6
    expected = _look_up(MotionLibrary([clip], spec=humanoid), times_s)
    assert torch.allclose(
        _look_up(MotionLibrary([shuffled], spec=humanoid), times_s).dof_pos, expected.dof_pos, atol=1e-5
    )


def test_clips_are_drawn_by_weight(humanoid: CharacterSpec) -> None:
    clips = [random_clip(humanoid, seed=seed) for seed in range(3)]
    library = MotionLibrary(clips, [1.0, 5.0, 2.0], spec=humanoid, generator=torch.Generator().manual_seed(0))
    share = torch.bincount(library.sample_clips(20_000), minlength=3) / 20_000
    # Four standard deviations of a share of 1/2 in 20000 draws are 0.014.
    assert torch.allclose(share, torch.tensor([0.125, 0.625, 0.25]), atol=0.015)
    assert torch.allclose(library.weights, torch.tensor([0.125, 0.625, 0.25]))


def test_the_same_seed_draws_the_same(humanoid: CharacterSpec) -> None:
    clips = [random_clip(humanoid, seed=seed) for seed in range(3)]
    drawn = []
    for _ in range(2):
        library = MotionLibrary(clips, spec=humanoid, generator=torch.Generator().manual_seed(7))
        torch.rand(1)
        clip_ids = library.sample_clips(100)
        drawn.append((clip_ids, library.sample_times(clip_ids)))
    assert torch.equal(drawn[0][0], drawn[1][0]) and torch.equal(drawn[0][1], drawn[1][1])


def test_times_leave_room_for_the_history_unless_the_clip_wraps(humanoid: CharacterSpec) -> None:
    clips = [random_clip(humanoid, 31), circling_clip(humanoid, 1.0)]
    library = MotionLibrary(clips, spec=humanoid, history_s=0.4)
    times_s = library.sample_times(torch.tensor([0, 1]).repeat(2000)).reshape(-1, 2)
    assert 0.4 <= times_s[:, 0].min() < 0.41 and 0.99 < times_s[:, 0].max() <= 1.0
    assert 0.0 <= times_s[:, 1].min() < 0.01 and 0.99 < times_s[:, 1].max() <= 1.0
    # Uniform over [0.4, 1]: a quarter below 0.55; four standard deviations are 0.04.
    assert abs(float((times_s[:, 0] < 0.55).float().mean()) - 0.25) < 0.04


def test_all_headings_of_a_clip_that_turns_are_drawn_on_request(humanoid: CharacterSpec) -> None:
    library = MotionLibrary([random_clip(humanoid, 31), circling_clip(humanoid, 1.0)], spec=humanoid)
    clip_ids = torch.tensor([0, 1]).repeat(4000)
    times_s = library.sample_times(clip_ids, any_cycle=True)
    assert times_s[clip_ids == 0].max() <= 1.0
    turning = times_s[clip_ids == 1]
    heading = rotations.heading(library.state_at(clip_ids[clip_ids == 1], turning).root_rot)
    share = torch.histc(heading, 8, -torch.pi, torch.pi) / len(heading)
    # Seven cycles of 1 rad reach 0.7 rad beyond a full turn.
    assert share.min() > 0.1 and 6.99 < turning.max() <= 7.0
    assert torch.equal(library.cycle_at(clip_ids[clip_ids == 1], turning)[0], turning.floor())


def test_a_clip_shorter_than_the_history_is_refused_unless_it_wraps(humanoid: CharacterSpec) -> None:
    with pytest.raises(MotionError, match="'random' lasts 0.633 s, less than the 0.700 s"):
        MotionLibrary([random_clip(humanoid, 20)], spec=humanoid, history_s=0.7)
    MotionLibrary([random_clip(humanoid, 20, loop="wrap")], spec=humanoid, history_s=0.7)


@pytest.mark.parametrize("weights", [[], [1.0], [1.0, 0.0], [1.0, -1.0], [1.0, float("nan")], [1.0, float("inf")]])
def test_bad_weights_are_refused(humanoid: CharacterSpec, weights: list) -> None:
    with pytest.raises(MotionError, match="2 motion clips need 2 weights"):
        MotionLibrary([random_clip(humanoid)] * 2, weights, spec=humanoid)


def test_no_clip_and_a_clip_of_another_character_are_refused(humanoid: CharacterSpec) -> None:
    with pytest.raises(MotionError, match="at least one clip"):
        MotionLibrary([], spec=humanoid)
    names = ("tail",) + humanoid.joint_names[1:]
    with pytest.raises(MotionError, match="it lacks abdomen; the character lacks tail"):
        MotionLibrary([standing_clip(humanoid, joint_names=names)], spec=humanoid)


def test_speed_and_lowest_heights_are_those_of_the_clip(humanoid: CharacterSpec) -> None:
    height = torch.tensor([0.9, 0.8, 0.7, 0.85])
    root_pos = torch.stack((torch.tensor([0.0, 0.1, 0.1, 0.0]), torch.zeros(4), height), dim=-1)
    library = MotionLibrary([standing_clip(humanoid, 4, root_pos=root_pos)], spec=humanoid)
    assert library.mean_root_speed.tolist() == pytest.approx([0.2 / 0.1])
    foot = humanoid.body_names.index("left_foot")
    assert library.min_body_height[0, 0].item() == pytest.approx(0.7)
    assert library.min_body_height[0, foot].item() == pytest.approx(0.7 - 0.421546 - 0.40987, abs=1e-5)


def test_without_a_character_the_bundled_humanoid_is_meant(humanoid: CharacterSpec) -> None:
    library = MotionLibrary([standing_clip(humanoid)])
    assert library.spec.body_names == humanoid.body_names and len(library.spec.key_body_ids) == 4
    assert float(_look_up(library, torch.zeros(1)).root_pos[0, 2]) == pytest.approx(STANDING_HEIGHT)
