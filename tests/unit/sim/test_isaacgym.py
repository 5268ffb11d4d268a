"""sim=isaacgym on the stand-in of tests/doubles: what the contract suite does not ask of every backend."""

import signal
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Iterator, List

import isaacgym_double
import pytest
import torch

from amp_train.character import CharacterSpec, CharacterState, Kinematics, load_character
from amp_train.errors import CharacterError, ConfigError

CONTROL_DT_S = 1.0 / 30.0


class Backend:
    """The backend's modules, imported after the stand-in, and simulators that are closed in the end."""

    def __init__(self, gymapi: Any, spec: CharacterSpec) -> None:
        from amp_train.sim import isaacgym, isaacgym_scene

        self.gymapi, self.spec, self.scene, self.module, self.made = gymapi, spec, isaacgym_scene, isaacgym, []

    def settings(self, device: str = "cpu", gpu_pipeline: bool = False, headless: bool = True) -> Any:
        return self.scene.IsaacGymSettings(torch.device(device), gpu_pipeline, 2, headless)

    def make(self, num_envs: int = 2, headless: bool = True, decimation: int = 4, substeps: int = 2) -> Any:
        settings = self.settings(headless=headless)
        simulator = self.module.IsaacGymSimulator(self.spec, num_envs, CONTROL_DT_S, decimation, substeps, settings)
        self.made.append(simulator)
        return simulator


@pytest.fixture
def backend(humanoid: CharacterSpec) -> Iterator[Backend]:
    with isaacgym_double.installed() as gymapi:
        made = Backend(gymapi, humanoid)
        yield made
        for simulator in made.made:
            simulator.close()


