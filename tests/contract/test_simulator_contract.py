"""What every simulator backend must do, whatever its engine. A backend that is missing on this machine skips and
says why."""

import contextlib
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Callable, Iterator

import isaacgym_double
import pytest
import torch
from robots import hinge_robot_config

from amp_train import rotations
from amp_train.character import CharacterSpec, CharacterState, Kinematics, configured_character
from amp_train.env.amp_observations import amp_obs_frame
from amp_train.errors import MissingPackageError
from amp_train.sim import Simulator, make_simulator

BACKENDS = ("mujoco", "isaacgym", pytest.param("mujoco_warp", marks=pytest.mark.warp))
GRAVITY = 9.81
CONTROL_DT_S = 1.0 / 30.0

Make = Callable[..., Simulator]
of_the_humanoid = pytest.mark.parametrize("character", ["humanoid"], indirect=True)


@pytest.fixture(params=["humanoid", "hinge_robot"])
def character(request: pytest.FixtureRequest, humanoid: CharacterSpec, tmp_path: Path) -> CharacterSpec:
    return humanoid if request.param == "humanoid" else configured_character(hinge_robot_config(tmp_path))


@pytest.fixture
def kinematics(character: CharacterSpec) -> Kinematics:
    return Kinematics(character)


@pytest.fixture(params=BACKENDS)
def make(request: pytest.FixtureRequest, character: CharacterSpec) -> Iterator[Make]:
    made, held = [], contextlib.ExitStack()
    if request.param == "isaacgym":
        held.enter_context(isaacgym_double.installed())

    def build(
        num_envs: int = 3, decimation: int = 4, num_threads: int = 2, spec: CharacterSpec = character
    ) -> Simulator:
        env = SimpleNamespace(control_frequency_hz=30)
        sim = SimpleNamespace(name=request.param, decimation=decimation, substeps=2, nconmax=16, njmax=128)
        cfg = SimpleNamespace(task=SimpleNamespace(env=env), sim=sim, num_envs=num_envs, num_threads=num_threads)
        cfg.sim_device, cfg.pipeline, cfg.headless, cfg.torch_deterministic = "cpu", "cpu", True, False
        try:
            made.append(make_simulator(cfg, spec))
        except MissingPackageError as error:
            pytest.skip(str(error))
        return made[-1]

    yield build
    for simulator in made:
        simulator.close()
    held.close()


def random_state(kinematics: Kinematics, num: int, height: float = 3.0) -> CharacterState:
    state = kinematics.default_state(num)
    state.root_pos = torch.randn(num, 3) + torch.tensor([0.0, 0.0, height])
    state.root_rot = rotations.normalize(torch.randn(num, 4))
    state.root_vel, state.root_ang_vel = torch.randn(num, 3), torch.randn(num, 3)
    state.dof_pos = 0.4 * torch.randn(num, kinematics.spec.num_dofs)
    hinges = kinematics.spec.joint_dofs(1)[1].reshape(-1)
    middle = (kinematics.spec.dof_lower + kinematics.spec.dof_upper) / 2
    state.dof_pos[:, hinges] = middle[hinges]
    state.dof_vel = torch.randn(num, kinematics.spec.num_dofs)
    state.joint_rot = kinematics.joint_rot(state.dof_pos)
    state.body_pos, state.body_rot = kinematics.forward(state.root_pos, state.root_rot, state.joint_rot)
    return state


def test_state_comes_back_as_it_was_set(make: Make, kinematics: Kinematics) -> None:
    simulator = make()
    given = random_state(kinematics, 3)
    simulator.set_state(torch.arange(3), given)
    got = simulator.state()
    for name in ("root_pos", "root_vel", "root_ang_vel", "dof_pos", "dof_vel", "body_pos"):
        torch.testing.assert_close(getattr(got, name), getattr(given, name), atol=1e-5, rtol=1e-5, msg=name)
    torch.testing.assert_close((got.root_rot * given.root_rot).sum(-1).abs(), torch.ones(3), atol=1e-6, rtol=0)
    same = (got.joint_rot * given.joint_rot).sum(-1).abs()
    torch.testing.assert_close(same, torch.ones_like(same), atol=1e-6, rtol=0)


@pytest.mark.parametrize("local_root_obs", [False, True])
def test_equal_states_give_equal_observations(make: Make, kinematics: Kinematics, local_root_obs: bool) -> None:
    simulator = make()
    given = random_state(kinematics, 3)
    simulator.set_state(torch.arange(3), given)
    of_given, of_simulator = (
        amp_obs_frame(state, kinematics.spec, local_root_obs) for state in (given, simulator.state())
    )
    torch.testing.assert_close(of_simulator, of_given, atol=1e-5, rtol=0)


