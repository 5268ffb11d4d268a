"""What is fuzzed: loaders as functions of bytes, small valid inputs of each, and what must hold whatever goes in.

Shared by the property tests of this folder and by the coverage-guided `scripts/fuzz.py`.
"""

import importlib.util
import io
import json
import os
import pickle
import time
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple

import numpy as np
import torch
import yaml

from amp_train import rotations
from amp_train.character import CharacterSpec
from amp_train.checkpoint.load import load_plain, safe_load
from amp_train.checkpoint.store import fault_of, read_manifest
from amp_train.config.schema import TRAINED_KEYS
from amp_train.config.stored import checked_stored
from amp_train.errors import ConfigError, UserError
from amp_train.motion import MotionClip, bundled_humanoid, load_clip, load_dataset, save_clip
from amp_train.motion.exporters import bvh_text
from amp_train.motion.exporters.plain import csv_text
from amp_train.untrusted import parse_plain_yaml

MAX_SECONDS = 2.0
MAX_MESSAGE = 3000
REJECTED, LOADED = "rejected", "loaded"
CALLS_CANARY = b"\x80\x02cos\nmkdir\nX\x06\x00\x00\x00canary\x85R."  # runs os.mkdir("canary") in a naive reader


class Target(NamedTuple):
    """A loader, and inputs to start from; `load` finds its input, and may find more beside it, in a folder."""

    load: Callable[[bytes, Path], Any]
    seeds: Callable[[], List[bytes]]


class Broken(AssertionError):
    """A loader did something that no input may make it do."""


def attempt(target: Target, data: bytes, folder: Path) -> str:
    """Load; return whether that was LOADED or REJECTED.

    Raises:
        Broken: too slow, an error of several lines, or something was written.
        Exception: whatever else than the project's own error comes out.
    """
    before, started_s = sorted(os.listdir(".")), time.process_time()
    outcome = LOADED
    try:
        target.load(data, folder)
    except UserError as error:
        outcome, message = REJECTED, str(error)
        if len(message) > MAX_MESSAGE or any(ord(c) < 32 for c in message):
            raise Broken(f"not one printable line: {message[:500]!r}") from error
    elapsed_s = time.process_time() - started_s
    if elapsed_s > MAX_SECONDS:
        raise Broken(f"took {elapsed_s:.1f} s of the processor")
    if sorted(os.listdir(".")) != before:
        raise Broken(f"something was written: {sorted(os.listdir('.'))}")
    return outcome


def standing_clip(spec: CharacterSpec, num_frames: int = 3) -> MotionClip:
    """A clip of small random rotations at standing height."""
    generator = torch.Generator().manual_seed(0)
    exp_map = 0.3 * torch.randn(num_frames, spec.num_joints, 3, generator=generator)
    return MotionClip(
        name="seed",
        fps=30.0,
        root_pos=torch.tensor([0.0, 0.0, 0.9]).repeat(num_frames, 1),
        root_rot=torch.tensor([0.0, 0.0, 0.0, 1.0]).repeat(num_frames, 1),
        joint_rot=rotations.exp_map_to_quat(exp_map),
        joint_names=spec.joint_names,
    )


def npz_members() -> Dict[str, np.ndarray]:
    """The arrays of a valid clip."""
    clip = standing_clip(bundled_humanoid())
    names = ("version", "name", "fps", "root_pos", "root_rot", "joint_rot", "joint_names", "loop", "source", "licence")
    return {name: np.asarray(getattr(clip, name)) for name in names}


def poselib_content() -> Dict[str, Any]:
    """The dict inside a valid poselib clip."""
    spec = bundled_humanoid()
    rot = np.tile(np.array([0.0, 0.0, 0.0, 1.0]), (2, spec.num_bodies, 1))
    return {
        "rotation": {"arr": rot, "context": {"dtype": "float64"}},
        "root_translation": {"arr": np.full((2, 3), 0.9), "context": {"dtype": "float64"}},
        "skeleton_tree": {
            "node_names": list(spec.body_names),
            "parent_indices": {"arr": np.array(spec.parent_ids), "context": {"dtype": "int64"}},
        },
        "is_local": True,
        "fps": 30,
        "__name__": "SkeletonMotion",
    }


def mimickit_content() -> Dict[str, Any]:
    """A valid MimicKit clip."""
    return {"fps": 30, "loop_mode": 1, "frames": [[0.1] * (6 + bundled_humanoid().num_dofs)] * 2}


def amass_members() -> Dict[str, np.ndarray]:
    """A valid AMASS clip."""
    return {"poses": np.full((3, 66), 0.1), "trans": np.full((3, 3), 0.9), "mocap_framerate": np.array(30.0)}


def deepmimic_content() -> Dict[str, Any]:
    """A valid DeepMimic clip."""
    identity = [1.0, 0.0, 0.0, 0.0]
    frame = [0.03, 0.0, 0.9, 0.0] + 3 * identity + 2 * (identity + [0.2] + identity + identity + [0.2])
    return {"Loop": "wrap", "Frames": [frame] * 2}


def checkpoint_content() -> Dict[str, Any]:
    """A small checkpoint with everything that a real one has."""
    moments = {"step": torch.tensor(3.0), "exp_avg": torch.ones(2, 3), "exp_avg_sq": torch.ones(2, 3)}
    groups = [{"lr": 1e-4, "betas": (0.9, 0.999), "eps": 1e-8, "params": [0]}]
    return {
        "model": {"_orig_mod.w": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(2, dtype=torch.bfloat16).t()},
        "optimizer": {"state": {0: moments}, "param_groups": groups},
        "epoch": 5, "frame": 1000, "last_mean_rewards": np.float32(1.5), "env_state": None,
        "amp_input_mean_std": {"count": torch.ones((), dtype=torch.float64)},
        "amp_train": {"config": {"task": {"name": "HumanoidAMP"}}, "versions": {"torch": "2"}},
        "random": {"torch": torch.zeros(16, dtype=torch.uint8), "words": [2**31, 2**32 - 1]},
        "dones": torch.tensor([True, False]),
    }  # fmt: skip


