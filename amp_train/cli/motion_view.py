"""Pictures of a clip, next to its source skeleton."""

from pathlib import Path
from typing import List

import numpy as np
import torch
from torch import Tensor

from amp_train.character import CharacterSpec, CharacterState
from amp_train.motion import MotionLibrary
from amp_train.motion.importers import Imported
from amp_train.motion.retarget import Retargeted
from amp_train.viewers import View, record_video
from amp_train.viewers.recording import MarkerPose, one_character

_RATE_HZ = 30.0
_BESIDE_M = 1.0


def view_clip(path: Path, imported: Imported, spec: CharacterSpec) -> Path:
    """Draw a clip as a video or, by the name's ending, as a strip of pictures.

    Raises:
        ViewerError: an unsupported file ending.
    """
    clip = imported.clip
    library = MotionLibrary([clip], spec=spec)
    times = torch.arange(0.0, clip.duration_s + 1e-6, 1.0 / _RATE_HZ)
    states = library.state_at(torch.zeros(len(times), dtype=torch.long), times)
    recording = one_character(spec, states, 1.0 / _RATE_HZ)
    if imported.retargeted is not None:
        recording.markers = _bones(imported.retargeted, states, times)
    return record_video(path, recording, View(), with_text=False)


def _bones(done: Retargeted, states: CharacterState, times: Tensor) -> List[List[MarkerPose]]:
    """Return the source's bones for each picture, to the left of the character."""
    source = done.source
    pos, _ = source.forward()
    root = pos.mean(dim=1, keepdim=True)
    frames = (times * source.fps).round().long().clamp(max=source.num_frames - 1)
    lowest = pos[..., 2].min()
    children = [joint for joint, parent in enumerate(source.parents) if parent >= 0]
    shown = []
    for picture, frame in enumerate(frames.tolist()):
        place = states.root_pos[picture].double() + torch.tensor([0.0, _BESIDE_M, 0.0]).double()
        joints = (pos[frame] - root[frame]) + place
        joints[:, 2] = pos[frame, :, 2] - lowest
        shown.append([_bone(joints[source.parents[joint]], joints[joint]) for joint in children])
    return shown


def _bone(start: Tensor, end: Tensor) -> MarkerPose:
    return MarkerPose("bone", start.numpy()[np.newaxis], (end - start).numpy()[np.newaxis])
