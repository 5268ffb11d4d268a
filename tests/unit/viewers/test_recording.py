"""What is recorded of an episode run, and how several characters are lined up."""

from dataclasses import dataclass
from typing import Any, List, Optional, Tuple

import numpy as np
import pytest
import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterSpec, CharacterState, Kinematics
from amp_train.motion import MotionLibrary, load_motion
from amp_train.viewers.caption import captions, write_on
from amp_train.viewers.marker import MarkerPose
from amp_train.viewers.recording import Recorder, Recording, in_a_row


@dataclass
class Marker:
    kind: str
    pos: Tensor
    direction: Optional[Tensor] = None


class StandingEnv:
    """Three characters that slide along x, one step a call."""

    control_dt_s, num_envs = 1.0 / 30, 3

    def __init__(self, spec: CharacterSpec) -> None:
        clips, weights = load_motion("walk.npz", spec)
        self.spec, self.task = spec, self
        self.motion_library = MotionLibrary(clips, weights, "cpu", spec, 0.0, torch.Generator().manual_seed(0))
        self._kinematics, self._steps = Kinematics(spec), 0

    def markers(self) -> List[Marker]:
        return [Marker("arrow", torch.tensor([[float(n), 0.0, 1.0] for n in range(3)]), torch.eye(3))]

    def step(self) -> "Step":
        self._steps += 1
        state = self._kinematics.default_state(3)
        state.contact_force = torch.zeros(3, self.spec.num_bodies, 3)
        state.contact_force[1, 4, 2] = 300.0
        state.root_pos[:, 0] += 0.1 * self._steps
        state.root_pos[:, 1] += torch.arange(3.0)
        done = torch.tensor([False, self._steps == 2, False])
        return Step(state, done, torch.arange(3.0) + self._steps, torch.ones(3), torch.zeros(3))


@dataclass
class Step:
    state: CharacterState
    done: Tensor
    style_reward: Tensor
    task_reward: Tensor
    disc_logit: Tensor


def record(env: Any, recorder: Recorder, steps: int) -> Recording:
    recorder.on_start(env)
    for _ in range(steps):
        recorder.on_step(env.step())
    return recorder.recording()


def test_a_recorder_keeps_the_first_characters_of_every_step(humanoid: CharacterSpec) -> None:
    recording = record(StandingEnv(humanoid), Recorder(2), 4)
    assert len(recording) == 4 and recording.num_characters == 2
    assert torch.allclose(recording.states.root_pos[:, 1, 0], 0.1 * torch.arange(1.0, 5.0))
    assert recording.scores["style_reward"].tolist() == [[1, 2], [2, 3], [3, 4], [4, 5]]
    assert recording.done.nonzero().tolist() == [[1, 1]]
    assert recording.contacts is not None and recording.contacts[2].nonzero().tolist() == [[1, 4]]
    assert recording.markers[0][0].pos.tolist() == [[0, 0, 1], [1, 0, 1]]
    assert recording.ghosts is not None and recording.ghosts.root_pos.shape == (4, 2, 3)


def test_a_recorder_stops_at_its_number_of_steps(humanoid: CharacterSpec) -> None:
    recorder = Recorder(1, with_ghosts=False, max_steps=3)
    recording = record(StandingEnv(humanoid), recorder, 5)
    assert len(recording) == 3 and recorder.is_full and recording.ghosts is None


def test_in_a_row_every_episode_begins_in_its_lane_and_heads_along_x(
    humanoid: CharacterSpec, kinematics: Kinematics
) -> None:
    """Character 1 falls after step 1 and starts again elsewhere, facing elsewhere."""
    rows = []
    for t in range(4):
        state = kinematics.default_state(2)
        yaw = torch.tensor([0.5, -1.0 if t < 2 else 2.0])
        start = torch.tensor([[3.0, 4.0], [-2.0, 0.0] if t < 2 else [7.0, 7.0]])
        ahead = 0.3 * (t if t < 2 else torch.tensor([t, t - 2]))
        step = torch.stack((torch.cos(yaw), torch.sin(yaw)), dim=-1) * torch.as_tensor(ahead).reshape(-1, 1)
        state.root_pos[:, :2] = start + step
        state.root_rot = rotations.yaw_quat(yaw)
        rows.append(state)
    states = CharacterState(**{n: torch.stack([getattr(s, n) for s in rows]) for n in rows[0].tensors()})
    done = torch.tensor([[False, False], [False, True], [False, False], [False, False]])
    goal = MarkerPose("arrow", rows[0].root_pos.numpy().copy(), np.array([[1.0, 0, 0], [0.0, 1, 0]], dtype=np.float32))
    shown = in_a_row(Recording(humanoid, 1 / 30, states, done, markers=[[goal]] * 4))
    x, y = shown.states.root_pos[..., 0], shown.states.root_pos[..., 1]
    assert torch.allclose(x[:, 0], torch.tensor([0.0, 0.3, 0.6, 0.9]), atol=1e-5)
    assert torch.allclose(x[:, 1], torch.tensor([0.0, 0.3, 0.0, 0.3]), atol=1e-5)
    assert torch.allclose(y, torch.tensor([-0.9, 0.9]).expand(4, 2), atol=1e-5)
    assert rotations.heading(shown.states.root_rot).abs().max() < 1e-5
    assert shown.markers[0][0].pos[0] == pytest.approx([0.0, -0.9, float(rows[0].root_pos[0, 2])], abs=1e-5)
    assert shown.markers[0][0].direction is not None
    assert shown.markers[0][0].direction[0] == pytest.approx([np.cos(0.5), -np.sin(0.5), 0.0], abs=1e-5)


def test_a_caption_says_time_speed_and_scores(humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    states = kinematics.default_state(2)
    states.root_vel = torch.tensor([[3.0, 4.0, 9.0], [0.0, 1.0, 0.0]])
    both = CharacterState(**{name: tensor.unsqueeze(1) for name, tensor in states.tensors().items()})
    scores = {"style_reward": torch.tensor([[0.5], [0.25]]), "task_reward": torch.ones(2, 1)}
    recording = Recording(humanoid, 0.1, both, torch.zeros(2, 1, dtype=torch.bool), scores=scores)
    assert [line.split("   ") for line in captions(recording)] == [
        [" 0.00 s", "5.00 m/s", "style 0.50"],
        [" 0.10 s", "1.00 m/s", "style 0.25"],
    ]
    scores["task_reward"] = torch.tensor([[0.5], [1.0]])
    assert "task 1.00" in captions(recording)[1]


def _changed(picture: np.ndarray, text: str) -> Tuple[int, int]:
    rows, columns = np.nonzero((write_on(picture, text) != picture).any(-1))
    return int(rows.max()), int(columns.max())


def test_text_is_written_in_the_upper_left_corner_and_grows_to_the_right() -> None:
    picture = np.full((240, 640, 3), 128, dtype=np.uint8)
    rows, short = _changed(picture, "1.0 s")
    _, long = _changed(picture, "1.0 s  style 0.5")
    assert rows < 60 and short < long < 320
    assert write_on(picture, "1.0 s")[:60].max() > 220
