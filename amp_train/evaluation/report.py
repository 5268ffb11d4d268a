"""An evaluation as text for the terminal and as a JSON file."""

import json
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple, Union

from amp_train.evaluation.metrics import EvaluationError

MOST_SHARES = 8  # clips with a share of their own in the table
Row = Tuple[str, Callable[[Dict[str, Any]], str]]

_ROWS: Tuple[Row, ...] = (
    ("pose error, heading frame (m)", lambda m: _mean_std(m, "dtw_pose_error_m", "dtw_pose_error_std_m")),
    ("pose error, world frame (m)", lambda m: _mean_std(m, "dtw_pose_error_world_m", "dtw_pose_error_world_std_m")),
    ("frames covered", lambda m: f"{min(m['clip_frames_covered'].values()):.0%}"),
    ("falls", lambda m: f"{m['fall_rate']:.1%}"),
    ("episode (s)", lambda m: f"{m['mean_episode_s']:.2f}"),
    ("speed / clip's (m/s)", lambda m: f"{m['root_speed_m_s']:.3f} / {m['clip_speed_m_s']:.3f}"),
    ("nearest clip frame (m)", lambda m: f"{m['nearest_frame_m']:.4f}"),
    ("tempo (clip's: 1)", lambda m: f"{m['tempo']:.3f}"),
    ("style reward", lambda m: f"{m['style_reward']:.3f}"),
    ("foot slide (m/s)", lambda m: f"{m['foot_slide_m_s']:.3f}"),
    ("power (W/kg)", lambda m: f"{m['power_w_per_kg']:.2f}"),
    ("clip balance", lambda m: f"{m['clip_balance']:.2f}"),
)


def _mean_std(measures: Dict[str, Any], mean: str, std: str) -> str:
    return f"{measures[mean]:.4f} +- {measures[std]:.4f}" if mean in measures else "-"


def table(report: Dict[str, Any]) -> str:
    """Return the measures of both policies side by side, the ends of their episodes and the discriminator's health."""
    noisy = report["noisy"]
    lines = [f"{'':<32}{'deterministic':>22}{'with noise':>22}"]
    lines += [f"{title:<32}{show(report):>22}{show(noisy):>22}" for title, show in _ROWS]
    lines += _task_rows(report, noisy)
    lines.append(f"ends           {_counts(report['ends'])}")
    lines.append(f"  with noise   {_counts(noisy['ends'])}")
    if "pushed" in report:
        pushed = report["pushed"]
        lines.append(f"pushed, {pushed['push_n']:g} N  {pushed['fall_rate']:.1%} falls: {_counts(pushed['ends'])}")
    if len(report["clip_share"]) > 1:
        lines.append(f"clips          {_shares(report['clip_share'])}")
    if report["disc_health"] is not None:
        lines.append(f"discriminator  {report['disc_health']} {report['disc_advice'] or ''}".rstrip())
    return "\n".join(lines)


def _task_rows(report: Dict[str, Any], noisy: Dict[str, Any]) -> List[str]:
    """Return the lines of the task's success, none for a task without a goal."""
    if "task_return" not in report:
        return []
    rows = [("normalised task return", [_mean_std(m, "task_return", "task_return_std") for m in (report, noisy)])]
    for name in report["task"]:
        values = [m["task"][name] for m in (report, noisy)]
        rows.append((f"  {name}", ["-" if value is None else f"{value:.3f}" for value in values]))
    return [f"{title:<32}{plain:>22}{noisy:>22}" for title, (plain, noisy) in rows]


def _counts(ends: Dict[str, int]) -> str:
    return ", ".join(f"{cause} {count}" for cause, count in ends.items())


def _shares(shares: Dict[str, float]) -> str:
    """List the shares; of many, the largest, and the sum of the others."""
    named = list(shares.items())
    if len(named) > MOST_SHARES:
        named = sorted(named, key=lambda item: -item[1])
        others = named[MOST_SHARES:]
        named = [*named[:MOST_SHARES], (f"{len(others)} others", sum(share for _, share in others))]
    return ", ".join(f"{name} {share:.0%}" for name, share in named)


def write_json(report: Dict[str, Any], path: Union[str, Path]) -> Path:
    """Write the report; folders are made.

    Raises:
        EvaluationError: the file cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=2) + "\n")
    except OSError as error:
        raise EvaluationError(f"{path} cannot be written: {error.strerror}.") from error
    return path


def check_writable(paths: "List[Path]") -> None:
    """Check before the evaluation that the results can be written.

    Raises:
        EvaluationError: a folder where a file is to be, or a file where a folder is to be.
    """
    for path in paths:
        above = next((p for p in path.parents if p.exists()), None)
        if path.is_dir() or (above is not None and not above.is_dir()):
            raise EvaluationError(f"{path} cannot be written: it must be the path of a file, in a folder.")
