"""Writing an exported policy, after checking that it computes the same as the policy."""

import contextlib
import logging
import warnings
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple, Union

import torch
from torch import Tensor

from amp_train.config import Config
from amp_train.env import AmpEnv
from amp_train.env.actions import PdActionMap
from amp_train.env.amp_observations import amp_obs_frame
from amp_train.errors import MissingPackageError, UserError, unknown_choice
from amp_train.export.deployed import DeployedPolicy
from amp_train.export.metadata import metadata
from amp_train.runner.policy import Policy
from amp_train.sim.mujoco_state import MujocoState

TOLERANCE_RAD = 1e-4  # of PD targets that span +-pi; measured: 2e-6
CHECK_ROWS = 64


class ExportError(UserError):
    """A policy that cannot be exported, or not to this file."""


def export_policy(path: Union[str, Path], cfg: Config, env: AmpEnv, policy: Policy) -> Path:
    """Write a policy as ONNX (`.onnx`) or TorchScript (`.pt`), by the file's name, with its metadata.

    Args:
        path: the file; its folder is made.
        cfg: resolved, the checkpoint's own.
        env: where the policy acts.
        policy: the checkpoint.

    Returns:
        The path.

    Raises:
        ExportError: an unsupported ending, or an export that differs from the policy.
        MissingPackageError: ONNX is not installed.
    """
    path = Path(path)
    writer = _writer_for(path)
    local_root_obs = bool(cfg.task.env.local_root_obs)
    deployed = DeployedPolicy(env, policy.model, local_root_obs).eval()
    inputs, expected = _examples(env, policy, local_root_obs, deployed.goal_size)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _silent_exporter(), torch.no_grad():
        _check_equal(deployed(*inputs), expected, "What would be exported")
        written = writer(path, deployed, inputs, metadata(cfg, env))
    _check_equal(written, expected, path.name)
    return path


@contextlib.contextmanager
def _silent_exporter() -> Iterator[None]:
    """Drop torch's warnings: about shapes that are constant here, torchvision, deprecation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def _writer_for(path: Path) -> Callable[..., Tensor]:
    writers = {".onnx": _write_onnx, ".pt": _write_torchscript}
    if path.suffix.lower() not in writers:
        raise ExportError(str(unknown_choice("ending of an exported policy", path.suffix, tuple(writers))))
    return writers[path.suffix.lower()]


def _examples(env: AmpEnv, policy: Policy, local_root_obs: bool, goal_size: int) -> Tuple[Tuple[Tensor, ...], Tensor]:
    """Draw states of the clips, disturbed; return them as the export's inputs, and the policy's PD targets."""
    library, layout = env.motion_library, MujocoState(env.spec)
    # Not the library's generator: an export would change later draws.
    generator = torch.Generator().manual_seed(0)
    clips = torch.randint(len(library), (CHECK_ROWS,), generator=generator)
    times_s = torch.rand(CHECK_ROWS, generator=generator) * library.durations_s.cpu()[clips]
    state = library.state_at(clips.to(library.device), times_s.to(library.device))
    qpos, qvel = layout.qpos(_to_cpu(state)).float(), layout.qvel(_to_cpu(state)).float()
    qvel = qvel + torch.randn(qvel.shape, generator=generator)
    obs = amp_obs_frame(layout.from_mujoco(qpos, qvel), env.spec, local_root_obs)
    inputs: Tuple[Tensor, ...] = (qpos, qvel)
    if goal_size:
        inputs += (torch.randn(CHECK_ROWS, goal_size, generator=generator),)
        obs = torch.cat((obs, inputs[2]), dim=-1)
    action = policy.act(obs.to(policy.device), deterministic=True).cpu()
    return inputs, PdActionMap(env.spec, torch.device("cpu"))(action)


def _to_cpu(state: Any) -> Any:
    return type(state)(**{name: tensor.cpu() for name, tensor in state.tensors().items()})


def _check_equal(found: Tensor, expected: Tensor, what: str) -> None:
    error = float((found - expected).abs().max())
    if not error < TOLERANCE_RAD:
        raise ExportError(f"{what} differs from the policy by {error:.2g} rad; it was not exported.")


def _write_onnx(path: Path, deployed: DeployedPolicy, inputs: Tuple[Tensor, ...], info: Dict[str, str]) -> Tensor:
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401 (torch's exporter needs it)
    except ImportError as error:
        raise MissingPackageError(
            f"{path.name} needs packages: pip install 'amp_train[export]'. A name in .pt gives "
            "TorchScript, without them."
        ) from error
    names = _input_names(inputs)
    program: Any = torch.onnx.export(
        deployed,
        inputs,
        input_names=names,
        output_names=["pd_target"],
        dynamic_shapes=tuple({0: torch.export.Dim("batch")} for _ in names),
        dynamo=True,
        verbose=False,
        optimize=False,  # the runtime does that itself, in milliseconds
    )
    model = program.model_proto
    for node in model.graph.node:  # the Python line of each node: half of the file
        del node.metadata_props[:]
    onnx.helper.set_model_props(model, info)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {n: tensor.numpy() for n, tensor in zip(names, inputs)})[0])


def _input_names(inputs: Tuple[Tensor, ...]) -> List[str]:
    return ["qpos", "qvel", "goal"][: len(inputs)]


def _write_torchscript(
    path: Path, deployed: DeployedPolicy, inputs: Tuple[Tensor, ...], info: Dict[str, str]
) -> Tensor:
    traced = torch.jit.trace(deployed, inputs)
    traced.save(str(path), _extra_files=info)
    return torch.jit.load(str(path))(*inputs)