@of_the_humanoid
def test_root_angular_velocity_is_in_the_world_frame(make: Make, kinematics: Kinematics) -> None:
    simulator = make(1)
    state = kinematics.default_state(1)
    state.root_pos[:, 2] = 5.0
    lying = rotations.quat_from_angle_axis(torch.tensor([math.pi / 2]), torch.tensor([[0.0, 1.0, 0.0]]))
    state.root_rot = lying
    state.root_ang_vel = torch.tensor([[0.0, 0.0, 2.0]])
    simulator.set_state(torch.arange(1), state)
    simulator.step(state.dof_pos)
    turned = rotations.quat_mul(simulator.state().root_rot, rotations.quat_conjugate(lying))
    # 2 rad/s about world z for 1/30 s; limp limbs disturb it by a little.
    expected = torch.tensor([[0.0, 0.0, 2.0 * CONTROL_DT_S]])
    torch.testing.assert_close(rotations.quat_to_exp_map(turned), expected, atol=6e-3, rtol=0)


def test_free_fall_follows_gravity(make: Make, kinematics: Kinematics) -> None:
    simulator = make(1)
    state = kinematics.default_state(1)
    state.root_pos[:, 2] = 10.0
    simulator.set_state(torch.arange(1), state)
    for _ in range(15):
        simulator.step(state.dof_pos)
    fallen = simulator.state()
    time_s = 15 * CONTROL_DT_S
    assert float(fallen.root_vel[0, 2]) == pytest.approx(-GRAVITY * time_s, rel=1e-3)
    # Semi-implicit Euler falls g t dt / 2 further than the parabola.
    further = GRAVITY * time_s * simulator.physics_dt_s / 2
    assert float(fallen.root_pos[0, 2]) == pytest.approx(10.0 - GRAVITY * time_s**2 / 2 - further, abs=2e-3)
    assert float(fallen.contact_force.abs().max()) == 0.0


@of_the_humanoid
def test_pd_drive_follows_its_target_as_an_overdamped_joint(make: Make, kinematics: Kinematics) -> None:
    spec = kinematics.spec
    simulator = make(1)
    state = kinematics.default_state(1)
    state.root_pos[:, 2] = 50.0
    simulator.set_state(torch.arange(1), state)
    wrist_side = spec.dof_offsets[spec.joint_names.index("right_elbow")]
    target = state.dof_pos.clone()
    target[0, wrist_side] = -0.2
    angles = []
    for _ in range(30):
        simulator.step(target)
        angles.append(float(simulator.state().dof_pos[0, wrist_side]))
    # kp = 150, kd = 15 and little inertia: first order with time constant kd / kp = 0.1 s, reached to 5 % after 3
    # of them.
    assert angles[2] == pytest.approx(-0.2 * (1 - math.exp(-1.0)), abs=0.02)
    assert angles[9] == pytest.approx(-0.2, abs=0.02)
    assert max(abs(a) for a in angles) < 0.21


@of_the_humanoid
def test_a_drive_gives_no_more_than_its_torque_limit(make: Make, kinematics: Kinematics) -> None:
    elbow = kinematics.spec.joint_names.index("right_elbow")
    dof = kinematics.spec.dof_offsets[elbow]
    turned = []
    for spec in (kinematics.spec, kinematics.spec.with_torque_limits({"right_elbow": 3.0})):
        simulator = make(1, spec=spec)
        state = kinematics.default_state(1)
        state.root_pos[:, 2] = 50.0
        simulator.set_state(torch.arange(1), state)
        target = state.dof_pos.clone()
        target[0, dof] = -1.2
        simulator.step(target)
        simulator.step(target)
        turned.append(-float(simulator.state().dof_pos[0, dof]))
        simulator.close()
    # The limit is that of the whole drive. Were the damping, 15 N m s/rad, outside it, 3 N m would turn the elbow by
    # 0.2 rad/s at most; its inertia, 0.015 kg m^2 and an arm's, lets them turn it by less than t^2 / 2 * 3 / 0.015.
    t = 2 * CONTROL_DT_S
    assert turned[0] > 0.15 and 0.2 * t < turned[1] < min(0.5 * turned[0], t**2 / 2 * 3.0 / 0.015)


