"""An exported policy is the policy: same numbers, same walk, and it needs nothing of this package."""

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, NamedTuple

import numpy as np
import pytest
import torch

from amp_train.character import CharacterSpec
from amp_train.cli.play import PlayArgs, playing_config
from amp_train.config import Config
from amp_train.env import AmpEnv, make_env
from amp_train.env.amp_observations import frame_size
from amp_train.errors import MissingPackageError
from amp_train.export import export_policy
from amp_train.export.files import ExportError
from amp_train.export.metadata import mjcf_with_drives, observation_layout
from amp_train.paths import PRETRAINED_DIR
from amp_train.runner.policy import Policy
from amp_train.runner.vec_env import AMPVecEnv
from amp_train.sim.mujoco_cpu import compile_model
from amp_train.sim.mujoco_state import MujocoState

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "run_onnx_policy.py"
NO_AMP_TRAIN = (
    "import sys, runpy; sys.modules['amp_train'] = None; sys.argv = sys.argv[1:]; "
    "runpy.run_path({!r}, run_name='__main__')"
)

pytestmark = pytest.mark.mujoco


class Walk(NamedTuple):
    cfg: Config
    env: AmpEnv
    policy: Policy


@pytest.fixture(scope="module")
def walk() -> Iterator[Walk]:
    checkpoint = str(PRETRAINED_DIR / "walk.pth")
    cfg = playing_config(PlayArgs(checkpoint=checkpoint, num_envs=8), ["num_threads=1"])
    env = make_env(cfg)
    yield Walk(cfg, env, Policy(cfg, AMPVecEnv(env, "cpu"), checkpoint))
    env.close()


