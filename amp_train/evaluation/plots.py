"""Pictures of one episode and its clip."""

from pathlib import Path
from typing import Any, List, Sequence, Union

import numpy as np

from amp_train.errors import MissingPackageError
from amp_train.evaluation.episodes import ClipReference, Episodes
from amp_train.evaluation.metrics import EvaluationError, heading_local, pose_distances
from amp_train.evaluation.score import EpisodeScore

_ANGLES = 12  # dofs shown: those that the clip moves most
_CLIP, _POLICY = "C1", "C0"


def plot_episode(
    folder: Union[str, Path],
    run: Episodes,
    n: int,
    score: EpisodeScore,
    clips: Sequence[ClipReference],
    dof_names: Sequence[str],
) -> List[Path]:
    """Write `alignment.png`, `joint_angles.png`, `height_speed.png` and `contacts.png` of episode n, and `task.png` if
    the task has a goal; return their paths.

    Raises:
        EvaluationError: they cannot be written there.
    """
    clip, folder = clips[score.clip_id], Path(folder)
    figures = {
        "alignment.png": _alignment(run, n, score, clip),
        "joint_angles.png": _joint_angles(run, n, score, clip, dof_names),
        "height_speed.png": _height_speed(run, n, score, clip),
        "contacts.png": _contacts(run, n),
    }
    if run.task_reward is not None:
        figures["task.png"] = _task(run, n)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            figure.savefig(str(folder / name), dpi=100)
    except OSError as error:
        raise EvaluationError(f"Cannot write pictures to {folder}: {error.strerror}.") from error
    return [folder / name for name in figures]


def _figure(width_in: float, height_in: float) -> Any:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError("Drawing needs matplotlib: pip install matplotlib.") from error
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _alignment(run: Episodes, n: int, score: EpisodeScore, clip: ClipReference) -> Any:
    """Show the distance of every step to every frame, the path through it, and the error along the path."""
    length, path = int(run.lengths[n]), score.heading.path
    body_pos = heading_local(run.body_pos[:length, n], run.root_rot[:length, n])
    cost = pose_distances(body_pos, clip.heading_pos)
    step_s, frame = path[:, 0] * run.control_dt_s, path[:, 1] % len(clip)
    figure = _figure(10, 5)
    above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (2, 1)})
    extent = (0, length * run.control_dt_s, -0.5, len(clip) - 0.5)
    picture = above.imshow(cost.T, origin="lower", aspect="auto", extent=extent, cmap="viridis")
    figure.colorbar(picture, ax=above, label="distance (m)")
    above.plot(step_s, frame, ".", color="white", markersize=2)
    above.set(ylabel="frame of " + clip.name, title="Alignment with the clip, in the heading frame")
    below.plot(step_s, cost[path[:, 0], frame], color=_POLICY, linewidth=1)
    below.axhline(score.heading.error_m, color="grey", linestyle="--", linewidth=1)
    below.set(xlabel="time (s)", ylabel="error (m)", title=f"mean {score.heading.error_m:.4f} m")
    return figure


def _joint_angles(run: Episodes, n: int, score: EpisodeScore, clip: ClipReference, dof_names: Sequence[str]) -> Any:
    """Show the dofs that the clip moves most: the policy's, and the clip's along the alignment."""
    path = score.heading.path
    time_s, frame = path[:, 0] * run.control_dt_s, path[:, 1] % len(clip)
    reference, motion = clip.dof_pos.numpy(), run.dof_pos[:, n].numpy()
    chosen = np.sort(np.argsort(-reference.std(axis=0), kind="stable")[:_ANGLES])
    figure = _figure(12, 8)
    for place, dof in enumerate(chosen, start=1):
        axes = figure.add_subplot(4, 3, place)
        axes.plot(time_s, np.degrees(reference[frame, dof]), color=_CLIP, linewidth=1, label="clip")
        axes.plot(time_s, np.degrees(motion[path[:, 0], dof]), color=_POLICY, linewidth=1, label="policy")
        axes.set_title(dof_names[dof], fontsize=9)
        axes.tick_params(labelsize=8)
    figure.axes[0].legend(fontsize=8)
    figure.supxlabel("time (s)")
    figure.supylabel("joint angle (deg)")
    return figure


def _height_speed(run: Episodes, n: int, score: EpisodeScore, clip: ClipReference) -> Any:
    """Show the root's height and the clip's along the alignment, and the horizontal speed."""
    length, path = int(run.lengths[n]), score.heading.path
    time_s = np.arange(length) * run.control_dt_s
    figure = _figure(10, 5)
    above, below = figure.subplots(2, 1, sharex=True)
    clip_height = clip.body_pos[:, 0, 2].numpy()[path[:, 1] % len(clip)]
    above.plot(path[:, 0] * run.control_dt_s, clip_height, color=_CLIP, linewidth=1, label="clip")
    above.plot(time_s, run.body_pos[:length, n, 0, 2].numpy(), color=_POLICY, linewidth=1, label="policy")
    above.set(ylabel="root height (m)")
    above.legend(fontsize=8)
    below.plot(time_s, run.root_vel[:length, n, :2].norm(dim=-1).numpy(), color=_POLICY, linewidth=1)
    below.axhline(clip.speed_m_s, color=_CLIP, linestyle="--", linewidth=1)
    below.set(ylabel="horizontal speed (m/s)", xlabel="time (s)")
    return figure


def _task(run: Episodes, n: int) -> Any:
    """Show the task's reward and measures of episode n over time, and the ways of all episodes from above."""
    length = int(run.lengths[n])
    time_s = np.arange(length) * run.control_dt_s
    assert run.task_reward is not None
    values = {"task_reward": run.task_reward, **run.task_metrics}
    figure = _figure(12, 2 + 1.6 * len(values))
    left, right = figure.subfigures(1, 2, width_ratios=(3, 2))
    rows = left.subplots(len(values), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, value) in zip(rows, values.items()):
        axes.plot(time_s, value[:length, n].numpy(), ".-", color=_POLICY, linewidth=1, markersize=2)
        axes.set_title(name, fontsize=9)
    rows[-1].set_xlabel("time (s)")
    above = right.subplots()
    for other in range(len(run)):
        way = run.body_pos[: int(run.lengths[other]), other, 0, :2].numpy()
        above.plot(way[:, 0] - way[0, 0], way[:, 1] - way[0, 1], linewidth=1, color=_POLICY if other == n else "0.8")
    above.set(xlabel="x (m)", ylabel="y (m)", title="all episodes from above", aspect="equal")
    return figure


def _contacts(run: Episodes, n: int) -> Any:
    """Show when each foot touches the ground, and the style reward."""
    length = int(run.lengths[n])
    time_s, contact = np.arange(length) * run.control_dt_s, run.foot_contact[:length, n].numpy()
    figure = _figure(10, 3.5)
    above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (1, 2)})
    for foot in range(contact.shape[1]):
        above.fill_between(time_s, foot, foot + 0.9, where=contact[:, foot], step="mid", color=f"C{foot}")
    above.set(yticks=[], ylabel="feet", ylim=(0, contact.shape[1]), title="Contacts of the feet, and the style reward")
    below.plot(time_s, run.style_reward[:length, n].numpy(), color=_POLICY, linewidth=1)
    below.set(ylabel="style reward", xlabel="time (s)")
    return figure