@of_the_humanoid
def test_a_drive_at_its_limit_still_speeds_a_fast_joint_up(make: Make, kinematics: Kinematics) -> None:
    # Extending at 6 rad/s the knee's damping alone is 180 N m; outside the limit of 100 N m it would brake.
    knee = kinematics.spec.dof_offsets[kinematics.spec.joint_names.index("right_knee")]
    simulator = make(1)
    state = kinematics.default_state(1)
    state.root_pos[:, 2] = 50.0
    state.dof_pos[0, knee], state.dof_vel[0, knee] = 1.5, -6.0
    simulator.set_state(torch.arange(1), state)
    target = state.dof_pos.clone()
    target[0, knee] = -1.5
    simulator.step(target)
    assert -15.0 < float(simulator.state().dof_vel[0, knee]) < -6.5


@of_the_humanoid
def test_pd_target_of_a_ball_joint_is_an_exponential_map(make: Make, kinematics: Kinematics) -> None:
    spec = kinematics.spec
    simulator = make(1)
    state = kinematics.default_state(1)
    state.root_pos[:, 2] = 100.0
    simulator.set_state(torch.arange(1), state)
    dof = spec.dof_offsets[spec.joint_names.index("neck")]
    target = state.dof_pos.clone()
    target[0, dof : dof + 3] = torch.tensor([0.5, -0.4, 0.3])
    for _ in range(60):
        simulator.step(target)
    torch.testing.assert_close(simulator.state().dof_pos[0, dof : dof + 3], target[0, dof : dof + 3], atol=0.02, rtol=0)


RANGES = {"neck": [[-50, 50], [-40, 60], [-45, 45]], "right_ankle": [[-30, 30], [-55, 55], [-40, 40]]}


@of_the_humanoid
def test_a_limited_ball_joint_stays_in_its_ranges(make: Make, kinematics: Kinematics) -> None:
    spec = kinematics.spec.with_ball_ranges(RANGES)
    simulator = make(2, spec=spec)
    state = kinematics.default_state(2)
    state.root_pos[:, 2] = 100.0
    simulator.set_state(torch.arange(2), state)
    neck, ankle = (spec.dof_offsets[spec.joint_names.index(name)] for name in RANGES)
    target = state.dof_pos.clone()
    target[0, neck + 1], target[1, neck + 1] = 1.5, -1.5
    target[0, ankle], target[1, ankle] = 0.9, -0.4
    for _ in range(40):
        simulator.step(target)
    got = simulator.state().dof_pos
    assert got[:, neck + 1].tolist() == pytest.approx([math.radians(60), math.radians(-40)], abs=0.03)
    assert got[:, ankle].tolist() == pytest.approx([math.radians(30), -0.4], abs=0.03)
    # What has no ranges goes on turning freely.
    assert simulator.spec.dof_upper[spec.dof_offsets[0]] == pytest.approx(math.pi)


def test_resting_contact_force_equals_weight_and_points_up(make: Make, kinematics: Kinematics) -> None:
    simulator = make(1)
    state = kinematics.default_state(1)
    simulator.set_state(torch.arange(1), state)
    for _ in range(20):
        simulator.step(state.dof_pos)
    got = simulator.state().clone()
    simulator.set_state(torch.arange(1), state)
    assert float(simulator.state().contact_force.abs().max()) == 0.0, "a reset character has felt nothing yet"
    weight = GRAVITY * float(kinematics.spec.body_mass.sum())
    feet = [kinematics.spec.body_names.index(f) for f in ("left_foot", "right_foot")]
    assert float(got.contact_force[0, feet, 2].sum()) == pytest.approx(weight, rel=0.05)
    others = [b for b in range(kinematics.spec.num_bodies) if b not in feet]
    assert float(got.contact_force[0, others].abs().max()) == 0.0


def test_each_target_turns_its_own_joint(make: Make, kinematics: Kinematics) -> None:
    num = kinematics.spec.num_dofs
    simulator = make(num)
    state = kinematics.default_state(num)
    state.root_pos[:, 2] = 100.0
    simulator.set_state(torch.arange(num), state)
    # Away from the nearer limit, if there is one, and right limbs outwards, not into the trunk.
    middle = (kinematics.spec.dof_lower + kinematics.spec.dof_upper) / 2
    inwards = torch.tensor([name.startswith("right") and name.endswith("_x") for name in kinematics.spec.dof_names])
    turn = 0.2 * torch.where((state.dof_pos[0] > middle + 0.01) | inwards, -1.0, 1.0)
    for _ in range(40):
        simulator.step(state.dof_pos + torch.diag(turn))
    turned = simulator.state().dof_pos - state.dof_pos
    torch.testing.assert_close(turned.diagonal(), turn, atol=0.03, rtol=0)
    # Others stay, but for an arm that the leaning trunk touches.
    assert float((turned - torch.diag(turned.diagonal())).abs().max()) < 0.1