@pytest.fixture(scope="module")
def onnx_file(walk: Walk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxscript", reason="pip install 'amp_train[export]'")
    return export_policy(tmp_path_factory.mktemp("export") / "new" / "policy.onnx", *walk)


@pytest.fixture(scope="module")
def session(onnx_file: Path) -> Any:
    return __import__("onnxruntime").InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def info(session: Any) -> Dict[str, Any]:
    stored = session.get_modelmeta().custom_metadata_map
    return {name: text if name == "mjcf" else json.loads(text) for name, text in stored.items()}


def targets_of_the_policy(walk: Walk, obs: torch.Tensor) -> torch.Tensor:
    return walk.env._pd_target(walk.policy.act(obs, deterministic=True))


def test_onnx_gives_the_policys_targets_for_the_environments_own_states(walk: Walk, session: Any) -> None:
    """Along noisy episodes: what the file makes of qpos and qvel, and the policy of the environment's observations."""
    layout, obs, errors = MujocoState(walk.env.spec), walk.env.reset(), []
    for _ in range(40):
        state = walk.env.state
        inputs = {"qpos": layout.qpos(state).float().numpy(), "qvel": layout.qvel(state).float().numpy()}
        (found,) = session.run(None, inputs)
        errors.append(np.abs(found - targets_of_the_policy(walk, obs).numpy()).max())
        walk.env.step(walk.policy.act(obs, deterministic=False) + 0.3 * torch.randn(8, walk.env.num_actions))
        obs = walk.env.reset_done()
    assert max(errors) < 1e-5 * 2 * np.pi, max(errors)  # 1e-5 of the range of a PD target


def test_the_batch_is_free_and_rows_do_not_mix(session: Any, info: Dict[str, Any]) -> None:
    qpos = np.tile(np.float32(info["initial_qpos"]), (3, 1))
    qvel = np.float32(np.random.default_rng(0).normal(size=(3, len(info["initial_qvel"]))))
    (three,) = session.run(None, {"qpos": qpos, "qvel": qvel})
    for n in range(3):
        (one,) = session.run(None, {"qpos": qpos[n : n + 1], "qvel": qvel[n : n + 1]})
        np.testing.assert_allclose(one[0], three[n], atol=1e-5)
    assert np.abs(three[0] - three[1]).max() > 1e-2


def test_ten_seconds_of_walking_in_plain_mujoco_stay_equal_to_torch(
    walk: Walk, session: Any, info: Dict[str, Any]
) -> None:
    """ONNX drives MuJoCo; at every state that it comes to, the policy in torch would have said the same."""
    import mujoco

    from amp_train.env.amp_observations import amp_obs_frame

    model = mujoco.MjModel.from_xml_string(info["mjcf"])
    data, layout = mujoco.MjData(model), MujocoState(walk.env.spec)
    data.qpos[:], data.qvel[:] = info["initial_qpos"], info["initial_qvel"]
    worst, heights = 0.0, []
    for _ in range(300):
        qpos, qvel = torch.tensor(data.qpos)[None].float(), torch.tensor(data.qvel)[None].float()
        (target,) = session.run(None, {"qpos": qpos.numpy(), "qvel": qvel.numpy()})
        obs = amp_obs_frame(layout.from_mujoco(qpos, qvel), walk.env.spec, walk.cfg.task.env.local_root_obs)
        worst = max(worst, float(np.abs(target - targets_of_the_policy(walk, obs).numpy()).max()))
        data.ctrl[:] = target[0]
        mujoco.mj_step(model, data, info["decimation"])
        heights.append(data.qpos[2])
    assert worst < 1e-5 * 2 * np.pi
    assert data.time == pytest.approx(10.0, abs=1e-3) and min(heights) > 0.75
    assert np.linalg.norm(data.qpos[:2]) > 8.0  # the clip walks at 1 m/s


def test_plain_mujoco_goes_where_our_simulator_goes(walk: Walk, session: Any, info: Dict[str, Any]) -> None:
    """The same physics, not only the same policy: half a second from the same state, contacts included."""
    import mujoco

    model = mujoco.MjModel.from_xml_string(info["mjcf"])
    data, layout, simulator = mujoco.MjData(model), MujocoState(walk.env.spec), walk.env.simulator
    data.qpos[:], data.qvel[:] = info["initial_qpos"], info["initial_qvel"]
    start = layout.from_mujoco(torch.tensor(data.qpos)[None], torch.tensor(data.qvel)[None])
    simulator.set_state(torch.tensor([0]), start)
    for _ in range(15):
        state = {"qpos": data.qpos[None].astype(np.float32), "qvel": data.qvel[None].astype(np.float32)}
        (target,) = session.run(None, state)
        simulator.step(torch.from_numpy(target).expand(8, -1))
        data.ctrl[:] = target[0]
        mujoco.mj_step(model, data, info["decimation"])
    ours = layout.qpos(simulator.state())[0].numpy()
    assert np.abs(data.qpos[:2] - np.array(info["initial_qpos"][:2])).max() > 0.3
    np.testing.assert_allclose(data.qpos, ours, atol=2e-3)


def test_the_example_walks_without_this_package(onnx_file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", NO_AMP_TRAIN.format(str(SCRIPT)), str(SCRIPT), str(onnx_file)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    seconds, metres, height = (float(word) for word in done.stdout.replace(",", "").split() if word[0].isdigit())
    assert seconds == 10.0 and 8.0 < metres < 13.0 and height > 0.75


def test_the_example_is_short() -> None:
    pytest.importorskip("onnxruntime")
    assert len(SCRIPT.read_text().splitlines()) <= 45
    assert "amp_train" not in runpy.run_path(str(SCRIPT))


def test_torchscript_is_the_policy_too(walk: Walk, tmp_path: Path) -> None:
    loaded_info = {"control_hz": "", "mjcf": ""}
    path = export_policy(tmp_path / "policy.pt", *walk)
    loaded = torch.jit.load(str(path), _extra_files=loaded_info)
    layout, obs = MujocoState(walk.env.spec), walk.env.reset()
    state = walk.env.state
    found = loaded(layout.qpos(state).float(), layout.qvel(state).float())
    assert (found - targets_of_the_policy(walk, obs)).abs().max() < 1e-5 * 2 * np.pi
    assert json.loads(loaded_info["control_hz"]) == pytest.approx(30.0)
    assert b"<mujoco" in loaded_info["mjcf"]  # type: ignore[operator]


def test_the_metadata_describe_the_character(walk: Walk, info: Dict[str, Any]) -> None:
    spec = walk.env.spec
    assert sum(size for _, size in info["observation"]) == walk.env.obs_size
    assert info["dofs"] == list(spec.dof_names) and len(set(info["dofs"])) == 28
    assert info["stiffness"] == pytest.approx(spec.dof_stiffness.tolist())
    assert info["decimation"] * info["physics_dt_s"] == pytest.approx(1.0 / info["control_hz"])
    assert info["motion"] == "walk" and len(info["initial_qpos"]) == 43


def test_an_observations_layout_names_each_part_in_order(humanoid: CharacterSpec) -> None:
    names = [name for name, _ in observation_layout(humanoid, 3)]
    assert names[:4] == ["root_height", "root_rot_tan_norm", "root_vel", "root_ang_vel"]
    assert names[-2:] == ["left_foot_pos", "goal"]
    assert sum(size for _, size in observation_layout(humanoid, 0)) == frame_size(humanoid)


def test_the_written_character_has_the_drives_it_was_trained_with(humanoid: CharacterSpec) -> None:
    import mujoco

    limited = humanoid.with_torque_limits({humanoid.joint_names[0]: 33.0})
    ours = compile_model(limited, 1.0 / 480)
    written = mujoco.MjModel.from_xml_string(mjcf_with_drives(limited, 1.0 / 480))
    assert written.actuator_forcerange[0, 1] == 33.0
    for name in ("actuator_biasprm", "actuator_gainprm", "actuator_forcerange", "actuator_gear"):
        np.testing.assert_allclose(getattr(written, name), getattr(ours, name), rtol=1e-5, err_msg=name)
    for name in ("dof_damping", "dof_armature", "body_mass", "body_inertia", "geom_size", "jnt_range"):
        np.testing.assert_allclose(getattr(written, name), getattr(ours, name), rtol=1e-5, err_msg=name)
    assert written.opt.timestep == pytest.approx(ours.opt.timestep, rel=1e-5)
    assert written.opt.integrator == ours.opt.integrator


def test_another_ending_is_refused_before_anything_is_done(walk: Walk, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"\.onnx, \.pt"):
        export_policy(tmp_path / "policy.onx", *walk)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_not_the_policy_is_not_written(walk: Walk, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(walk.policy, "act", lambda obs, deterministic: torch.zeros(len(obs), 28))
    with pytest.raises(ExportError, match="differs from the policy by"):
        export_policy(tmp_path / "policy.pt", *walk)
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_one_line_that_says_what_to_install(walk: Walk, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'amp_train\[export\]'"):
        export_policy(tmp_path / "policy.onnx", *walk)
