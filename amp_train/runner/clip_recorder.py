"""What a policy did, as a clip: it can be looked at, exported and trained on like any other."""

from typing import List, Tuple

import torch
from torch import Tensor

from amp_train.character import CharacterState
from amp_train.env import AmpEnv
from amp_train.errors import MotionError
from amp_train.motion import MotionClip
from amp_train.motion.clip import MAX_FRAMES
from amp_train.runner.episodes import EpisodeCallback, EpisodeStep


class ClipRecorder(EpisodeCallback):
    """Records one episode of the first character, from where it starts to where it ends."""

    def __init__(self) -> None:
        self._poses: List[Tuple[Tensor, Tensor, Tensor]] = []
        self._is_over = False

    def on_start(self, env: AmpEnv) -> None:
        """Take the pose in which the episode starts."""
        self._env = env
        self._add(env.state)

    def on_step(self, step: EpisodeStep) -> None:
        """Take the pose at the end of a control step."""
        if not self._is_over:
            self._add(step.state)
            self._is_over = self._is_over or bool(step.done[0]) or len(self._poses) >= MAX_FRAMES

    def clip(self, name: str, source: str) -> MotionClip:
        """Return what was recorded.

        Raises:
            MotionError: the episode ended before its second frame.
        """
        if len(self._poses) < 2:
            raise MotionError("There is nothing to record: the episode ended at once.")
        root_pos, root_rot, joint_rot = (torch.stack(part) for part in zip(*self._poses))
        return MotionClip(
            name=name,
            fps=1.0 / self._env.control_dt_s,
            root_pos=root_pos,
            root_rot=root_rot,
            joint_rot=joint_rot,
            joint_names=self._env.spec.joint_names,
            source=source,
        )

    def _add(self, state: CharacterState) -> None:
        pose = state.root_pos[0], state.root_rot[0], state.joint_rot[0]
        if all(bool(torch.isfinite(part).all()) for part in pose):
            self._poses.append((pose[0].cpu().clone(), pose[1].cpu().clone(), pose[2].cpu().clone()))
        else:  # the physics has diverged
            self._is_over = True
