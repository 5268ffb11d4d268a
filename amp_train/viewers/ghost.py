"""The clip as a ghost in phase with a character: how it should look now.

A policy has its own tempo. The ghost runs at the clip's tempo, is pulled towards the character's phase in the clip, and
restarts where the character has left it."""

import math
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterState

GHOSTS = ("beside", "over", "none")
_BESIDE_M = 0.9
_TABLE_HZ = 30.0
_WINDOW_S = 0.2  # how far from its expected phase the ghost searches for the character's pose
_PULL = 0.3  # of the way there in one step
# The ghost jumps if another phase is nearer by this much, for this long.
_LOST_M, _LOST_S = 0.06, 0.3


class GhostTracker:
    """Follows N characters through the clips of a motion library."""

    def __init__(self, library: Any, dt_s: float) -> None:
        """Prepare.

        Args:
            library: `MotionLibrary` or the like: `state_at(clip_ids, times_s)`, `durations_s`, `device`.
            dt_s: s between two calls of `follow`.
        """
        self._library, self._dt_s = library, dt_s
        self._table = _table(library)
        self._clip: Optional[Tensor] = None
        self._time_s = self._lost_s = torch.zeros(0)

    @property
    def clip_ids(self) -> Tensor:
        """The clip (N,) long that each ghost is in."""
        assert self._clip is not None, "follow comes first"
        return self._clip

    @property
    def times_s(self) -> Tensor:
        """Where in it (N,), s."""
        return self._time_s

    def follow(self, state: CharacterState, restarted: Tensor) -> CharacterState:
        """Advance by one step.

        Args:
            state: N characters.
            restarted: (N,) bool, those whose episode has just started.

        Returns:
            N states of the clips, in the clips' own place; `place` moves them to the characters.
        """
        distance = _distances(state, self._table)
        if self._clip is None:
            self._begin(len(state))
            restarted = torch.ones_like(self._lost_s, dtype=torch.bool)
        expected_s = self._time_s + self._dt_s
        near = self._pull(distance, expected_s)
        self._lost_s = torch.where(near > distance.amin(1) + _LOST_M, self._lost_s + self._dt_s, 0.0 * self._lost_s)
        jumps = restarted.to(distance.device) | (self._lost_s > _LOST_S)
        best = distance.argmin(1)
        self._clip = torch.where(jumps, self._table.clip_ids[best], self.clip_ids)
        self._time_s = torch.where(jumps, self._table.times_s[best], self._time_s)
        self._lost_s = self._lost_s.masked_fill(jumps, 0.0)
        return self._library.state_at(self.clip_ids, self._time_s)

    def _begin(self, num: int) -> None:
        device = self._table.times_s.device
        self._clip = torch.zeros(num, dtype=torch.long, device=device)
        self._time_s, self._lost_s = torch.zeros(num, device=device), torch.zeros(num, device=device)

    def _pull(self, distance: Tensor, expected_s: Tensor) -> Tensor:
        """Move to the expected times, and from there towards the nearest pose around; return its distance (N,) m."""
        table, duration_s = self._table, self._library.durations_s[self.clip_ids]
        ahead_s = table.times_s - (expected_s % duration_s).unsqueeze(1)
        duration_s = duration_s.unsqueeze(1)
        ahead_s = torch.remainder(ahead_s + 0.5 * duration_s, duration_s) - 0.5 * duration_s  # the shorter way round
        candidate = (table.clip_ids == self.clip_ids.unsqueeze(1)) & (ahead_s.abs() <= _WINDOW_S)
        near, best = distance.masked_fill(~candidate, float("inf")).min(1)
        self._time_s = (expected_s + _PULL * ahead_s.gather(1, best.unsqueeze(1)).squeeze(1)) % duration_s.squeeze(1)
        return near


class _Table(NamedTuple):
    """Poses of all clips, one after another: body positions (M, B, 3) from the root, in the heading frame."""

    poses: Tensor
    clip_ids: Tensor
    times_s: Tensor


def _table(library: Any) -> _Table:
    clip_ids: List[Tensor] = []
    times_s: List[Tensor] = []
    for clip, duration_s in enumerate(library.durations_s.tolist()):
        frames = max(2, round(duration_s * _TABLE_HZ))
        times_s.append(torch.arange(frames, device=library.device) * (duration_s / frames))
        clip_ids.append(torch.full((frames,), clip, dtype=torch.long, device=library.device))
    clips, times = torch.cat(clip_ids), torch.cat(times_s)
    return _Table(_heading_pose(library.state_at(clips, times)), clips, times)


def _heading_pose(state: CharacterState) -> Tensor:
    """Return body positions (N, B, 3) m from the root, turned so that the character faces x."""
    return rotations.rotate_to_heading(state.root_rot, state.body_pos - state.root_pos.unsqueeze(-2))


def _distances(state: CharacterState, table: _Table) -> Tensor:
    """Return the mean distance of the bodies (N, M) m between N characters and M poses; NaN counts as far away."""
    pose = _heading_pose(state).to(table.poses.device)
    distance = (pose.unsqueeze(1) - table.poses.unsqueeze(0)).norm(dim=-1).mean(-1)
    return torch.nan_to_num(distance, nan=1e6)


def offset_m(mode: str, facing: Tensor) -> Tuple[float, float]:
    """Return where from a character its ghost is shown, x and y: `over` it, or `beside` it, on the left of where one
    faces whose rotation is `facing` (4,). It stays there as the character turns, so that the ghost does not circle."""
    left = float(rotations.heading(facing)) + 0.5 * math.pi
    reach_m = _BESIDE_M if mode == "beside" else 0.0
    return reach_m * math.cos(left), reach_m * math.sin(left)


def place(ghost: CharacterState, state: CharacterState, offset_m: Sequence[float] = (0.0, 0.0)) -> CharacterState:
    """Place ghosts on or next to characters: with their heading, at the clip's height.

    Args:
        ghost, state: of the same shape.
        offset_m: offset from the character, x and y in the world.

    Returns:
        The ghosts' root_pos, root_rot, dof_pos, joint_rot and body_pos; velocities are the clip's own.
    """
    heading = rotations.heading(state.root_rot)
    turn = rotations.yaw_quat(heading - rotations.heading(ghost.root_rot))
    aside = state.root_pos.new_tensor(offset_m)
    root_pos = torch.cat((state.root_pos[..., :2] + aside, ghost.root_pos[..., 2:]), dim=-1)
    placed = ghost.clone()
    bodies = ghost.body_pos - ghost.root_pos.unsqueeze(-2)
    placed.body_pos = root_pos.unsqueeze(-2) + rotations.quat_rotate(turn.unsqueeze(-2), bodies)
    placed.root_pos, placed.root_rot = root_pos, rotations.quat_mul(turn, ghost.root_rot)
    return placed


def pose_error_m(ghost: CharacterState, state: CharacterState) -> Tensor:
    """Return the mean distance of the bodies (N,) m to the ghosts', both seen from the root in the heading frame."""
    return (_heading_pose(state) - _heading_pose(ghost)).norm(dim=-1).mean(-1)
