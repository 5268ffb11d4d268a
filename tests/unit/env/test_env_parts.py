"""The environment's rules, one by one, on hand-made states."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from amp_train.character import CharacterSpec, CharacterState, Kinematics
from amp_train.env.actions import PdActionMap
from amp_train.env.amp_observations import AmpHistory
from amp_train.env.termination import FallDetector, Termination
from amp_train.errors import CharacterError

CPU = torch.device("cpu")
LONG_AGO = torch.tensor([10])
NOT_LOW = torch.zeros(1, dtype=torch.long)


def standing(kinematics: Kinematics, num: int = 1) -> CharacterState:
    state = kinematics.default_state(num)
    state.contact_force = torch.zeros(num, kinematics.spec.num_bodies, 3)
    return state


def test_zero_action_aims_at_the_middle_of_each_range(humanoid: CharacterSpec) -> None:
    target = PdActionMap(humanoid, CPU)(torch.zeros(1, 28))[0]
    knee = humanoid.dof_offsets[humanoid.joint_names.index("right_knee")]
    elbow = humanoid.dof_offsets[humanoid.joint_names.index("left_elbow")]
    assert float(target[knee]) == pytest.approx(math.radians(80))
    assert float(target[elbow]) == pytest.approx(math.radians(-80))
    assert float(target[0]) == 0.0


def test_full_action_reaches_pi_and_beyond_the_hinge_limit_and_is_clamped(humanoid: CharacterSpec) -> None:
    target = PdActionMap(humanoid, CPU)(torch.full((1, 28), 7.0))[0]
    knee = humanoid.dof_offsets[humanoid.joint_names.index("right_knee")]
    assert float(target[0]) == pytest.approx(math.pi)
    # Middle 80 deg plus 0.7 x 160 deg.
    assert float(target[knee]) == pytest.approx(math.radians(80 + 112))


def test_history_is_newest_first_and_earlier_views_keep_their_values() -> None:
    history = AmpHistory(2, 3, 1, CPU)
    for value in (1.0, 2.0, 3.0):
        history.push(torch.full((2, 1), value))
    before = history.amp_obs
    history.push(torch.full((2, 1), 4.0))
    history.fill(torch.tensor([1]), torch.tensor([[[9.0], [8.0], [7.0]]]))
    assert before.tolist() == [[3, 2, 1], [3, 2, 1]]
    assert history.amp_obs.tolist() == [[4, 3, 2], [9, 8, 7]]


def detector(spec: CharacterSpec, height: float = 0.5, trunk: float = 0.0) -> FallDetector:
    min_height = torch.zeros(spec.num_bodies)
    min_height[spec.body_names.index("pelvis")] = trunk
    return FallDetector(spec, height, min_height, CPU)


def test_standing_on_the_feet_is_no_fall(humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    state = standing(kinematics)
    assert state.contact_force is not None
    state.contact_force[:, list(humanoid.contact_body_ids), 2] = 300.0
    assert not bool(detector(humanoid, trunk=0.6).fall_cause(state, LONG_AGO, NOT_LOW))


@pytest.mark.parametrize("axis, force", [(2, 50.0), (0, -50.0)])
def test_a_low_forbidden_contact_is_a_fall(
    humanoid: CharacterSpec, kinematics: Kinematics, axis: int, force: float
) -> None:
    state = standing(kinematics)
    assert state.contact_force is not None
    hand = humanoid.body_names.index("left_hand")
    state.contact_force[0, hand, axis] = force
    # The shins of a standing character are below 0.5 m, so the contact decides.
    assert bool(detector(humanoid).fall_cause(state, LONG_AGO, NOT_LOW))
    assert not bool(detector(humanoid).fall_cause(state, torch.tensor([1]), NOT_LOW)), (
        "contacts right after a reset are not judged"
    )
    assert not bool(detector(humanoid, height=0.2).fall_cause(state, LONG_AGO, NOT_LOW)), (
        "nothing forbidden is that low"
    )


def test_sensor_noise_is_no_contact(humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    state = standing(kinematics)
    assert state.contact_force is not None
    state.contact_force[0, 0, 2] = 0.05
    assert not bool(detector(humanoid).fall_cause(state, LONG_AGO, NOT_LOW))


def test_a_sunken_trunk_is_a_fall_without_any_contact(humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    state = standing(kinematics, 2)
    state.body_pos[1, :, 2] -= 0.5
    rules = detector(humanoid, height=0.0, trunk=0.6)
    assert rules.fall_cause(state, torch.tensor([1, 1]), NOT_LOW).bool().tolist() == [False, True]


def test_the_action_that_follows_a_pose_aims_ahead_of_it_by_what_damping_holds_back(humanoid: CharacterSpec) -> None:
    state = Kinematics(humanoid).default_state(1)
    knee = humanoid.dof_offsets[humanoid.joint_names.index("right_knee")]
    state.dof_pos[0, knee], state.dof_vel[0, knee] = 0.5, 2.0
    drive = PdActionMap(humanoid, CPU)
    # k_d / k_p of the knee: 30 / 300 s.
    assert float(drive(drive.following(state))[0, knee]) == pytest.approx(0.5 + 0.1 * 2.0)


def test_the_action_that_follows_a_pose_of_a_joint_without_a_drive_is_the_pose(humanoid: CharacterSpec) -> None:
    spec = replace(humanoid, dof_stiffness=torch.zeros_like(humanoid.dof_stiffness))
    state = Kinematics(spec).default_state(1)
    state.dof_pos[:], state.dof_vel[:] = 0.5 * (spec.dof_lower + spec.dof_upper) + 0.1, 2.0
    drive = PdActionMap(spec, CPU)
    torch.testing.assert_close(drive(drive.following(state)), state.dof_pos)


@pytest.mark.parametrize("rise_height, low, high", [(0.5, 0.4, 0.6), (1.0, 0.9, 1.1)])
def test_who_stays_low_for_longer_than_the_clip_does_has_fallen(
    rise_height: float, low: float, high: float, humanoid: CharacterSpec, kinematics: Kinematics
) -> None:
    free = replace(humanoid, contact_body_ids=tuple(range(humanoid.num_bodies)))
    rules = FallDetector(free, 0.0, torch.zeros(humanoid.num_bodies), CPU, rise_height, max_low_steps=3)
    state, steps, ended = standing(kinematics, 2), torch.zeros(2, dtype=torch.long), []
    state.root_pos[0, 2] = high
    for height in (low, low, low, high, low, low, low, low):
        state.root_pos[1, 2] = height
        steps = rules.low_steps(state, steps)
        ended.append(rules.fall_cause(state, torch.tensor([9, 9]), steps).bool().tolist())
    assert ended == [[False, False]] * 7 + [[False, True]]


@pytest.mark.parametrize(
    "limits, says", [({"wing": 5.0}, "wing"), ({"neck": 0.0}, "above 0"), ({"neck": -1}, "above 0")]
)
def test_a_torque_limit_that_cannot_be_is_refused(humanoid: CharacterSpec, limits: dict, says: str) -> None:
    with pytest.raises(CharacterError, match=says):
        humanoid.with_torque_limits(limits)


def test_a_torque_limit_holds_for_all_axes_of_its_joint_and_no_other(humanoid: CharacterSpec) -> None:
    hip = humanoid.dof_offsets[humanoid.joint_names.index("left_hip")]
    changed = humanoid.with_torque_limits({"left_hip": 200.0}).dof_effort != humanoid.dof_effort
    assert changed.nonzero().flatten().tolist() == [hip, hip + 1, hip + 2]


def test_the_cause_is_the_body_that_sank_else_the_lowest_that_touches(
    humanoid: CharacterSpec, kinematics: Kinematics
) -> None:
    state, names = standing(kinematics, 5), humanoid.body_names
    rules = FallDetector(humanoid, 0.5, 0.7 * state.body_pos[0, :, 2] * trunk_of(humanoid), CPU, 0.5, max_low_steps=3)
    assert state.contact_force is not None
    state.contact_force[:4, names.index("left_hand"), 2] = 5.0
    state.contact_force[1, names.index("right_shin"), 0] = -5.0  # lower than the hand
    state.body_pos[2, names.index("head"), 2] *= 0.5  # before any touch
    state.body_pos[2, names.index("torso"), 2] *= 0.6  # less deep
    steps, progress = torch.tensor([9, 0, 0, 0, 9]), torch.tensor([5, 5, 5, 1, 5])
    causes = rules.fall_cause(state, progress, steps)
    said = [rules.cause_names[cause] for cause in causes.tolist()]
    assert said == ["left_hand touched", "right_shin touched", "head sank", "", "stayed low"]


def trunk_of(spec: CharacterSpec) -> torch.Tensor:
    return torch.tensor([float(name in ("pelvis", "torso", "head")) for name in spec.body_names])


def test_diverged_physics_is_named_first_and_a_fall_before_the_task(
    humanoid: CharacterSpec, kinematics: Kinematics
) -> None:
    state = standing(kinematics, 4)
    state.body_pos[:2, :, 2] -= 0.5
    falls = FallDetector(humanoid, 0.0, 0.6 * trunk_of(humanoid), CPU, task_failure="lost")
    diverged, task_failed = torch.tensor([True, False, False, False]), torch.tensor([False, True, True, False])
    task: Any = SimpleNamespace(forgives=lambda state, fallen: None, failed=lambda state: task_failed)
    for early, says in ((True, ["diverged", "head sank", "lost", ""]), (False, ["diverged", "lost", "lost", ""])):
        rules = Termination(falls, early, 4, CPU)
        said = [rules.cause_names[cause] for cause in rules.cause(state, torch.full((4,), 9), diverged, task).tolist()]
        assert [text.replace("pelvis", "head").replace("torso", "head") for text in said] == says
    rules = Termination(falls, True, 4, CPU)
    task.forgives = lambda state, fallen: fallen & torch.tensor([True, True, False, False])
    said = [rules.cause_names[cause] for cause in rules.cause(state, torch.full((4,), 9), diverged, task).tolist()]
    assert said == ["diverged", "lost", "lost", ""]
