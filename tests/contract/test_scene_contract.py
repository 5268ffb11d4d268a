"""What every backend with objects must do: they move as computed, and are set, reset and saved world by world."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Callable, Iterator, Tuple

import pytest
import torch

from amp_train import rotations
from amp_train.character import CharacterSpec, Kinematics
from amp_train.errors import ConfigError, MissingPackageError
from amp_train.sim import Simulator, make_simulator
from amp_train.sim.factory import BACKENDS
from amp_train.sim.scene import ObjectState, Scene, SceneObject, TerrainBox

ABLE = [
    pytest.param(name, marks=pytest.mark.warp) if name == "mujoco_warp" else name
    for name, record in BACKENDS.items()
    if record.supports_objects
]
GRAVITY, CONTROL_DT_S, RADIUS, ROLLING = 9.81, 1.0 / 30.0, 0.11, 0.01
BALL = SceneObject("ball", "sphere", (RADIUS,), mass=0.43, pos=(3.0, 0.0, RADIUS), rolling_friction=ROLLING)
TARGET = SceneObject("target", "capsule", (0.1, 0.4), kind="mocap", pos=(-3.0, 0.0, 1.0))
BALL_AND_TARGET = Scene((BALL, TARGET))

Make = Callable[..., Simulator]


def configured(name: str, num_envs: int) -> SimpleNamespace:
    sim = SimpleNamespace(name=name, decimation=4, substeps=2, nconmax=24, njmax=160)
    task = SimpleNamespace(env=SimpleNamespace(control_frequency_hz=30))
    cfg = SimpleNamespace(task=task, sim=sim, num_envs=num_envs, num_threads=1, sim_device="cpu", pipeline="cpu")
    cfg.headless, cfg.torch_deterministic = True, False
    return cfg


@pytest.fixture(params=ABLE)
def make(request: pytest.FixtureRequest, humanoid: CharacterSpec) -> Iterator[Make]:
    made = []

    def build(scene: Scene = BALL_AND_TARGET, num_envs: int = 2) -> Simulator:
        try:
            made.append(make_simulator(configured(request.param, num_envs), humanoid, scene))
        except MissingPackageError as error:
            pytest.skip(str(error))
        return made[-1]

    yield build
    for simulator in made:
        simulator.close()


def stand_aside(simulator: Simulator) -> torch.Tensor:
    """Put the characters high up, out of the way, and return the PD targets of their pose."""
    state = Kinematics(simulator.spec).default_state(simulator.num_envs)
    state.root_pos[:, 2] = 500.0
    simulator.set_state(torch.arange(simulator.num_envs), state)
    return state.dof_pos


def random_objects(num: int) -> ObjectState:
    state = ObjectState(torch.randn(num, 2, 3), torch.randn(num, 2, 4), torch.randn(num, 2, 3), torch.randn(num, 2, 3))
    state.rot = rotations.normalize(state.rot)
    state.vel[:, 1], state.ang_vel[:, 1] = 0.0, 0.0  # the target is moved by nothing
    return state


def assert_same(got: ObjectState, expected: ObjectState, atol: float = 1e-5) -> None:
    for name in ("pos", "vel", "ang_vel"):
        torch.testing.assert_close(getattr(got, name), getattr(expected, name), atol=atol, rtol=atol, msg=name)
    alike = (got.rot * expected.rot).sum(-1).abs()
    torch.testing.assert_close(alike, torch.ones_like(alike), atol=1e-5, rtol=0)


def test_objects_begin_where_the_scene_has_them_and_come_back_as_they_were_set(make: Make) -> None:
    simulator = make(num_envs=3)
    assert_same(simulator.object_state(), ObjectState.default(BALL_AND_TARGET, 3))
    given = random_objects(3)
    simulator.set_object_state(torch.arange(3), given)
    assert_same(simulator.object_state(), given)


def test_setting_objects_touches_only_its_worlds_and_no_character(make: Make) -> None:
    simulator = make(num_envs=4)
    simulator.step(stand_aside(simulator))
    objects, character, given = simulator.object_state().clone(), simulator.state().clone(), random_objects(4)
    simulator.set_object_state(torch.tensor([3, 1]), given[torch.tensor([3, 1])])
    after = simulator.object_state().clone()
    assert_same(after[torch.tensor([1, 3])], given[torch.tensor([1, 3])])
    assert torch.equal(after.pos[[0, 2]], objects.pos[[0, 2]]) and torch.equal(after.vel[[0, 2]], objects.vel[[0, 2]])
    simulator.set_object_state_where(torch.tensor([True, False, False, True]), given)
    assert_same(simulator.object_state()[torch.tensor([0, 3])], given[torch.tensor([0, 3])])
    assert torch.equal(simulator.object_state().pos[2], objects.pos[2])
    assert torch.equal(simulator.state().dof_pos, character.dof_pos)
    assert torch.equal(simulator.state().root_pos, character.root_pos)


def test_resetting_a_character_leaves_the_objects_alone(make: Make) -> None:
    simulator = make(num_envs=3)
    given = random_objects(3)
    simulator.set_object_state(torch.arange(3), given)
    rest = Kinematics(simulator.spec).default_state(3)
    simulator.set_state(torch.tensor([1]), rest[torch.tensor([1])])
    simulator.set_state_where(torch.tensor([True, False, False]), rest)
    assert_same(simulator.object_state(), given)


def test_a_ball_rolls_and_stops_as_computed(make: Make) -> None:
    simulator = make(num_envs=2)
    target, state = stand_aside(simulator), ObjectState.default(BALL_AND_TARGET, 2)
    speed = 1.0
    state.vel[0, 0, 0], state.ang_vel[0, 0, 1] = speed, speed / RADIUS
    simulator.set_object_state(torch.arange(2), state)
    for _ in range(15):
        simulator.step(target)
    rolling = simulator.object_state().clone()
    # A solid sphere: 7/5 m r a = rolling_friction * m g. In MuJoCo's pyramid the force that keeps it rolling, m a,
    # takes its share of what friction there is: rolling friction is smaller by a / (friction * g), 6 % here.
    alone = 5.0 / 7.0 * GRAVITY * ROLLING / RADIUS
    slowing = alone / (1.0 + alone / (BALL.friction * GRAVITY))
    time_s = 15 * CONTROL_DT_S
    assert float(rolling.vel[0, 0, 0]) == pytest.approx(speed - slowing * time_s, rel=0.03)
    assert float(rolling.ang_vel[0, 0, 1]) == pytest.approx(float(rolling.vel[0, 0, 0]) / RADIUS, rel=0.05)
    weight = []  # on average: in float32 a contact is a little uneasy
    for _ in range(60):
        simulator.step(target)
        weight.append(float(simulator.object_state().contact_force[0, 0, 2]))  # type: ignore[index]
    assert sum(weight) / len(weight) == pytest.approx(BALL.mass * GRAVITY, rel=0.02)
    stopped = simulator.object_state()
    assert float(stopped.vel[0, 0].norm()) < 0.03  # soft friction lets it creep
    run = float(stopped.pos[0, 0, 0]) - BALL.pos[0]
    assert run == pytest.approx(speed**2 / (2.0 * slowing), rel=0.13)
    # The other world's ball lay still all the while.
    torch.testing.assert_close(stopped.pos[1, 0], torch.tensor(BALL.pos), atol=2e-3, rtol=0)


def test_damping_slows_a_flying_ball_down(make: Make) -> None:
    simulator = make(Scene((SceneObject("ball", "sphere", (0.1,), pos=(0.0, 0.0, 100.0), damping=2.0),)), num_envs=1)
    target, state = stand_aside(simulator), simulator.object_state().clone()
    state.vel[0, 0, 0], state.ang_vel[0, 0, 2] = 4.0, 3.0
    simulator.set_object_state(torch.arange(1), state)
    for _ in range(15):
        simulator.step(target)
    left = math.exp(-2.0 * 15 * CONTROL_DT_S)
    assert float(simulator.object_state().vel[0, 0, 0]) == pytest.approx(4.0 * left, rel=0.02)
    assert float(simulator.object_state().ang_vel[0, 0, 2]) == pytest.approx(3.0 * left, rel=0.02)


def test_a_hand_that_touches_the_target_feels_it_and_does_not_move_it(make: Make) -> None:
    simulator = make()
    spec, kinematics = simulator.spec, Kinematics(simulator.spec)
    state, hand = kinematics.default_state(2), simulator.spec.body_names.index("right_hand")
    state.root_pos[:, 2] = 50.0
    state.body_pos, _ = kinematics.forward(state.root_pos, state.root_rot, state.joint_rot)
    simulator.set_state(torch.arange(2), state)
    objects = simulator.object_state().clone()
    # In world 0 the target is just before the hand, which swings forward; in world 1 it is far away.
    objects.pos[0, 1] = state.body_pos[0, hand] + torch.tensor([0.16, 0.0, -0.05])
    simulator.set_object_state(torch.arange(2), objects)
    target = state.dof_pos.clone()
    target[:, spec.dof_offsets[spec.joint_names.index("right_shoulder")] + 1] = -1.0
    largest = torch.zeros(2, 2)
    for _ in range(8):
        simulator.step(target)
        on_target, on_hand = simulator.object_state().contact_force[:, 1], simulator.state().contact_force[:, hand]
        largest = torch.maximum(largest, torch.stack((on_target[:, 0], -on_hand[:, 0]), dim=-1))
    # The hand pushes the target forward, and the target the hand back.
    assert float(largest[0].min()) > 20.0 and float(largest[1].abs().max()) == 0.0
    torch.testing.assert_close(simulator.object_state().pos[:, 1], objects.pos[:, 1], atol=1e-6, rtol=0)


def test_the_full_state_holds_the_objects(make: Make) -> None:
    simulator = make()
    target = stand_aside(simulator)
    simulator.set_object_state(torch.arange(2), random_objects(2))
    simulator.step(target)
    full_state = simulator.get_full_state()
    for _ in range(3):
        simulator.step(target)
    straight = simulator.object_state().clone()
    other = make()
    other.set_full_state(full_state)
    for _ in range(3):
        other.step(target)
    for name, tensor in straight.tensors().items():
        assert torch.equal(tensor, other.object_state().tensors()[name]), name


def test_terrain_carries_a_ball_and_a_gap_swallows_it(make: Make) -> None:
    boxes = (TerrainBox((0.0, 0.0, -0.4), (1.0, 1.0, 0.6)), TerrainBox((3.0, 0.0, -0.5), (1.0, 1.0, 0.5)))
    balls = [SceneObject(f"ball{n}", "sphere", (0.1,), pos=(x, 0.0, 0.4)) for n, x in enumerate((0.0, 1.5, 3.0))]
    scene = Scene(tuple(balls), boxes, floor_height=-1.0)
    simulator = make(scene, num_envs=1)
    target = stand_aside(simulator)
    for _ in range(60):
        simulator.step(target)
    heights = simulator.object_state().pos[0, :, 2] - 0.1
    expected = scene.height(torch.tensor([[0.0, 0.0], [1.5, 0.0], [3.0, 0.0]]))
    assert expected.tolist() == pytest.approx([0.2, -1.0, 0.0])
    torch.testing.assert_close(heights, expected, atol=0.01, rtol=0)


def test_the_character_is_the_same_beside_objects(make: Make) -> None:
    runs = []
    for scene in (Scene(), BALL_AND_TARGET):
        simulator = make(scene)
        state = Kinematics(simulator.spec).default_state(2)
        simulator.set_state(torch.arange(2), state)
        for _ in range(10):
            simulator.step(state.dof_pos)
        runs.append(simulator.state().clone())
        parameters = {name: tuple(values.shape) for name, values in simulator.parameters().items()}
        runs.append(parameters)  # type: ignore[arg-type]
    torch.testing.assert_close(runs[0].dof_pos, runs[2].dof_pos, atol=1e-4, rtol=0)
    torch.testing.assert_close(runs[0].contact_force, runs[2].contact_force, atol=1.0, rtol=0.01)
    assert runs[1] == runs[3]


def test_a_backend_without_objects_says_so(humanoid: CharacterSpec) -> None:
    with pytest.raises(ConfigError, match="sim=isaacgym does not support the objects or terrain .* Use sim=mujoco or"):
        make_simulator(configured("isaacgym", 1), humanoid, BALL_AND_TARGET)


@pytest.mark.parametrize(
    "given", [("cone", (0.1,), "free"), ("sphere", (0.1, 0.2), "free"), ("box", (0.1, 0.1, 0.0), "free"),
              ("sphere", (0.1,), "hanging")],
)  # fmt: skip
def test_an_object_that_makes_no_sense_is_refused(given: Tuple[str, Tuple[float, ...], str]) -> None:
    shape, size, kind = given
    with pytest.raises(ConfigError, match="Object 'thing' must be a sphere"):
        SceneObject("thing", shape, size, kind)


@pytest.mark.mujoco
def test_an_object_with_the_name_of_a_body_is_refused(make: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Object 'head' has the same name as a body"):
        make(Scene((SceneObject("head", "sphere", (0.1,)),)))
