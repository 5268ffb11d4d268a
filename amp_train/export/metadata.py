"""The metadata that running an exported policy needs, as JSON strings by name."""

import json
from typing import Any, Dict, List

import numpy as np

import amp_train
from amp_train.character import CharacterSpec, CharacterState
from amp_train.config import Config
from amp_train.env import AmpEnv
from amp_train.sim.mujoco_model import driven_mjcf
from amp_train.sim.mujoco_state import MujocoState

FORMAT = 1


def metadata(cfg: Config, env: AmpEnv) -> Dict[str, str]:
    """Describe an environment's character and control for use elsewhere.

    Returns:
        JSON by name: `observation` (name and size of each part, in order), `joints` and `dofs` (names in the order of
        the output), `stiffness`, `damping`, `torque_limit` by dof (N m/rad, N m s/rad, N m), `control_hz`,
        `physics_dt_s`, `decimation`, `initial_qpos` and `initial_qvel` (a frame of the clip), and `mjcf`: the character
        with all of this in it, whose actuators take the output unchanged. docs/viewing.md has the list.
    """
    spec = env.spec
    physics_dt_s = float(env.simulator.physics_dt_s)
    initial = _initial_state(env)
    layout = MujocoState(spec)
    values: Dict[str, Any] = {
        "format": FORMAT,
        "amp_train": amp_train.__version__,
        "task": cfg.task.name,
        "motion": cfg.motion.name,
        "character": spec.name,
        "observation": observation_layout(spec, env.obs_size - env.frame_size),
        "joints": list(spec.joint_names),
        "dofs": list(spec.dof_names),
        "stiffness": spec.dof_stiffness.tolist(),
        "damping": spec.dof_damping.tolist(),
        "torque_limit": [limit if np.isfinite(limit) else None for limit in spec.dof_effort.tolist()],
        "control_hz": 1.0 / env.control_dt_s,
        "physics_dt_s": physics_dt_s,
        "decimation": round(env.control_dt_s / physics_dt_s),
        "initial_qpos": layout.qpos(initial)[0].tolist(),
        "initial_qvel": layout.qvel(initial)[0].tolist(),
    }
    return {"mjcf": mjcf_with_drives(spec, physics_dt_s), **{k: json.dumps(v) for k, v in values.items()}}


def observation_layout(spec: CharacterSpec, goal_size: int) -> List[List[Any]]:
    """List [name, size] of the parts of an observation, in order."""
    parts: List[List[Any]] = [["root_height", 1], ["root_rot_tan_norm", 6], ["root_vel", 3], ["root_ang_vel", 3]]
    parts += [[name + "_rot", 6 if size == 3 else 1] for name, size in zip(spec.joint_names, spec.joint_sizes)]
    parts.append(["dof_vel", spec.num_dofs])
    parts += [[spec.body_names[body] + "_pos", 3] for body in spec.key_body_ids]
    return parts + ([["goal", goal_size]] if goal_size else [])


def mjcf_with_drives(spec: CharacterSpec, physics_dt_s: float) -> str:
    """Write the character's MJCF with gains, torque limits, physics step and integrator as the policy was trained."""
    mjcf = driven_mjcf(spec, physics_dt_s)
    mjcf.compile()
    return str(mjcf.to_xml())


def _initial_state(env: AmpEnv) -> CharacterState:
    import torch

    library = env.motion_library
    first = torch.zeros(1, dtype=torch.long, device=library.device)
    state = library.state_at(first, torch.zeros(1, device=library.device))
    return CharacterState(**{name: tensor.cpu() for name, tensor in state.tensors().items()})
