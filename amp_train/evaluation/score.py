"""From recorded episodes to numbers; docs/evaluation.md defines each."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch

from amp_train.evaluation.alignment import Alignment, Job, align_all, world_job
from amp_train.evaluation.episodes import TIME_LIMIT, ClipReference, Episodes
from amp_train.evaluation.feet import lowest_point_speed
from amp_train.evaluation.metrics import heading_local, pose_distances

COVERED_SHARE = 0.1  # share of the steps that a frame would get if all frames got equally many
PHASE_BINS = 8
PHASE_BEFORE_FALL_S = 0.5  # the cause precedes the fall


@dataclass
class EpisodeScore:
    """The score of one episode.

    Attributes:
        clip_id: the clip that most of its steps are nearest to, which it is aligned with.
        nearest_clip, nearest_frame: (T,) long, clip and frame in it nearest to each step, in the heading frame.
        nearest_distance_m: (T,) m, its distance, mean over bodies.
        heading: alignment in the root's heading frame.
        world: alignment in world axes, if requested.
    """

    clip_id: int
    nearest_clip: np.ndarray
    nearest_frame: np.ndarray
    nearest_distance_m: np.ndarray
    heading: Alignment = Alignment(float("nan"), np.zeros((0, 2), dtype=int))
    world: Optional[Alignment] = None


def score_episodes(
    runs: Sequence[Episodes], clips: Sequence[ClipReference], workers: int = 1, world_runs: int = 0
) -> List[List[EpisodeScore]]:
    """Score every episode of every run, with all alignments in one batch.

    Args:
        runs: the episodes.
        clips: their reference.
        workers: processes that align them.
        world_runs: how many runs, the first ones, are aligned in world axes too, which doubles the time.
    """
    scores, jobs, world_jobs = [], [], []
    for number, run in enumerate(runs):
        for n in range(len(run)):
            score, heading_job = _nearest(run, n, clips)
            scores.append(score)
            jobs.append(heading_job)
            if number < world_runs:
                rows = slice(int(run.lengths[n]))
                world_jobs.append(world_job(run.body_pos[rows, n], run.root_rot[rows, n], clips[score.clip_id]))
    alignments = align_all(jobs + world_jobs, workers)
    for score, heading in zip(scores, alignments):
        score.heading = heading
    for score, world in zip(scores, alignments[len(scores) :]):
        score.world = world
    ends = np.cumsum([len(run) for run in runs])
    return [scores[end - len(run) : end] for run, end in zip(runs, ends)]


def _nearest(run: Episodes, n: int, clips: Sequence[ClipReference]) -> Tuple[EpisodeScore, Job]:
    """Compare an episode's steps with all frames of all clips; return its score, not yet aligned, and what to align."""
    length = int(run.lengths[n])
    frames = torch.cat([clip.heading_pos for clip in clips])
    distances = pose_distances(heading_local(run.body_pos[:length, n], run.root_rot[:length, n]), frames)
    clip_of_frame = np.repeat(np.arange(len(clips)), [len(clip) for clip in clips])
    first_frame = np.cumsum([0] + [len(clip) for clip in clips])
    nearest = distances.argmin(axis=1)
    nearest_clip = clip_of_frame[nearest]
    clip_id = int(np.bincount(nearest_clip).argmax())
    cost = distances[:, first_frame[clip_id] : first_frame[clip_id + 1]]
    score = EpisodeScore(clip_id, nearest_clip, nearest - first_frame[nearest_clip], distances.min(axis=1))
    return score, (cost, len(clips[clip_id]))


def summarize(
    runs: Sequence[Episodes],
    scores: Sequence[Sequence[EpisodeScore]],
    clips: Sequence[ClipReference],
    body_mass_kg: float,
) -> Dict[str, Any]:
    """Return the measures of one policy over all its runs (seeds), ready for JSON."""
    flat = [score for of_run in scores for score in of_run]
    errors = np.array([score.heading.error_m for score in flat])
    world_errors = np.array([score.world.error_m for score in flat if score.world is not None])
    world = {}
    if len(world_errors):
        world["dtw_pose_error_world_m"] = float(world_errors.mean())
        world["dtw_pose_error_world_std_m"] = float(world_errors.std())
    return {
        "dtw_pose_error_m": float(errors.mean()),
        "dtw_pose_error_std_m": float(errors.std()),
        **world,
        "dtw_pose_error_by_seed_m": [float(np.mean([s.heading.error_m for s in of_run])) for of_run in scores],
        **falls(runs),
        "root_speed_m_s": _mean(runs, lambda run: run.root_vel[..., :2].norm(dim=-1)),
        "clip_speed_m_s": sum(clip.weight * clip.speed_m_s for clip in clips),
        "nearest_frame_m": float(np.concatenate([score.nearest_distance_m for score in flat]).mean()),
        "tempo": float(np.mean([tempo(score, clips) for score in flat])),
        "style_reward": _mean(runs, lambda run: run.style_reward),
        "foot_slide_m_s": foot_slide_m_s(runs),
        "power_w": _mean(runs, lambda run: run.power_w),
        "power_w_per_kg": _mean(runs, lambda run: run.power_w) / body_mass_kg,
        "falls_by_phase": falls_by_phase(runs, scores, clips),
        **coverage(flat, clips),
        **task_success(runs),
    }


