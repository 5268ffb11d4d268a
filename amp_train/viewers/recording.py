"""The recording of an episode run: characters over time, their ghosts, scores and goals."""

from dataclasses import dataclass, field, replace
from typing import Callable, Dict, List, Optional, Tuple

import torch
from torch import Tensor

from amp_train.character import CharacterSpec, CharacterState
from amp_train.env import AmpEnv
from amp_train.runner.episodes import EpisodeCallback, EpisodeStep
from amp_train.viewers.ghost import GhostTracker, pose_error_m
from amp_train.viewers.marker import MarkerPose, floor_height, marker_poses
from amp_train.viewers.row import Row

CONTACT_N = 1.0
MAX_STEPS = 10_000  # five minutes; a stranger may have set the length of an episode
SCORES = ("style_reward", "task_reward", "disc_logit")


@dataclass
class Recording:
    """T steps of N characters.

    Attributes:
        spec: the character.
        dt_s: s between two steps.
        states: fields (T, N, ...), CPU.
        done: (T, N) bool, the last step of an episode.
        ghosts: fields (T, N, ...): the clips in phase, in their own place; None without ghosts.
        scores: (T, N) each: `style_reward`, `task_reward`, `disc_logit`, `pose_error_m` (to the ghost).
        contacts: (T, N, num_bodies) bool.
        markers: T lists of a task's markers.
        clip_names: of the ghosts' clips.
        floor_height: m.
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
    floor_height: float = 0.0

    def __len__(self) -> int:
        return len(self.states)

    @property
    def num_characters(self) -> int:
        return int(self.states.root_pos.shape[1])


class Recorder(EpisodeCallback):
    """Records the first environments, with the clip's ghosts."""

    def __init__(self, num_characters: int = 1, with_ghosts: bool = True, max_steps: int = MAX_STEPS) -> None:
        """Record `num_characters` environments, at most `max_steps` steps."""
        self._num, self._with_ghosts, self._max_steps = num_characters, with_ghosts, max_steps
        self._rows: Dict[str, List[Tensor]] = {}
        self._states: List[CharacterState] = []
        self._ghosts: List[CharacterState] = []
        self._markers: List[List[MarkerPose]] = []
        self._last: Optional[CharacterState] = None

    @property
    def is_full(self) -> bool:
        """Whether all requested steps are recorded."""
        return len(self._states) >= self._max_steps

    def on_start(self, env: AmpEnv) -> None:
        """Begin."""
        self._env, self._num = env, min(self._num, env.num_envs)
        self._tracker = GhostTracker(env.motion_library, env.control_dt_s) if self._with_ghosts else None
        self._restarted = torch.ones(self._num, dtype=torch.bool)

    def on_step(self, step: EpisodeStep) -> None:
        """Take a control step."""
        if self.is_full:
            return
        state = step.state[: self._num]
        if self._last is not None:  # a diverged character stays in place
            state = _where(torch.isfinite(state.body_pos).flatten(1).all(-1), state, self._last)
        self._last = state = state.clone()
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

    def recording(self) -> Recording:
        """Return the recording."""
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
            floor_height=floor_height(self._env),
        )

    def _row(self, name: str, value: Tensor) -> None:
        self._rows.setdefault(name, []).append(value.detach().reshape(len(value), -1).squeeze(-1)[: self._num].cpu())


def one_character(spec: CharacterSpec, states: CharacterState, dt_s: float = 1.0 / 30) -> Recording:
    """Wrap T states of one character."""
    done = torch.zeros(len(states), 1, dtype=torch.bool)
    return Recording(spec, dt_s, _map(states, lambda tensor: tensor.unsqueeze(1)), done)


def in_a_row(recording: Recording) -> Recording:
    """Line the characters up: each episode begins in the character's own lane and heads along x; goals go with them."""
    row, restarted = Row(recording.num_characters), torch.ones(recording.num_characters, dtype=torch.bool)
    states: List[CharacterState] = []
    markers: List[List[MarkerPose]] = []
    for t in range(len(recording)):
        states.append(row.place(recording.states[t], restarted))
        if recording.markers:
            markers.append(row.place_markers(recording.markers[t]))
        restarted = recording.done[t]
    return replace(recording, states=_stack(states), markers=markers)


def _map(state: CharacterState, function: Callable[[Tensor], Tensor]) -> CharacterState:
    return CharacterState(**{name: function(tensor) for name, tensor in state.tensors().items()})


def _where(chosen: Tensor, state: CharacterState, other: CharacterState) -> CharacterState:
    """Take the chosen (N,) bool rows of one batch of states and the others of another."""
    others = other.tensors()
    rows = {
        name: torch.where(chosen.reshape((-1,) + (1,) * (tensor.dim() - 1)), tensor, others[name])
        for name, tensor in state.tensors().items()
    }
    return CharacterState(**rows)


def _cpu(state: CharacterState) -> CharacterState:
    return _map(state, lambda tensor: tensor.detach().cpu())


def _stack(states: List[CharacterState]) -> CharacterState:
    names = [name for name in states[0].tensors()]
    return CharacterState(**{name: torch.stack([getattr(state, name) for state in states]) for name in names})