@pytest.fixture
def calls(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> List[str]:
    """The names of the stand-in's calls, in order."""
    made: List[str] = []
    gym = type(backend.gymapi.acquire_gym())

    def noted(name: str, call: Any) -> Any:
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            made.append(name)
            return call(self, *args, **kwargs)

        return method

    for name in [name for name in vars(gym) if not name.startswith("_")]:
        monkeypatch.setattr(gym, name, noted(name, getattr(gym, name)))
    return made


def lifted(kinematics: Kinematics, num: int, height: float) -> CharacterState:
    state = kinematics.default_state(num)
    state.root_pos[:, 2] = height
    return state


def test_the_asset_has_three_hinges_for_a_ball_joint_and_nothing_the_importer_does_not_know(
    backend: Backend, humanoid: CharacterSpec
) -> None:
    root = ElementTree.fromstring(backend.scene.asset_mjcf(humanoid))
    assert {child.tag for child in root} == {"compiler", "worldbody", "actuator"}
    assert [body.get("name") for body in root.iter("body")] == list(humanoid.body_names)
    joints = [joint.get("name") for joint in root.find("worldbody").iter("joint")]  # type: ignore[union-attr]
    assert joints == list(humanoid.dof_names) and len(joints) == 28
    assert joints[:3] == ["abdomen_x", "abdomen_y", "abdomen_z"] and "right_elbow" in joints
    assert all(geom.get("type") in backend.scene.SHAPES for geom in root.iter("geom"))
    assert not list(root.find("worldbody").findall("geom"))  # type: ignore[union-attr]


def test_a_shape_that_isaac_gym_does_not_take_is_named(
    backend: Backend, humanoid: CharacterSpec, tmp_path: Path
) -> None:
    text = Path(humanoid.mjcf_path).read_text().replace('name="head" type="sphere"', 'name="head" type="ellipsoid"')
    (tmp_path / "egg.xml").write_text(text)
    with pytest.raises(CharacterError, match="geom 'head' of '.*egg.xml' is a ellipsoid"):
        backend.scene.asset_mjcf(replace(humanoid, mjcf_path=str(tmp_path / "egg.xml")))


@pytest.mark.parametrize(
    "old, new, says",
    [
        ("<worldbody>", '<worldbody><include file="more.xml"/>', "<include>"),
        ("<worldbody>", "<worldbody><frame/>", "<frame>"),
        ('<geom material="right"/>', '<geom material="right" density="5"/>', "<default class> for geoms"),
    ],
)
def test_what_only_mujoco_expands_is_refused(
    backend: Backend, humanoid: CharacterSpec, tmp_path: Path, old: str, new: str, says: str
) -> None:
    text = Path(humanoid.mjcf_path).read_text()
    assert old in text
    (tmp_path / "in_parts.xml").write_text(text.replace(old, new))
    (tmp_path / "more.xml").write_text("<mujoco><light/></mujoco>")
    spec = replace(load_character(str(tmp_path / "in_parts.xml")), mjcf_path=str(tmp_path / "in_parts.xml"))
    with pytest.raises(CharacterError, match=f"does not read {says} in '.*in_parts.xml'"):
        backend.scene.asset_mjcf(spec)


def test_another_order_of_bodies_or_dofs_is_refused(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    gym = type(backend.gymapi.acquire_gym())
    names = gym.get_asset_dof_names
    monkeypatch.setattr(gym, "get_asset_dof_names", lambda self, asset: names(self, asset)[::-1])
    with pytest.raises(CharacterError, match="reads the dofs of character 'humanoid' as left_ankle_z, .*expected abd"):
        backend.make()
    monkeypatch.undo()
    backend.make()  # the simulation that failed was closed


def test_drives_have_the_gains_and_torque_limits_of_the_character(backend: Backend, humanoid: CharacterSpec) -> None:
    backend.make()
    (env, _) = backend.gymapi.acquire_gym().alive.envs
    dofs = env.actor.dofs
    elbow = humanoid.dof_names.index("left_elbow")
    assert (dofs["driveMode"] == 1).all()
    assert [float(dofs[name][elbow]) for name in ("stiffness", "damping", "effort")] == [150.0, 15.0, 60.0]
    assert float(dofs["effort"][0]) == 125.0 and float(dofs["armature"][0]) == pytest.approx(0.025)


@pytest.mark.parametrize(
    "device, gpu_pipeline, physx_on_gpu, state_device",
    [
        ("cpu", True, False, "cpu"),
        ("cuda:1", True, True, "cuda:1"),
        ("cuda", True, True, "cuda:0"),
        ("cuda:1", False, True, "cpu"),
    ],
)
def test_sim_device_and_pipeline_say_where_physx_runs_and_where_its_state_is(
    backend: Backend, device: str, gpu_pipeline: bool, physx_on_gpu: bool, state_device: str
) -> None:
    settings = backend.settings(device, gpu_pipeline)
    params = backend.scene.sim_params(1 / 60, 2, 4096, settings)
    assert params.physx.use_gpu == physx_on_gpu
    assert settings.state_device == torch.device(state_device)
    assert params.use_gpu_pipeline == state_device.startswith("cuda")


def test_a_control_step_is_two_calls_of_a_sixtieth_of_a_second_with_two_substeps(
    backend: Backend, calls: List[str], kinematics: Kinematics
) -> None:
    simulator = backend.make()
    params = backend.gymapi.acquire_gym().alive.params
    assert params.dt == pytest.approx(1 / 60) and params.substeps == 2
    assert simulator.physics_dt_s == pytest.approx(1 / 120)
    simulator.step(torch.zeros(2, 28))
    calls.clear()
    simulator.step(torch.zeros(2, 28))
    assert calls == [
        "set_dof_position_target_tensor", "simulate", "fetch_results", "simulate", "fetch_results",
        "refresh_actor_root_state_tensor", "refresh_dof_state_tensor", "refresh_rigid_body_state_tensor",
        "refresh_net_contact_force_tensor",
    ]  # fmt: skip


def test_decimation_must_be_a_multiple_of_the_substeps(backend: Backend) -> None:
    with pytest.raises(ConfigError, match="sim.decimation=3 must be a multiple of sim.substeps=2"):
        backend.make(decimation=3)


def test_resets_between_two_steps_reach_isaac_gym_in_one_call_each(
    backend: Backend, calls: List[str], kinematics: Kinematics
) -> None:
    simulator = backend.make(4)
    simulator.step(torch.zeros(4, 28))
    calls.clear()
    simulator.set_state(torch.tensor([3, 0]), lifted(kinematics, 2, 5.0))
    simulator.set_state(torch.tensor([3]), lifted(kinematics, 1, 7.0))  # the last word counts
    simulator.set_state(torch.zeros(0, dtype=torch.long), lifted(kinematics, 0, 9.0))
    assert calls == []
    simulator.step(torch.zeros(4, 28))
    assert [name for name in calls if name.endswith("_indexed")] == [
        "set_actor_root_state_tensor_indexed",
        "set_dof_state_tensor_indexed",
    ]
    heights = simulator.state().root_pos[:, 2]
    # 1/30 s of free fall is 5 mm.
    torch.testing.assert_close(heights, torch.tensor([5.0, 0.89, 0.89, 7.0]), atol=0.02, rtol=0)


def test_bodies_of_a_reset_character_are_in_place_before_the_next_step(
    backend: Backend, kinematics: Kinematics
) -> None:
    simulator = backend.make()
    simulator.step(torch.zeros(2, 28))
    state = lifted(kinematics, 1, 3.0)
    state.dof_pos[0, 14] = 0.5
    state.joint_rot = kinematics.joint_rot(state.dof_pos)
    simulator.set_state(torch.tensor([1]), state)
    body_pos, body_rot = kinematics.forward(state.root_pos, state.root_rot, state.joint_rot)
    torch.testing.assert_close(simulator.state().body_pos[1], body_pos[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(simulator.state().body_rot[1], body_rot[0], atol=1e-6, rtol=0)


def test_bodies_after_a_step_agree_with_our_forward_kinematics(backend: Backend, kinematics: Kinematics) -> None:
    simulator = backend.make()
    for _ in range(5):
        simulator.step(0.5 * torch.randn(2, 28))
    state = simulator.state()
    body_pos, _ = kinematics.forward(state.root_pos, state.root_rot, state.joint_rot)
    torch.testing.assert_close(state.body_pos, body_pos, atol=1e-5, rtol=0)


def test_a_second_simulation_at_the_same_time_is_refused(backend: Backend) -> None:
    first = backend.make()
    with pytest.raises(ConfigError, match="one simulation per process"):
        backend.make()
    first.close()
    first.close()
    backend.make()


def test_buffers_that_do_not_fit_are_an_error_that_says_what_to_do(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(backend.gymapi.acquire_gym()), "prepare_sim", lambda self, sim: False)
    with pytest.raises(ConfigError, match="num_envs=2; try fewer"):
        backend.make()


def test_the_window_is_drawn_once_a_step_until_v_is_pressed(backend: Backend) -> None:
    simulator = backend.make(headless=False)
    (viewer,) = backend.gymapi.acquire_gym().viewers[-1:]
    for _ in range(3):
        simulator.step(torch.zeros(2, 28))
    assert viewer.drawn == 3
    press(viewer, backend.gymapi.KEY_V)
    simulator.step(torch.zeros(2, 28))
    simulator.step(torch.zeros(2, 28))
    assert viewer.drawn == 3
    press(viewer, backend.gymapi.KEY_V)
    simulator.step(torch.zeros(2, 28))
    assert viewer.drawn == 4


@pytest.mark.parametrize("how", ["escape", "closed"])
def test_leaving_the_window_is_a_ctrl_c_and_the_simulation_could_go_on(backend: Backend, how: str) -> None:
    simulator = backend.make(headless=False)
    (viewer,) = backend.gymapi.acquire_gym().viewers[-1:]
    if how == "escape":
        press(viewer, backend.gymapi.KEY_ESCAPE)
    else:
        viewer.has_closed = True
    heard: List[int] = []
    former = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        simulator.step(torch.zeros(2, 28))
        simulator.step(torch.zeros(2, 28))
    finally:
        signal.signal(signal.SIGINT, former)
    assert heard == [signal.SIGINT] and viewer.is_destroyed


def test_without_a_display_the_error_says_headless(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(backend.gymapi.acquire_gym()), "create_viewer", lambda self, sim, camera: None)
    with pytest.raises(ConfigError, match="leave headless=True"):
        backend.make(headless=False)


def press(viewer: Any, key: Any) -> None:
    viewer.events.append(SimpleNamespace(action=viewer.actions[key], value=1.0))


class TestStandIn:
    """It would notice a backend that is careless."""

    @pytest.fixture
    def gym(self, backend: Backend) -> Any:
        backend.make(3)
        return backend.gymapi.acquire_gym()

    @pytest.fixture
    def unwrap(self, backend: Backend) -> Any:
        return sys.modules["isaacgym.gymtorch"].unwrap_tensor

    @pytest.mark.parametrize(
        "rows, complaint",
        [
            (torch.tensor([0, 1]), "indices are int32"),
            (torch.tensor([0, 0], dtype=torch.int32), "actors that exist"),
            (torch.tensor([0, 3], dtype=torch.int32), "actors that exist"),
            (torch.tensor([[0, 1]], dtype=torch.int32), "indices are int32"),
        ],
    )
    def test_indices(self, gym: Any, unwrap: Any, rows: torch.Tensor, complaint: str) -> None:
        root = torch.zeros(3, 13)
        with pytest.raises(RuntimeError, match=complaint):
            gym.set_actor_root_state_tensor_indexed(gym.alive, unwrap(root), unwrap(rows), len(rows))

    def test_a_buffer_that_is_not_the_whole(self, gym: Any, unwrap: Any) -> None:
        dofs, rows = torch.zeros(1, 28, 2), torch.tensor([0], dtype=torch.int32)
        with pytest.raises(RuntimeError, match="a row for every actor"):
            gym.set_dof_state_tensor_indexed(gym.alive, unwrap(dofs), unwrap(rows), 1)

    def test_an_indexed_setter_twice_a_step(self, gym: Any, unwrap: Any) -> None:
        root, rows = torch.zeros(3, 13), torch.tensor([0], dtype=torch.int32)
        gym.set_actor_root_state_tensor_indexed(gym.alive, unwrap(root), unwrap(rows), 1)
        with pytest.raises(RuntimeError, match="once a step"):
            gym.set_actor_root_state_tensor_indexed(gym.alive, unwrap(root), unwrap(rows), 1)

    def test_calls_out_of_order(self, gym: Any) -> None:
        gym.simulate(gym.alive)
        with pytest.raises(RuntimeError, match="fetch_results before a refresh"):
            gym.refresh_dof_state_tensor(gym.alive)
        with pytest.raises(RuntimeError, match="fetch_results after every simulate"):
            gym.simulate(gym.alive)
        with pytest.raises(RuntimeError, match="last of all"):
            gym.prepare_sim(gym.alive)

    def test_buffers_are_old_until_they_are_refreshed(self, gym: Any, backend: Backend) -> None:
        shown = backend.made[0].state().root_pos.clone()
        gym.simulate(gym.alive)
        gym.fetch_results(gym.alive, True)
        assert torch.equal(backend.made[0].state().root_pos, shown)
        gym.refresh_actor_root_state_tensor(gym.alive)
        assert not torch.equal(backend.made[0].state().root_pos, shown)

    def test_settings_it_does_not_know_and_values_of_another_type(self, backend: Backend) -> None:
        params = backend.gymapi.SimParams()
        with pytest.raises(AttributeError, match="no attribute 'sub_steps'"):
            params.sub_steps = 2
        with pytest.raises(TypeError, match="substeps is a int"):
            params.substeps = 2.0
