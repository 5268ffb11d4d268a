"""Measures of how closely a motion follows a clip: pure functions of body positions."""

from typing import List, Tuple

import numpy as np
import torch
from dtaidistance import dtw, innerdistance
from torch import Tensor

from amp_train import rotations
from amp_train.errors import UserError


class EvaluationError(UserError):
    """A motion that cannot be measured."""


def dtw_pose_error(body_pos: Tensor, reference_body_pos: Tensor, cyclic: bool = False) -> float:
    """Return the pose error of the AMP paper (Peng et al. 2021, Eq. 10) along the best alignment in time.

    The error between two frames is the mean over bodies of |(x_j - x_root) - (r_j - r_root)|, the root's own zero
    included. Dynamic time warping pairs every frame with at least one of the other motion, in order, such that the sum
    over pairs is smallest; the result is the mean over those pairs.

    Positions are compared in the axes they are given in. Give world positions for the paper's own figure, or those of
    `heading_local` where the character may turn away from the clip's heading.

    Args:
        body_pos: (T, B, 3) m, the root first.
        reference_body_pos: (S, B, 3) m, the same bodies.
        cyclic: the reference is one cycle (its last frame precedes its first), which repeats for as long as the motion
            lasts and may begin and end in any phase.

    Raises:
        EvaluationError: shapes that do not fit, no frame, or a position that is not finite.
    """
    cost = pose_distances(body_pos, reference_body_pos)
    period = cost.shape[1] if cyclic else 0
    if cyclic:
        cost = np.tile(cost, -(-cost.shape[0] // period) + 1)[:, : cost.shape[0] + period]
    path = dtw_path(cost, period)
    return float(cost[path[:, 0], path[:, 1]].mean())


def heading_local(body_pos: Tensor, root_rot: Tensor) -> Tensor:
    """Express body positions relative to the root in the root's heading frame: world yaw removed, z still up.

    Args:
        body_pos: (T, B, 3) m, world, the root first.
        root_rot: (T, 4).

    Returns:
        (T, B, 3) m.
    """
    yaw_free = rotations.heading_rot_inv(root_rot).unsqueeze(-2)
    return rotations.quat_rotate(yaw_free, body_pos - body_pos[:, :1])


def pose_distances(body_pos: Tensor, reference_body_pos: Tensor) -> np.ndarray:
    """Return the error (T, S) in m between each frame of one motion and each of another; see `dtw_pose_error`."""
    motion, reference = (torch.as_tensor(x).detach().double() for x in (body_pos, reference_body_pos))
    _check(motion, reference)
    motion, reference = ((x - x[:, :1]).transpose(0, 1) for x in (motion, reference))
    # cdist's matrix product is faster and wrong by micrometres.
    distances = torch.cdist(motion, reference, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.mean(dim=0).cpu().numpy()


def dtw_path(cost: np.ndarray, free_ends: int = 0) -> np.ndarray:
    """Return the cheapest monotone alignment of rows and columns, (K, 2) pairs of row and column in order.

    Args:
        cost: (T, S) cost of each pair; the cost of a path is the sum over its pairs.
        free_ends: columns at the beginning and at the end that need not be paired.
    """
    rows = cost.tolist()

    class CostLookup(innerdistance.CustomInnerDist):
        """The series that the library compares are frame numbers; how far they are apart is in the table."""

        @staticmethod
        def inner_dist(x: int, y: int) -> float:
            return rows[x][y]

        @staticmethod
        def result(x: float) -> float:
            return x

        @staticmethod
        def inner_val(x: float) -> float:
            return x

    series = (list(range(cost.shape[0])), list(range(cost.shape[1])))
    psi = (0, 0, free_ends, free_ends)
    _, accumulated = dtw.warping_paths(*series, psi=psi, psi_neg=False, inner_dist=CostLookup)
    # best_path can find the free end itself, but fails where a single column is left out.
    first_end = cost.shape[1] - free_ends
    end = first_end + int(np.argmin(accumulated[-1, first_end:]))
    path: List[Tuple[int, int]] = dtw.best_path(accumulated, col=end)
    return np.array(path)


def _check(motion: Tensor, reference: Tensor) -> None:
    for name, positions in (("motion", motion), ("reference", reference)):
        if positions.ndim != 3 or positions.shape[-1] != 3 or len(positions) == 0:
            raise EvaluationError(
                f"The {name}'s body positions have shape {tuple(positions.shape)}; give (frames, "
                "bodies, 3) with at least one frame."
            )
        if not bool(torch.isfinite(positions).all()):
            raise EvaluationError(f"The {name}'s body positions are not all finite numbers.")
    if motion.shape[1] != reference.shape[1]:
        raise EvaluationError(
            f"The motion has {motion.shape[1]} bodies and the reference {reference.shape[1]}; "
            "give the same bodies of both."
        )
