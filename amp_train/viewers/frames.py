"""The data that a live viewer shows of one control step, and its history of the last minute."""

from collections import deque
from dataclasses import dataclass
from typing import Deque, Dict, List

import numpy as np
import torch

from amp_train.character import CharacterState
from amp_train.env import AmpEnv
from amp_train.runner.episodes import EpisodeStep
from amp_train.viewers.ghost import GhostTracker, offset_m, place, pose_error_m
from amp_train.viewers.marker import MarkerPose, marker_poses
from amp_train.viewers.row import Row

REMEMBERED_S = 30.0
CONTACT_N = 1.0


@dataclass
class Frame:
    """One step: characters and ghosts where they are shown, CPU; goals; numbers of the first character."""

    time_s: float
    state: CharacterState
    ghost: CharacterState
    markers: List[MarkerPose]
    scores: Dict[str, float]

    @property
    def status(self) -> str:
        """How it goes, in a line."""
        speed, style, error_m = (self.scores[name] for name in ("speed_m_s", "style_reward", "pose_error_m"))
        return f"{self.time_s:.1f} s, {speed:.2f} m/s, style {style:.2f}, {100 * error_m:.0f} cm to the clip"


class Frames:
    """Turns steps into frames; several characters are shown in a row."""

    def __init__(self, env: AmpEnv, num: int, ghost: str = "over") -> None:
        """Follow the first `num` environments; ghosts are `beside` the characters or `over` them."""
        self.env, self.num, self._ghost, self._offset_m = env, num, ghost, (0.0, 0.0)
        self.tracker = GhostTracker(env.motion_library, env.control_dt_s)
        self.row = Row(num) if num > 1 else None
        self.history: Deque[Frame] = deque(maxlen=round(REMEMBERED_S / env.control_dt_s))
        self._feet = list(env.spec.contact_body_ids)

    def add(self, step: EpisodeStep, restarted: torch.Tensor) -> Frame:
        """Make and store the frame of a step; `restarted` (N,) bool are the episodes that started before it."""
        state = step.state[: self.num].clone()
        restarted = restarted[: self.num].cpu()
        ghost = self.tracker.follow(state, restarted)
        error_m = float(pose_error_m(ghost, state)[0])
        state, ghost = _on_cpu(state), _on_cpu(ghost)
        markers = marker_poses(self.env, self.num)
        if self.row is not None:
            state = self.row.place(state, restarted)
            markers = self.row.place_markers(markers)
        if restarted[0] or not self.history:
            self._offset_m = offset_m(self._ghost, state.root_rot[0])
        ghost, scores = place(ghost, state, self._offset_m), {**self._scores(step), "pose_error_m": error_m}
        frame = Frame(step.time_s, state, ghost, markers, scores)
        self.history.append(frame)
        return frame

    def _scores(self, step: EpisodeStep) -> Dict[str, float]:
        scores = {
            "style_reward": float(step.style_reward[0]),
            "task_reward": float(step.task_reward[0]),
            "disc_logit": float(step.disc_logit[0]),
            "speed_m_s": float(step.state.root_vel[0, :2].norm()),
        }
        force = step.state.contact_force
        for k, body in enumerate(self._feet[:2] if force is not None else ()):
            assert force is not None
            scores[f"contact_{k}"] = float((force[0, body].abs() > CONTACT_N).any())
        return scores

    def foot_names(self) -> List[str]:
        """Name the bodies whose contacts are among the scores."""
        return [self.env.spec.body_names[body] for body in self._feet[:2]]

    def clip_ghost(self, clip: int, time_s: float, on: CharacterState) -> CharacterState:
        """Return the ghosts at a time of a clip, on the characters as they are shown."""
        library = self.env.motion_library
        clips = torch.full((self.num,), clip, dtype=torch.long, device=library.device)
        state = library.state_at(clips, torch.full((self.num,), time_s, device=library.device))
        return place(_on_cpu(state), on, self._offset_m)

    def series(self, name: str, seconds: float) -> np.ndarray:
        """Return a score of the last seconds, oldest first; NaN where there is none."""
        count = min(len(self.history), round(seconds / self.env.control_dt_s))
        recent = list(self.history)[-count:] if count else []
        if name == "time_s":
            return np.array([frame.time_s for frame in recent])
        return np.array([frame.scores.get(name, np.nan) for frame in recent])


def _on_cpu(state: CharacterState) -> CharacterState:
    return CharacterState(**{name: tensor.detach().cpu() for name, tensor in state.tensors().items()})
