"""Pictures of a clip, next to its source skeleton."""

from pathlib import Path
from typing import List

import numpy as np
import torch
from torch import Tensor

from amp_train.character import CharacterSpec, CharacterState
from amp_train.cli.showing import PAGES
from amp_train.motion import MotionLibrary
from amp_train.motion.importers import Imported
from amp_train.motion.retarget import Retargeted
from amp_train.viewers import View, record_video
from amp_train.viewers.page import export_page
from amp_train.viewers.recording import MarkerPose, one_character

_RATE_HZ = 30.0
_BESIDE_M = 1.0


def view_clip(path: Path, imported: Imported, spec: CharacterSpec) -> Path:
    """Draw a clip as a video, a strip of pictures or a page, as the name's ending says.

    Raises:
        ViewerError: an unsupported file ending.
        MissingPackageError: a page, and viser is not installed.
    """
    clip = imported.clip
    library = MotionLibrary([clip], spec=spec)
    times = torch.arange(0.0, clip.duration_s + 1e-6, 1.0 / _RATE_HZ)
    states = library.state_at(torch.zeros(len(times), dtype=torch.long), times)
    recording = one_character(spec, states, 1.0 / _RATE_HZ)
    if imported.retargeted is not None:
        recording.markers = _bones(imported.retargeted, states, times)
    if path.suffix.lower() in PAGES:
        recording.markers = [[_together(bones)] for bones in recording.markers]
        return export_page(path, recording)
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


def _together(bones: List[MarkerPose]) -> MarkerPose:
    """Make one thing of many bones: a page gets one message a picture."""
    directions = [bone.direction for bone in bones if bone.direction is not None]
    return MarkerPose("bone", np.concatenate([bone.pos for bone in bones]), np.concatenate(directions))


def _bone(start: Tensor, end: Tensor) -> MarkerPose:
    return MarkerPose("bone", start.numpy()[np.newaxis], (end - start).numpy()[np.newaxis])
