"""Parameters of a world's own, in the simulators that have them: each is seen in the motion, in its own world only."""

import math
from typing import Dict, Iterator

import numpy as np
import pytest
import torch
from no_waiting import NoWaiting

from amp_train.character import CharacterSpec, CharacterState, Kinematics, load_character
from amp_train.sim import Simulator

CONTROL_DT_S = 1.0 / 30.0


@pytest.fixture(params=["mujoco", pytest.param("mujoco_warp", marks=pytest.mark.warp)])
def simulator(request: pytest.FixtureRequest, humanoid: CharacterSpec) -> Iterator[Simulator]:
    pytest.importorskip("mujoco.batch", reason="sim=mujoco needs MuJoCo 3.17")
    if request.param == "mujoco":
        made: Simulator = pytest.importorskip("amp_train.sim.mujoco_cpu").MujocoSimulator(
            humanoid, 2, CONTROL_DT_S, 4, 1
        )
    else:
        backend = pytest.importorskip("amp_train.sim.mujoco_warp")
        settings = backend.WarpSettings(torch.device("cpu"), 16, 128)
        made = backend.MujocoWarpSimulator(humanoid, 2, CONTROL_DT_S, 4, settings)
    yield made
    made.close()


def only_world_1(simulator: Simulator, **values: torch.Tensor) -> None:
    """Set parameters of world 1; the rows of world 0 are nonsense, which must not be read."""
    rows = {name: torch.stack((torch.full_like(value, 1e9), value)) for name, value in values.items()}
    simulator.set_parameters(torch.tensor([False, True]), rows)


def standing(spec: CharacterSpec, height: float = 0.0) -> CharacterState:
    state = Kinematics(spec).default_state(2)
    state.root_pos[:, 2] += height
    return state


def settled(simulator: Simulator, steps: int = 20) -> CharacterState:
    start = standing(simulator.spec)
    simulator.set_state(torch.arange(2), start)
    for _ in range(steps):
        simulator.step(start.dof_pos)
    return simulator.state()


def test_twice_the_mass_presses_twice_as_hard(simulator: Simulator) -> None:
    mass = simulator.parameters()["mass"]
    only_world_1(simulator, mass=2.0 * mass)
    force = settled(simulator).contact_force.sum(1)[:, 2]
    weight = 9.81 * float(mass.sum())
    # A standing body still sways a little after 20 steps; the contract suite allows the same.
    assert float(force[0]) == pytest.approx(weight, rel=0.05)
    assert float(force[1]) == pytest.approx(2.0 * weight, rel=0.05)


def test_a_world_with_other_masses_moves_as_a_model_with_these_masses(simulator: Simulator) -> None:
    mujoco = pytest.importorskip("mujoco")
    from amp_train.sim.mujoco_model import compile_model

    nominal = simulator.parameters()
    ratio = torch.linspace(0.5, 1.5, simulator.spec.num_bodies)
    stiffness, damping = 1.3 * nominal["stiffness"], 0.8 * nominal["damping"]
    only_world_1(simulator, mass=ratio * nominal["mass"], stiffness=stiffness, damping=damping)
    target = torch.full((2, simulator.spec.num_dofs), 0.1)
    simulator.set_state(torch.arange(2), standing(simulator.spec))
    for _ in range(10):
        simulator.step(target)
    model = compile_model(simulator.spec, CONTROL_DT_S / 4)
    model.body_mass[1:] *= ratio.numpy()
    model.body_inertia[1:] *= ratio.numpy()[:, None]
    model.actuator_gainprm[:, 0] *= 1.3
    model.actuator_biasprm[:, 1] *= 1.3
    model.actuator_biasprm[:, 2] *= 0.8
    model.dof_armature[6:] -= 0.2 * simulator.spec.dof_damping.numpy() * model.opt.timestep
    data = mujoco.MjData(model)
    mujoco.mj_setConst(model, data)
    mujoco.mj_resetData(model, data)
    data.ctrl[:] = 0.1
    mujoco.mj_step(model, data, 40)
    # The values went through float32, 1e-7 of each, and Warp's state too; ten steps with contacts let that grow.
    tolerance = 1e-4 if simulator._qpos.dtype == torch.double else 1e-3
    torch.testing.assert_close(simulator._qpos[1].double(), torch.from_numpy(data.qpos), atol=tolerance, rtol=0)
    assert float((simulator._qpos[0] - simulator._qpos[1]).abs().max()) > 0.01


def test_each_world_falls_by_its_own_gravity(simulator: Simulator) -> None:
    only_world_1(simulator, gravity=torch.tensor([1.0, 0.0, -4.0]))
    start = standing(simulator.spec, height=10.0)
    simulator.set_state(torch.arange(2), start)
    for _ in range(15):
        simulator.step(start.dof_pos)
    velocity = simulator.state().root_vel
    torch.testing.assert_close(velocity[0], 0.5 * torch.tensor([0.0, 0.0, -9.81]), atol=5e-3, rtol=0)
    torch.testing.assert_close(velocity[1], 0.5 * torch.tensor([1.0, 0.0, -4.0]), atol=5e-3, rtol=0)


def test_a_body_without_friction_slides(simulator: Simulator) -> None:
    only_world_1(simulator, friction=torch.zeros_like(simulator.parameters()["friction"]))
    state = settled(simulator, steps=5).clone()
    state.root_vel[:, 0] = 0.5
    simulator.set_state(torch.arange(2), state)
    sideways = torch.zeros(2)
    for _ in range(5):
        simulator.step(torch.zeros(2, simulator.spec.num_dofs))
        force = simulator.state().contact_force.sum(1)
        sideways = torch.maximum(sideways, force[:, :2].norm(dim=-1) / force[:, 2].clamp(min=1.0))
    # MuJoCo's least coefficient is 1e-5.
    assert float(sideways[1]) < 1e-3 < 0.1 < float(sideways[0])