def falls(runs: Sequence[Episodes]) -> Dict[str, Any]:
    """Return how often episodes end before the time limit, by what, and how long they are."""
    ends = [end for run in runs for end in run.ends]
    lengths_s = torch.cat([run.lengths * run.control_dt_s for run in runs]).double()
    return {
        "fall_rate": sum(end != TIME_LIMIT for end in ends) / len(ends),
        "mean_episode_s": float(lengths_s.mean()),
        "ends": dict(Counter(ends).most_common()),
    }


def task_success(runs: Sequence[Episodes]) -> Dict[str, Any]:
    """Return the measures of the task, nothing for one without a goal.

    `task_return` is the normalised return of the AMP paper (Peng et al. 2021, Table 1): the rewards of an episode,
    none after a fall, over those of an episode of full length with 1 a step. Each of the task's own measures is
    averaged over the steps that have one, and is None where no step has.
    """
    if any(run.task_reward is None for run in runs):
        return {}
    returns = torch.cat([_returns(run) for run in runs]).double()
    found = {"task_return": float(returns.mean()), "task_return_std": float(returns.std(unbiased=False))}
    by_name: Dict[str, Any] = {}
    for name in runs[0].task_metrics:
        values = torch.cat([run.task_metrics[name][run.valid] for run in runs]).double()
        values = values[~values.isnan()]
        by_name[name] = float(values.mean()) if len(values) else None
    return {**found, "task": by_name}


def _returns(run: Episodes) -> torch.Tensor:
    assert run.task_reward is not None
    return (run.task_reward * run.valid).sum(0) / run.full_length


def _mean(runs: Sequence[Episodes], value: Any) -> float:
    """Average a (T, N) quantity over all steps within episodes."""
    return float(torch.cat([value(run)[run.valid] for run in runs]).double().mean())


def tempo(score: EpisodeScore, clips: Sequence[ClipReference]) -> float:
    """Return passes of the clip done a pass's time, 1 at the clip's own tempo: the nearest frame's progress, taken the
    shorter way round where it jumps."""
    length = len(clips[score.clip_id])
    frames = score.nearest_frame[score.nearest_clip == score.clip_id]
    progress = np.unwrap(frames, period=length)
    return float((progress[-1] - progress[0]) / max(len(frames) - 1, 1))


def foot_slide_m_s(runs: Sequence[Episodes]) -> float:
    """Return the mean horizontal speed of the soles that touch the ground at both ends of a step; 0 if none does."""
    slides = []
    for run in runs:
        speed = lowest_point_speed(run.foot_points, run.control_dt_s)
        counts = run.foot_contact[1:] & run.foot_contact[:-1] & run.valid[1:].unsqueeze(-1)
        slides.append(speed[counts])
    joined = torch.cat(slides)
    return float(joined.double().mean()) if len(joined) else 0.0


def coverage(scores: Sequence[EpisodeScore], clips: Sequence[ClipReference]) -> Dict[str, Any]:
    """Return how the steps spread over the clips.

    `clip_share` is the share of steps nearest to each clip, `clip_frames_covered` the share of each clip's frames that
    get at least a tenth of an even share of all steps. `clip_balance` is the overlap of the former with the clips'
    weights: 1 when every clip gets its share, and the weight of one clip when all motion has collapsed to it.
    """
    share, covered = {}, {}
    clip_ids = np.concatenate([score.nearest_clip for score in scores])
    frames = np.concatenate([score.nearest_frame for score in scores])
    for number, clip in enumerate(clips):
        counts = np.bincount(frames[clip_ids == number], minlength=len(clip))
        even = clip.weight * len(frames) / len(clip)
        share[clip.name] = float(counts.sum() / len(frames))
        covered[clip.name] = float((counts >= max(COVERED_SHARE * even, 1e-9)).mean())
    balance = sum(min(share[clip.name], clip.weight) for clip in clips)
    return {"clip_share": share, "clip_frames_covered": covered, "clip_balance": float(balance)}


def falls_by_phase(
    runs: Sequence[Episodes], scores: Sequence[Sequence[EpisodeScore]], clips: Sequence[ClipReference]
) -> List[int]:
    """Count falls by the phase of the clip half a second before them, in eighths of the clip."""
    counts = [0] * PHASE_BINS
    for run, of_run in zip(runs, scores):
        before = round(PHASE_BEFORE_FALL_S / run.control_dt_s)
        for end, score in zip(run.ends, of_run):
            if end != TIME_LIMIT:
                step = max(0, len(score.nearest_frame) - 1 - before)
                length = len(clips[score.nearest_clip[step]])
                counts[PHASE_BINS * int(score.nearest_frame[step]) // length] += 1
    return counts
