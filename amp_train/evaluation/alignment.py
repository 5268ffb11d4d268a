"""Aligning whole episodes with a repeating clip, on all cores."""

import contextlib
import multiprocessing
import signal
from concurrent.futures import ProcessPoolExecutor
from typing import Iterator, List, NamedTuple, Sequence, Tuple

import numpy as np
import torch

from amp_train import rotations
from amp_train.evaluation.episodes import ClipReference
from amp_train.evaluation.metrics import dtw_path, pose_distances

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


def world_job(body_pos: torch.Tensor, clip: ClipReference) -> Job:
    """Return the costs of steps (T, B, 3), world, against a clip in world axes: each pass turned on from the last."""
    if abs(clip.turn_rad) < 1e-3:
        return pose_distances(body_pos, clip.body_pos), len(clip)
    passes = -(-len(body_pos) // len(clip)) + 1
    turned = [
        rotations.quat_rotate(rotations.yaw_quat(torch.tensor(k * clip.turn_rad)).expand(1, 1, 4), clip.body_pos)
        for k in range(passes)
    ]
    return np.concatenate([pose_distances(body_pos, reference) for reference in turned], axis=1), len(clip)