def pickled_checkpoint() -> bytes:
    """The program inside a valid checkpoint."""
    return _members_of_checkpoint()["archive/data.pkl"]


def torch_bytes(content: Any) -> bytes:
    """What torch.save writes."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def npz_bytes(members: Dict[str, np.ndarray]) -> bytes:
    """What numpy.savez writes."""
    buffer = io.BytesIO()
    np.savez(buffer, **members)
    return buffer.getvalue()


def npy_bytes(array: np.ndarray) -> bytes:
    """What numpy.save writes, pickling objects."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def archive_with(members: Dict[str, bytes]) -> bytes:
    """A zip of members as they are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@lru_cache(maxsize=1)
def _members_of_checkpoint() -> Dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(torch_bytes(checkpoint_content()))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def checkpoint_with_pickle(program: bytes) -> bytes:
    """A checkpoint whose program is exchanged for another."""
    return archive_with(dict(_members_of_checkpoint(), **{"archive/data.pkl": program}))


def _clip(data: bytes, folder: Path) -> Any:
    (folder / "input").write_bytes(data)
    return load_clip(folder / "input", bundled_humanoid())


@lru_cache(maxsize=1)
def _npy_members() -> Dict[str, bytes]:
    return {name + ".npy": npy_bytes(array) for name, array in npz_members().items()}


def _member_of_clip(data: bytes, folder: Path) -> Any:
    """The first byte says which member the rest replaces."""
    members = dict(_npy_members())
    members[sorted(members)[(data[0] if data else 0) % len(members)]] = data[1:]
    return _clip(archive_with(members), folder)


def _dataset(data: bytes, folder: Path) -> Any:
    if not (folder / "seed.npz").exists():
        save_clip(standing_clip(bundled_humanoid()), folder / "seed.npz")
    (folder / "input.yaml").write_bytes(data)
    return load_dataset(folder / "input.yaml", bundled_humanoid())


def _checkpoint(data: bytes, folder: Path) -> Any:
    (folder / "input").write_bytes(data)
    return safe_load(folder / "input")


def _program_of_checkpoint(data: bytes, folder: Path) -> Any:
    (folder / "input").write_bytes(checkpoint_with_pickle(data))
    return load_plain(folder / "input")


def _stored_config(data: bytes, folder: Path) -> Any:
    try:
        content = parse_plain_yaml(data)
    except ValueError as error:
        raise ConfigError("not YAML") from error
    return checked_stored(content, TRAINED_KEYS)


def _pickles(content: Any) -> List[bytes]:
    return [pickle.dumps(content, protocol=protocol) for protocol in (2, 4, 5)]


def _manifest(data: bytes, folder: Path) -> Any:
    (folder / "last.json").write_bytes(data)
    return fault_of(read_manifest(folder / "last.json"))


def manifest_content() -> Dict[str, Any]:
    """What lies beside a checkpoint."""
    files = {name: {"num_bytes": 10, "sha256": "0" * 64} for name in ("last.pth", "last.state")}
    return {"format": 1, "iteration": 50, "ranks": 1, "files": files, "event_files": {"events.1": 88}}


TARGETS: Dict[str, Target] = {
    "manifest": Target(_manifest, lambda: [json.dumps(manifest_content()).encode()]),
    "npz": Target(_clip, lambda: [npz_bytes(npz_members())]),
    "csv": Target(_clip, lambda: [csv_text(standing_clip(bundled_humanoid()), bundled_humanoid()).encode()]),
    "npz_member": Target(
        _member_of_clip,
        lambda: [bytes([k]) + npy_bytes(a) for k, (_, a) in enumerate(sorted(npz_members().items()))],
    ),
    "npy": Target(_clip, lambda: [npy_bytes(np.array(poselib_content(), dtype=object)), npy_bytes(np.ones(3))]),
    "pkl": Target(_clip, lambda: _pickles(mimickit_content()) + _pickles(poselib_content()) + [CALLS_CANARY]),
    "txt": Target(_clip, lambda: [json.dumps(deepmimic_content()).encode(), b"HIERARCHY\nROOT Hips\n{\n"]),
    "yaml": Target(_dataset, lambda: [b"motions:\n  - {file: seed.npz, weight: 2.0}\n", b"motions: [{file: ../x}]"]),
    "pth": Target(_checkpoint, lambda: [torch_bytes(checkpoint_content())]),
    "pth_pickle": Target(_program_of_checkpoint, lambda: [pickled_checkpoint(), CALLS_CANARY]),
    "stored_config": Target(
        _stored_config,
        lambda: [
            b"motion: {name: mine, file: mine.npz, contact_bodies: [all]}\nnum_envs: 4\n",
            b"motion: {name: \"${task.name}\"}\ntrain: {params: {config: {train_dir: /tmp}}}\n",
            yaml.safe_dump({"task": {"env": {"x": {"_target_": "os.mkdir", "path": "canary"}}}}).encode(),
        ],
    ),
}  # fmt: skip
if importlib.util.find_spec("mink") is not None:  # not to be had for Python 3.8
    TARGETS["bvh"] = Target(_clip, lambda: [bvh_text(standing_clip(bundled_humanoid()), bundled_humanoid()).encode()])
    TARGETS["amass"] = Target(_clip, lambda: [npz_bytes(amass_members())])
