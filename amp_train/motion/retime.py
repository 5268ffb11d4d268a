"""Play a clip faster where it floats: captured leaps are often slowed down by hand."""

from dataclasses import replace
from typing import List, Tuple

import numpy as np
import torch

from amp_train import rotations
from amp_train.character import CharacterSpec
from amp_train.motion.clip import MAX_FPS, MAX_FRAMES, MotionClip
from amp_train.motion.ground import GRAVITY_M_S2, lowest_heights, mass_height

_IN_THE_AIR_M = 0.06
_FLIGHT_S = 0.15  # a parabola through less says nothing
_FLOATING, _CARRIED = 0.75, 0.1  # of gravity; less means slowed down, and hardly any means supported
_FASTEST = 2.0
_BEFORE_S = 0.1  # the take-off before a flight must be as fast as the flight
_EASING_S = 0.15
_STEP_S, _STEPS_PER_FRAME = 1e-3, 32  # of the integral, and its maximum


def retime_flights(clip: MotionClip, spec: CharacterSpec) -> MotionClip:
    """Play flights at the rate at which the mass falls with gravity (a simple case of "Physics-based motion retiming",
    McCann, Pollard and Srinivasa 2006), and ease from and to the clip's own rate before and after.

    DeepMimic's spin has 24 frames a second where its neighbours have 30 or 60, and its mass falls with 4.4 m/s^2: no
    body can do that, and policies that followed it as recorded landed before they had turned. A clip whose flights
    fall with at least 0.75 of gravity is unchanged.

    Returns:
        A clip with the same poses, shorter.
    """
    flights = floating_flights(clip, spec)
    if not flights:
        return clip
    num_steps = min(round(clip.duration_s / _STEP_S), _STEPS_PER_FRAME * clip.num_frames)
    was_s = np.linspace(0.0, clip.duration_s, max(2, num_steps) + 1)
    rate = np.ones_like(was_s)
    for begin_s, end_s, faster in flights:
        near = slice(*np.searchsorted(was_s, (begin_s - _EASING_S, end_s + _EASING_S)))
        into, out_of = (was_s[near] - begin_s) / _EASING_S + 1.0, (end_s - was_s[near]) / _EASING_S + 1.0
        rate[near] = np.maximum(rate[near], 1.0 + (faster - 1.0) * _smooth_step(into) * _smooth_step(out_of))
    steps_s = np.diff(was_s) * 2.0 / (rate[1:] + rate[:-1])
    now_s = np.concatenate(([0.0], np.cumsum(steps_s)))
    num_intervals = min(round(now_s[-1] * min(clip.fps * rate.max(), MAX_FPS)), MAX_FRAMES - 1)
    frames_s = np.linspace(0.0, now_s[-1], num_intervals + 1)
    return _sampled(clip, np.interp(frames_s, now_s, was_s), min(num_intervals / now_s[-1], MAX_FPS))


def floating_flights(clip: MotionClip, spec: CharacterSpec) -> List[Tuple[float, float, float]]:
    """List flights that are too slow: begin with the take-off (s), end (s), and how much faster they should be. Flights
    that the clip starts or ends in are ignored, because only a part is known."""
    in_the_air = np.concatenate(([False], (lowest_heights(clip, spec) > _IN_THE_AIR_M).numpy(), [False]))
    edges = np.flatnonzero(np.diff(in_the_air.astype(int)))
    height = mass_height(clip, spec).double().numpy()
    flights = []
    for begin, end in zip(edges[::2], edges[1::2]):
        whole = 0 < begin and end < clip.num_frames
        if not whole or (end - begin - 1) / clip.fps < _FLIGHT_S or end - begin < 4:
            continue
        fall = -2.0 * np.polyfit(np.arange(end - begin) / clip.fps, height[begin:end], 2)[0]
        if _CARRIED < fall / GRAVITY_M_S2 < _FLOATING:
            faster = min(_FASTEST, (GRAVITY_M_S2 / fall) ** 0.5)
            flights.append((begin / clip.fps - _BEFORE_S, (end - 1) / clip.fps, faster))
    return flights


def _smooth_step(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def _sampled(clip: MotionClip, times_s: np.ndarray, fps: float) -> MotionClip:
    """Return the clip's poses at times (F,) s as frames at another rate."""
    position = torch.from_numpy(times_s * clip.fps).clamp(0, clip.num_frames - 1)
    before = position.long().clamp(max=clip.num_frames - 2)
    blend = (position - before).float().unsqueeze(-1)
    return replace(
        clip,
        fps=float(fps),
        root_pos=torch.lerp(clip.root_pos[before], clip.root_pos[before + 1], blend),
        root_rot=rotations.slerp(clip.root_rot[before], clip.root_rot[before + 1], blend),
        joint_rot=rotations.slerp(clip.joint_rot[before], clip.joint_rot[before + 1], blend.unsqueeze(-1)),
    )
