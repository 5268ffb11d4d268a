"""Hand-made clips and episodes for the tests of scores."""

import math

import torch

from amp_train.evaluation.episodes import TIME_LIMIT, ClipReference, Episodes

NUM_BODIES = 3
DT_S = 0.5


def poses(radius, num_frames, passes=1.0, phase=0):
    """A root that walks along x at 0.1 m a frame, one limb that circles, one that does not move; (T, 3, 3)."""
    t = torch.arange(round(num_frames * passes)) + phase
    angle = 2 * math.pi * t / num_frames
    body_pos = torch.zeros(len(t), NUM_BODIES, 3)
    body_pos[..., 0] = 0.1 * t.unsqueeze(-1)
    body_pos[:, 1, 1] = radius * torch.sin(angle)
    body_pos[:, 1, 2] = radius * torch.cos(angle)
    body_pos[:, 2, 2] = -0.8
    return body_pos


def facing(body_pos):
    return torch.tensor([0.0, 0.0, 0.0, 1.0]).expand(*body_pos.shape[:-2], 4)


def clip(name, radius, num_frames=20, weight=1.0):
    body_pos = poses(radius, num_frames)
    return ClipReference(name, weight, 0.2, body_pos, facing(body_pos), torch.zeros(num_frames, 2))


def episodes(motions, ends=None, lengths=None, **fields):
    """Put motions (T, B, 3) of one length side by side; every other quantity is zero unless given."""
    body_pos = torch.stack(motions, dim=1)
    steps, num = body_pos.shape[:2]
    values = {
        "root_vel": torch.zeros(steps, num, 3),
        "dof_pos": torch.zeros(steps, num, 2),
        "foot_contact": torch.zeros(steps, num, 1, dtype=torch.bool),
        "foot_points": torch.zeros(steps, num, 1, 1, 3),
        "power_w": torch.zeros(steps, num),
        "style_reward": torch.zeros(steps, num),
        "disc_logit": torch.zeros(steps, num),
        **fields,
    }
    lengths = torch.full((num,), steps) if lengths is None else torch.tensor(lengths)
    ends = (TIME_LIMIT,) * num if ends is None else ends
    return Episodes(DT_S, body_pos, facing(body_pos), lengths=lengths, ends=tuple(ends), **values)
