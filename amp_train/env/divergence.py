"""Worlds whose physics diverged: their number, and the full data of the first ones.

All of it stays on the device while the environment steps; only `pop` waits for it.
"""

from pathlib import Path
from typing import Any, Dict, NamedTuple

import numpy as np
import torch
from torch import Tensor

from amp_train.character import CharacterSpec, CharacterState, Kinematics
from amp_train.sim.mujoco_state import MujocoState

KEPT = 8  # worlds between two readings
FIELDS = ("root_pos", "root_rot", "root_vel", "root_ang_vel", "dof_pos", "dof_vel")


class Divergences(NamedTuple):
    """Divergences since the last reading.

    Attributes:
        num_diverged: worlds that diverged.
        num_steps: environment steps, over all worlds.
        env_ids: (K,) long, the first KEPT of them.
        actions: (K, num_actions) of the step that broke each.
        before: (K, state_size) state before that step.
        after: (K, state_size) state it led to, not finite or nearly so.
    """

    num_diverged: int
    num_steps: int
    env_ids: Tensor
    actions: Tensor
    before: Tensor
    after: Tensor


class DivergenceLog:
    """Follows N worlds."""

    def __init__(self, spec: CharacterSpec, num_envs: int, device: torch.device) -> None:
        size, row = 13 + 2 * spec.num_dofs, 1 + KEPT
        self._spec = spec
        self._before = torch.zeros(num_envs, size, device=device)
        self._rank = torch.arange(num_envs, 0, -1, device=device)
        self._slots = torch.arange(KEPT, device=device)
        # The last row collects what is not kept.
        self._env_ids = torch.zeros(row, dtype=torch.long, device=device)
        self._actions = torch.zeros(row, spec.num_dofs, device=device)
        self._states = torch.zeros(row, 2, size, device=device)
        self._num_diverged = torch.zeros((), dtype=torch.long, device=device)
        self._num_steps = 0

    def begin(self, env_ids: Tensor, state: CharacterState) -> None:
        """Store the K initial states of worlds `env_ids` (K,)."""
        self._before.index_copy_(0, env_ids, _flat(state))

    def begin_where(self, chosen: Tensor, state: CharacterState) -> None:
        """As `begin`, for the worlds `chosen` (N,) bool, from N states."""
        self._before = torch.where(chosen.unsqueeze(-1), _flat(state), self._before)

    def step(self, diverged: Tensor, action: Tensor, state: CharacterState) -> None:
        """Store a step of all worlds: which diverged (N,) bool, the actions (N, num_actions), the states reached."""
        after = _flat(state)
        found, env_ids = (self._rank * diverged).topk(min(KEPT, len(diverged)))
        slots = self._slots[: len(env_ids)] + self._num_diverged
        slots = torch.where(found > 0, slots, KEPT).clamp_(max=KEPT)
        self._env_ids[slots], self._actions[slots] = env_ids, action[env_ids]
        self._states[slots] = torch.stack((self._before[env_ids], after[env_ids]), dim=1)
        self._num_diverged += diverged.sum()
        self._num_steps += len(diverged)
        self._before = after

    def pop(self) -> Divergences:
        """Return the divergences since the last call, and reset."""
        num = int(self._num_diverged)
        kept = min(num, KEPT)
        states = self._states[:kept].clone()
        popped = Divergences(
            num, self._num_steps, self._env_ids[:kept].clone(), self._actions[:kept].clone(), states[:, 0], states[:, 1]
        )
        self._num_diverged.zero_()
        self._num_steps = 0
        return popped


def save_dump(path: Path, found: Divergences, spec: CharacterSpec, iteration: int) -> None:
    """Write the stored worlds as an .npz file, one row each.

    It contains `iteration`, `env_id`, `action`; every field of CharacterState as `before_NAME` and `after_NAME`; and
    `qpos`, `qvel` before the step in MuJoCo's layout.

    Raises:
        OSError: it cannot be written.
    """
    before, after = (_fields(rows.cpu(), spec) for rows in (found.before, found.after))
    layout = MujocoState(spec)
    joint_rot = Kinematics(spec).joint_rot(before["dof_pos"])
    state = CharacterState(**before, joint_rot=joint_rot, body_pos=before["root_pos"].unsqueeze(1))
    tensors: Dict[str, Tensor] = {
        "iteration": torch.tensor(iteration),
        "env_id": found.env_ids.cpu(),
        "action": found.actions.cpu(),
        "qpos": layout.qpos(state),
        "qvel": layout.qvel(state),
        **{"before_" + name: rows for name, rows in before.items()},
        **{"after_" + name: rows for name, rows in after.items()},
    }
    arrays: Dict[str, Any] = {name: tensor.numpy() for name, tensor in tensors.items()}
    np.savez(str(path), **arrays)


def _flat(state: CharacterState) -> Tensor:
    """Join the fields of N states, (N, state_size)."""
    return torch.cat([getattr(state, name) for name in FIELDS], dim=-1)


def _fields(rows: Tensor, spec: CharacterSpec) -> Dict[str, Tensor]:
    return dict(zip(FIELDS, rows.split((3, 4, 3, 3, spec.num_dofs, spec.num_dofs), dim=-1)))
