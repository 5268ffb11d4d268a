"""Aligning whole episodes with a repeating clip, on all cores."""

import contextlib
import math
import multiprocessing
import signal
from concurrent.futures import ProcessPoolExecutor
from typing import Iterator, List, NamedTuple, Sequence, Tuple

import numpy as np
import torch

from amp_train import rotations
from amp_train.evaluation.episodes import ClipReference
from amp_train.evaluation.metrics import dtw_path, heading_local, pose_distances

SERIAL_CELLS = 10_000_000  # table cells that one core processes in the time that another process takes to start

# Costs (T, S) of one pass of S frames, or (T, more) of as many passes as T steps can need, and S.
Job = Tuple[np.ndarray, int]


class Alignment(NamedTuple):
    """The best alignment of an episode with a repeating clip.

    Attributes:
        error_m: m, mean over the pairs of the path.
        path: (K, 2) pairs of a step and a frame; frame S is frame 0 of the next pass.
    """

    error_m: float
    path: np.ndarray


def align(job: Job) -> Alignment:
    """Align T steps with passes of S frames that follow one another; the first and the last may be cut anywhere.

    It is `dtw_pose_error(..., cyclic=True)` with the path, given distances.
    """
    cost, period = job
    columns = len(cost) + period
    if cost.shape[1] == period:
        cost = np.tile(cost, -(-columns // period))
    cost = cost[:, :columns]
    path = dtw_path(cost, period)
    return Alignment(float(cost[path[:, 0], path[:, 1]].mean()), path)


def align_all(jobs: Sequence[Job], workers: int = 1) -> List[Alignment]:
    """Align many episodes, in `workers` processes where that is faster."""
    cells = sum(len(cost) * (len(cost) + period) for cost, period in jobs)
    if workers < 2 or cells < SERIAL_CELLS:
        return [align(job) for job in jobs]
    # Forking a process whose torch and MuJoCo threads run is not safe.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        with children_spared():
            alignments = pool.map(align, jobs, chunksize=4)
        return list(alignments)


@contextlib.contextmanager
def children_spared() -> Iterator[None]:
    """Block Ctrl-C, which reaches every process of a terminal, while processes are started: they inherit that, and
    their parent ends them, without a traceback each."""
    former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def world_job(body_pos: torch.Tensor, root_rot: torch.Tensor, clip: ClipReference) -> Job:
    """Return the costs of steps (T, B, 3) and (T, 4), world, against a clip in world axes: each pass turned on from the
    last."""
    if abs(clip.turn_rad) < 1e-3:
        return pose_distances(body_pos, clip.body_pos), len(clip)

    def turned(k: int) -> torch.Tensor:
        rot = rotations.yaw_quat(torch.tensor(k * clip.turn_rad)).expand(1, 1, 4)
        return rotations.quat_rotate(rot, clip.body_pos)

    passes = -(-len(body_pos) // len(clip)) + 1
    first = _first_pass(body_pos[:1], root_rot[:1], clip)
    references = [turned(k) for k in range(first, first + passes)]
    return np.concatenate([pose_distances(body_pos, reference) for reference in references], axis=1), len(clip)


def _first_pass(body_pos: torch.Tensor, root_rot: torch.Tensor, clip: ClipReference) -> int:
    """Return the pass of a clip that turns in which an episode begins, by the heading of its first step (1, ...)."""
    frame = int(pose_distances(heading_local(body_pos, root_rot), clip.heading_pos).argmin())
    ahead = rotations.heading(root_rot[0]) - rotations.heading(clip.root_rot[frame])
    off = ahead - clip.turn_rad * torch.arange(math.ceil(2.0 * math.pi / abs(clip.turn_rad)))
    return int(torch.cos(off).argmax())