def test_twice_the_stiffness_halves_the_time_constant(simulator: Simulator) -> None:
    spec = simulator.spec
    only_world_1(simulator, stiffness=2.0 * simulator.parameters()["stiffness"])
    elbow = spec.dof_offsets[spec.joint_names.index("right_elbow")]
    start = standing(spec, height=50.0)
    simulator.set_state(torch.arange(2), start)
    target = start.dof_pos.clone()
    target[:, elbow] = -0.2
    for _ in range(3):
        simulator.step(target)
    # kd / kp = 0.1 s and 0.05 s, as in the contract suite; 0.1 s have passed.
    angle = simulator.state().dof_pos[:, elbow]
    assert float(angle[0]) == pytest.approx(-0.2 * (1.0 - math.exp(-1.0)), abs=0.02)
    assert float(angle[1]) == pytest.approx(-0.2 * (1.0 - math.exp(-2.0)), abs=0.02)


def test_a_hinge_stops_at_its_own_limit(simulator: Simulator) -> None:
    spec = simulator.spec
    elbow = spec.dof_offsets[spec.joint_names.index("right_elbow")]
    lower = simulator.parameters()["lower"].clone()
    assert float(lower[elbow]) == pytest.approx(math.radians(-160.0), abs=1e-4)
    lower[elbow] = -0.5
    only_world_1(simulator, lower=lower)
    start = standing(spec, height=50.0)
    simulator.set_state(torch.arange(2), start)
    target = start.dof_pos.clone()
    target[:, elbow] = -1.0
    for _ in range(30):
        simulator.step(target)
    angle = simulator.state().dof_pos[:, elbow]
    # A limit of MuJoCo's gives way a little.
    assert float(angle[0]) == pytest.approx(-1.0, abs=0.05) and float(angle[1]) == pytest.approx(-0.5, abs=0.1)


def test_parameters_outlast_a_reset_and_fields_nobody_asked_for_stay_shared(simulator: Simulator) -> None:
    only_world_1(simulator, gravity=torch.tensor([0.0, 0.0, -1.0]))
    simulator.set_state(torch.arange(2), standing(simulator.spec, height=10.0))
    simulator.step(torch.zeros(2, simulator.spec.num_dofs))
    assert float(simulator.state().root_vel[1, 2]) == pytest.approx(-CONTROL_DT_S, rel=0.02)
    if hasattr(simulator, "_batch"):
        assert simulator._batch.expanded("body_mass") is None and simulator._batch.expanded("opt.gravity") is not None
    else:
        assert len(simulator._model.body_mass) == 1 and len(simulator._model.opt.gravity) == 2


def test_what_can_be_changed_has_the_values_of_the_file(simulator: Simulator) -> None:
    nominal: Dict[str, torch.Tensor] = simulator.parameters()
    spec = simulator.spec
    given = {"mass": spec.body_mass, "stiffness": spec.dof_stiffness, "damping": spec.dof_damping}
    for name, expected in dict(given, lower=spec.dof_lower, upper=spec.dof_upper).items():
        torch.testing.assert_close(nominal[name], expected, atol=1e-5, rtol=1e-5)
    assert nominal["friction"].tolist() == [1.0] * 18


def test_below_its_limit_a_drive_is_damped_as_mujocos_own_joint_damping_is() -> None:
    mujoco = pytest.importorskip("mujoco")
    spec = load_character("humanoid.xml", (), ())
    of_joints = mujoco.MjModel.from_xml_path(spec.mjcf_path)  # kd as the joints' damping, implicitfast
    of_joints.opt.timestep = 1.0 / 120.0
    of_drives = pytest.importorskip("amp_train.sim.mujoco_model").compile_model(spec, 1.0 / 120.0)
    found = []
    for model in (of_joints, of_drives):
        model.actuator_forcelimited[:] = 0
        model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONSTRAINT)
        data = mujoco.MjData(model)
        data.qpos[2], data.ctrl[:] = 50.0, 0.2 * np.sin(np.arange(model.nu)) - 0.3
        mujoco.mj_step(model, data, 20)
        found.append(np.concatenate((data.qpos, data.qvel)))
    assert float(np.abs(found[0][7:]).max()) > 0.1
    np.testing.assert_allclose(*found, atol=1e-9)


def test_writing_parameters_never_waits_for_the_device() -> None:
    mujoco_parameters = pytest.importorskip("amp_train.sim.mujoco_parameters")
    mujoco_model = pytest.importorskip("amp_train.sim.mujoco_model")
    model = mujoco_model.compile_model(load_character("humanoid.xml", (), ()), 1.0 / 120.0)
    parameters = mujoco_parameters.MujocoParameters(model, load_character("humanoid.xml"))
    names = sorted({field for fields in mujoco_parameters.FIELDS.values() for field in fields})
    shared = {n: model.opt.gravity if n == "opt.gravity" else getattr(model, n) for n in names}
    fields = {name: torch.from_numpy(np.repeat(value[None], 3, axis=0)) for name, value in shared.items()}
    values = {name: torch.stack([0.5 * value] * 3) for name, value in parameters.nominal.items()}
    chosen = torch.tensor([False, True, False])
    with NoWaiting():
        parameters.write(fields.__getitem__, chosen, values)
    for name, value in fields.items():
        assert torch.equal(value[0], torch.from_numpy(shared[name])) and not torch.equal(value[1], value[0]), name
