"""Place a clip on the ground: as a whole, and frame by frame where it hovers although it must be supported."""

from dataclasses import replace
from typing import Iterator, Optional, Tuple

import numpy as np
import torch
from torch import Tensor

from amp_train.character import CharacterSpec, Kinematics
from amp_train.errors import MotionError
from amp_train.motion.clip import MotionClip

_CHUNK = 4096
_DIPPING = 0.05
GRAVITY_M_S2 = 9.81
HOVERING_M = 0.12  # captured supporting feet hover by at most 0.119 m (dance_b); higher support is intended
_STANDING_S = 0.1  # to either side; shorter windows misread the acceleration of a flight as support
_CLOSED_M = 1e-3
_WINDOW_S = 0.03
_SMOOTHING_S = 0.03


def place_on_ground(clip: MotionClip, spec: CharacterSpec) -> MotionClip:
    """Raise or lower the whole clip so that the character's contact geometry touches z = 0 and stays above it; then
    lower the frames that hover.

    The lowest 5 % of the frames may dip below: a rigid foot that rolls over its toes, or a knee that an error of
    capture pushed into the floor (DeepMimic's crawl: 10 cm in its last frames), must not leave the rest of the clip
    hovering."""
    ground = float(torch.quantile(lowest_heights(clip, spec), _DIPPING))
    return lower_hovering(_lifted(clip, torch.tensor(-ground)), spec)


def lower_hovering(clip: MotionClip, spec: CharacterSpec) -> MotionClip:
    """Lower the frames whose lowest point is above z = 0 although the character is supported.

    A retargeted capture keeps the angles, not the contacts: DeepMimic's jump takes off from 5 cm above the
    ground, its run pushes off from 6. An episode that begins there begins with a fall. A frame is supported where the
    mass accelerates downwards at less than half of gravity; in flight the correction is interpolated between the
    supported frames before and after. A character that is supported higher than captured feet hover stands on
    something: it stays."""
    hovering = lowest_heights(clip, spec)
    is_cycle = clip.loop == "wrap" and bool((hovering[0] - hovering[-1]).abs() < _CLOSED_M)
    ends = replace(clip, loop="wrap" if is_cycle else "clamp")  # the ends of an open cycle are unrelated
    drop = _drop(hovering.clamp(min=0.0), is_carried(ends, spec), ends)
    return clip if drop is None else _lifted(clip, -drop)


def is_carried(clip: MotionClip, spec: CharacterSpec) -> Tensor:
    """Return in which frames (F,) the character is supported."""
    reach = max(1, min(round(_WINDOW_S * clip.fps), (clip.num_frames - 1) // 2))
    lifted = _acceleration(mass_height(clip, spec), clip, reach) > -0.5 * GRAVITY_M_S2
    # A windowed acceleration still contains the push when the flight has begun.
    return torch.stack([lifted[_frames_at(clip, s)] for s in (-reach, 0, reach)]).all(0)


def _drop(hovering: Tensor, carried: Tensor, clip: MotionClip) -> Optional[Tensor]:
    """Return by how much (F,) m to lower the frames; None: all stay."""
    wrong, high = carried & (hovering < HOVERING_M), carried & (hovering >= HOVERING_M)
    if not bool(wrong.any()):
        return None
    reach = round(_STANDING_S * clip.fps)
    meant = torch.stack([high[_frames_at(clip, s)] for s in range(-reach, reach + 1)]).all(0)
    frames, known = np.arange(clip.num_frames), (wrong | meant).nonzero().flatten().numpy()
    period = clip.num_frames - 1 if clip.loop == "wrap" else None
    drop = np.interp(frames, known, (hovering * wrong)[known].numpy(), period=period)
    return torch.minimum(_smooth(torch.from_numpy(drop).float(), clip), hovering)


def lowest_heights(clip: MotionClip, spec: CharacterSpec) -> Tensor:
    """Return the height (F,) m of the lowest point of the character's contact geometry in every frame."""
    if len(spec.geoms.body_ids) == 0:
        raise MotionError(f"Character '{spec.name}' has no contact geometry to place clip '{clip.name}' on the ground.")
    return torch.cat([spec.geoms.lowest_height(*bodies).min(dim=-1)[0] for bodies in _bodies(clip, spec)])


def lowest_of_bodies(clip: MotionClip, spec: CharacterSpec) -> Tensor:
    """Return the height (F, B) m of every body's lowest point; infinity for one without contact geometry."""
    low = torch.full((clip.num_frames, spec.num_bodies), torch.inf)
    heights = torch.cat([spec.geoms.lowest_height(*bodies) for bodies in _bodies(clip, spec)])
    for geom, body in enumerate(spec.geoms.body_ids.tolist()):
        low[:, body] = torch.minimum(low[:, body], heights[:, geom])
    return low


def mass_height(clip: MotionClip, spec: CharacterSpec) -> Tensor:
    """Return the mean height (F,) m of the bodies, by mass; their origins approximate their centres."""
    height = torch.cat([body_pos[..., 2] for body_pos, _ in _bodies(clip, spec)])
    return height @ (spec.body_mass / spec.body_mass.sum()).to(height)


def _bodies(clip: MotionClip, spec: CharacterSpec) -> Iterator[Tuple[Tensor, Tensor]]:
    """Pose the character as the clip does, some frames at a time: body_pos (n, B, 3), body_rot (n, B, 4)."""
    kinematics = Kinematics(spec)
    for frames in zip(*(t.split(_CHUNK) for t in (clip.root_pos, clip.root_rot, clip.joint_rot))):
        yield kinematics.forward(*frames)


def _acceleration(height: Tensor, clip: MotionClip, reach: int) -> Tensor:
    """Return the second derivative (F,) m/s^2 of a height over `reach` frames to either side."""
    before, here, after = (height[_frames_at(clip, shift)] for shift in (-reach, 0, reach))
    return (before - 2.0 * here + after) * (clip.fps / reach) ** 2


def _smooth(values: Tensor, clip: MotionClip) -> Tensor:
    """Average (F,) values with a Gaussian of `_SMOOTHING_S`."""
    deviation = _SMOOTHING_S * clip.fps
    shifts = range(-int(3 * deviation), int(3 * deviation) + 1)
    weights = torch.exp(-0.5 * (torch.tensor(list(shifts)) / deviation) ** 2)
    return sum((w * values[_frames_at(clip, s)] for w, s in zip(weights / weights.sum(), shifts)), torch.zeros(()))


def _frames_at(clip: MotionClip, shift: int) -> Tensor:
    """Return which frames (F,) are `shift` later: those of the next cycle in a wrap clip, else the last."""
    frames, last = torch.arange(clip.num_frames) + shift, clip.num_frames - 1
    return frames % last if clip.loop == "wrap" else frames.clamp(0, last)


def _lifted(clip: MotionClip, by: Tensor) -> MotionClip:
    """Raise a clip by () or (F,) m."""
    return replace(clip, root_pos=clip.root_pos + torch.stack((0 * by, 0 * by, by), dim=-1))