@of_the_humanoid
def test_friction_holds_below_the_cone_and_slides_above(make: Make, kinematics: Kinematics) -> None:
    simulator = make(2)
    state = kinematics.default_state(2)
    simulator.set_state(torch.arange(2), state)
    for _ in range(5):
        simulator.step(state.dof_pos)
    pushed = simulator.state().clone()
    pushed.root_vel[1, 0] = 3.0
    simulator.set_state(torch.arange(2), pushed)
    largest = 0.0
    for _ in range(3):
        simulator.step(state.dof_pos)
        force = simulator.state().contact_force.sum(1)
        largest = max(largest, float(force[1, :2].norm() / force[1, 2].clamp(min=1.0)))
    # Friction coefficient 1, pyramidal cone: at most sqrt(2) along a diagonal.
    assert 0.3 < largest < math.sqrt(2.0)
    assert float(simulator.state().root_vel[0, :2].norm()) < 0.1


def test_reset_touches_only_its_environments(make: Make, kinematics: Kinematics) -> None:
    simulator = make(4)
    simulator.set_state(torch.arange(4), random_state(kinematics, 4))
    simulator.step(torch.zeros(4, kinematics.spec.num_dofs))
    before = simulator.state().clone()
    simulator.set_state(torch.tensor([1, 3]), random_state(kinematics, 2))
    after = simulator.state()
    torch.testing.assert_close(after.dof_pos[[0, 2]], before.dof_pos[[0, 2]], atol=0, rtol=0)
    torch.testing.assert_close(after.body_pos[[0, 2]], before.body_pos[[0, 2]], atol=0, rtol=0)
    assert bool((after.root_pos[[1, 3]] != before.root_pos[[1, 3]]).all())


def test_reset_by_mask_is_a_reset_by_index(make: Make, kinematics: Kinematics) -> None:
    simulator = make(4)
    simulator.set_state(torch.arange(4), random_state(kinematics, 4))
    before, given = simulator.state().clone(), random_state(kinematics, 4)
    simulator.set_state_where(torch.tensor([True, False, False, True]), given)
    after = simulator.state()
    torch.testing.assert_close(after.dof_pos[[0, 3]], given.dof_pos[[0, 3]], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(after.root_ang_vel[[0, 3]], given.root_ang_vel[[0, 3]], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(after.body_pos[[1, 2]], before.body_pos[[1, 2]], atol=0, rtol=0)


def test_same_inputs_give_the_same_bits_whatever_the_threads(make: Make, kinematics: Kinematics) -> None:
    runs = []
    for threads in (1, 2):
        torch.manual_seed(5)
        simulator = make(4, num_threads=threads)
        simulator.set_state(torch.arange(4), random_state(kinematics, 4, height=1.0))
        for _ in range(10):
            simulator.step(0.3 * torch.randn(4, kinematics.spec.num_dofs))
        runs.append(simulator.state().clone())
        simulator.close()
    assert torch.equal(runs[0].dof_pos, runs[1].dof_pos) and torch.equal(runs[0].body_pos, runs[1].body_pos)


def test_full_state_continues_bit_for_bit(make: Make, kinematics: Kinematics) -> None:
    simulator = make(3)
    simulator.set_state(torch.arange(3), random_state(kinematics, 3, height=0.8))
    targets = 0.3 * torch.randn(10, 3, kinematics.spec.num_dofs)
    for target in targets[:5]:
        simulator.step(target)
    full_state = simulator.get_full_state()
    for target in targets[5:]:
        simulator.step(target)
    straight = simulator.state().clone()
    simulator.close()
    other = make(3)
    other.set_full_state(full_state)
    for target in targets[5:]:
        other.step(target)
    assert torch.equal(straight.dof_pos, other.state().dof_pos)
    assert torch.equal(straight.contact_force, other.state().contact_force)


def test_a_diverged_world_is_reported_and_can_be_reset(
    make: Make, kinematics: Kinematics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    simulator = make(3)
    state = random_state(kinematics, 3)
    state.dof_vel[1] = 1e12
    simulator.set_state(torch.arange(3), state)
    simulator.step(torch.zeros(3, kinematics.spec.num_dofs))
    assert simulator.diverged().tolist() == [False, True, False]
    simulator.set_state(torch.tensor([1]), kinematics.default_state(1))
    simulator.step(torch.zeros(3, kinematics.spec.num_dofs))
    assert simulator.diverged().tolist() == [False, False, False]
    assert bool(torch.isfinite(simulator.state().dof_pos).all())
    assert not list(Path().iterdir()), "a log file was left in the working directory"
