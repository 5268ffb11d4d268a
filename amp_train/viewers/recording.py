"""What there is to show of an episode run: the characters over time, their ghosts, scores and goals."""

from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np
import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterSpec, CharacterState
from amp_train.viewers.ghost import GhostTracker, pose_error_m

CONTACT_N = 1.0
ROW_SPACING_M = 1.8
SCORES = ("style_reward", "task_reward", "disc_logit")


@dataclass
class MarkerPose:
    """A task's marker at one time: kind `arrow`, `ball` or `flag`; pos and direction (N, 3) m, world."""

    kind: str
    pos: np.ndarray
    direction: Optional[np.ndarray] = None


@dataclass
class Recording:
    """T steps of N characters.

    Attributes:
        spec: the character.
        dt_s: s between two steps.
        states: fields (T, N, ...), CPU.
        done: (T, N) bool, the last step of an episode.
        ghosts: fields (T, N, ...): the clips in phase, where those have them; None without.
        scores: (T, N) each: `style_reward`, `task_reward`, `disc_logit`, `pose_error_m` (to the ghost).
        contacts: (T, N, num_bodies) bool.
        markers: T lists of a task's markers.
        clip_names: of the clips that ghosts come from.
    """

    spec: CharacterSpec
    dt_s: float
    states: CharacterState
    done: Tensor
    ghosts: Optional[CharacterState] = None
    scores: Dict[str, Tensor] = field(default_factory=dict)
    contacts: Optional[Tensor] = None
    markers: List[List[MarkerPose]] = field(default_factory=list)
    clip_names: Tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.states)

    @property
    def num_characters(self) -> int:
        return int(self.states.root_pos.shape[1])


class Recorder:
    """An `EpisodeCallback` that records the first environments, with the clip's ghosts."""

    def __init__(self, num_characters: int = 1, with_ghosts: bool = True, max_steps: Optional[int] = None) -> None:
        """Record `num_characters` environments, at most `max_steps` steps."""
        self._num, self._with_ghosts, self._max_steps = num_characters, with_ghosts, max_steps
        self._rows: Dict[str, List[Tensor]] = {}
        self._states: List[CharacterState] = []
        self._ghosts: List[CharacterState] = []
        self._markers: List[List[MarkerPose]] = []

    @property
    def is_full(self) -> bool:
        """Whether all steps asked for are there."""
        return self._max_steps is not None and len(self._states) >= self._max_steps

    def on_start(self, env: Any) -> None:
        """Begin."""
        self._env, self._num = env, min(self._num, env.num_envs)
        self._tracker = GhostTracker(env.motion_library, env.control_dt_s) if self._with_ghosts else None
        self._restarted = torch.ones(self._num, dtype=torch.bool)

    def on_step(self, step: Any) -> None:
        """Take a control step."""
        if self.is_full:
            return
        state = step.state[: self._num].clone()
        self._states.append(_cpu(state))
        if self._tracker is not None:
            ghost = self._tracker.follow(state, self._restarted)
            self._ghosts.append(_cpu(ghost))
            self._row("pose_error_m", pose_error_m(ghost, state))
        for name in SCORES:
            value = getattr(step, name, None)
            if value is not None:
                self._row(name, value)
        if state.contact_force is not None:
            self._row("contacts", (state.contact_force.abs() > CONTACT_N).any(-1))
        self._row("done", step.done)
        self._restarted = self._rows["done"][-1].bool()
        self._markers.append(marker_poses(self._env, self._num))

    def on_end(self) -> None:
        """Nothing is held."""

    def recording(self) -> Recording:
        """Return what was recorded."""
        rows = {name: torch.stack(values) for name, values in self._rows.items()}
        return Recording(
            spec=self._env.spec,
            dt_s=self._env.control_dt_s,
            states=_stack(self._states),
            done=rows["done"].bool(),
            ghosts=_stack(self._ghosts) if self._ghosts else None,
            scores={name: rows[name] for name in (*SCORES, "pose_error_m") if name in rows},
            contacts=rows.get("contacts"),
            markers=self._markers,
            clip_names=tuple(self._env.motion_library.clip_names),
        )

    def _row(self, name: str, value: Tensor) -> None:
        self._rows.setdefault(name, []).append(value.detach().reshape(len(value), -1).squeeze(-1)[: self._num].cpu())


def marker_poses(env: Any, num: int) -> List[MarkerPose]:
    """Read the markers of an environment's task, if it has one, for its first `num` characters."""
    markers: Callable[[], List[Any]] = getattr(getattr(env, "task", None), "markers", list)
    return [
        MarkerPose(m.kind, _numpy(m.pos[:num]), None if m.direction is None else _numpy(m.direction[:num]))
        for m in markers()
    ]


def one_character(spec: CharacterSpec, states: CharacterState, dt_s: float = 1.0 / 30) -> Recording:
    """Wrap T states of one character."""
    done = torch.zeros(len(states), 1, dtype=torch.bool)
    return Recording(spec, dt_s, _map(states, lambda tensor: tensor.unsqueeze(1)), done)


def in_a_row(recording: Recording) -> Recording:
    """Line the characters up: each episode begins in the character's own lane and heads along x; goals go with them."""
    states, starts = recording.states, _episode_starts(recording.done)
    lane = torch.arange(recording.num_characters) - 0.5 * (recording.num_characters - 1)
    lanes = torch.stack((0 * lane, lane * ROW_SPACING_M, 0 * lane), dim=-1)
    columns = torch.arange(recording.num_characters).expand_as(starts)
    origin = states.root_pos[starts, columns].clone()
    origin[..., 2] = 0.0
    turn = rotations.yaw_quat(-rotations.heading(states.root_rot[starts, columns]))
    moved = states.clone()
    moved.root_pos = rotations.quat_rotate(turn, states.root_pos - origin) + lanes
    moved.root_rot = rotations.quat_mul(turn, states.root_rot)
    bodies = rotations.quat_rotate(turn.unsqueeze(-2), states.body_pos - origin.unsqueeze(-2))
    moved.body_pos = bodies + lanes.unsqueeze(-2)
    markers = []
    for t, of_step in enumerate(recording.markers):
        markers.append([_moved_marker(marker, turn[t], origin[t], lanes) for marker in of_step])
    return replace(recording, states=moved, markers=markers)


def _moved_marker(marker: MarkerPose, turn: Tensor, origin: Tensor, lanes: Tensor) -> MarkerPose:
    pos = rotations.quat_rotate(turn, torch.from_numpy(marker.pos) - origin) + lanes
    if marker.direction is None:
        return MarkerPose(marker.kind, pos.numpy())
    direction = rotations.quat_rotate(turn, torch.from_numpy(marker.direction))
    return MarkerPose(marker.kind, pos.numpy(), direction.numpy())


def _episode_starts(done: Tensor) -> Tensor:
    """Return, for every step, the step (T, N) long in which its episode began."""
    starts = torch.zeros(done.shape, dtype=torch.long)
    for t in range(1, len(done)):
        starts[t] = torch.where(done[t - 1], torch.full_like(starts[t], t), starts[t - 1])
    return starts


def _map(state: CharacterState, function: Callable[[Tensor], Tensor]) -> CharacterState:
    return CharacterState(**{name: function(tensor) for name, tensor in state.tensors().items()})


def _cpu(state: CharacterState) -> CharacterState:
    return _map(state, lambda tensor: tensor.detach().cpu())


def _stack(states: List[CharacterState]) -> CharacterState:
    names = [name for name in states[0].tensors()]
    return CharacterState(**{name: torch.stack([getattr(state, name) for state in states]) for name in names})


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().float().numpy().copy()
