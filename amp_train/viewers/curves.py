"""The curves of a training as one picture, from the `metrics.csv` of its run directory."""

import csv
from pathlib import Path
from typing import Any, Dict, Optional, Tuple, Union

import numpy as np

from amp_train.errors import MissingPackageError
from amp_train.viewers.offscreen import ViewerError

_SAMPLES = "frames"
# Title, and the columns drawn in that panel with their labels. A column that a run has not got is left out.
_PANELS: Tuple[Tuple[str, Dict[str, str]], ...] = (
    ("Episode length (steps)", {"episode_length": ""}),
    ("Share of episodes ended by a fall", {"termination_share": ""}),
    ("Style reward", {"style_reward_mean": "mean", "style_reward_std": "spread"}),
    ("Discriminator accuracy", {"disc_agent_acc": "policy", "disc_demo_acc": "clip"}),
    ("Discriminator logit", {"disc_agent_logit": "policy", "disc_demo_logit": "clip"}),
    ("Discriminator loss", {"disc_loss": "loss", "disc_grad_penalty": "gradient penalty"}),
    ("PPO loss", {"a_loss": "actor", "c_loss": "critic", "b_loss": "bounds"}),
    ("KL divergence per update", {"kl": ""}),
    ("Learning rate", {"lr": ""}),
    ("Pose error (m)", {"dtw_pose_error_m": ""}),
    ("Samples per second", {"samples_per_s": ""}),
)
_COLUMNS_OF_PANELS = 3
_SMOOTHING_ROWS = 15
_SPARSE = 0.2  # a column with fewer values is measured at intervals: its points are joined


def plot_curves(csv_path: Union[str, Path], png_path: Union[str, Path]) -> Path:
    """Draw episode length, rewards, discriminator, losses and speed over samples.

    Args:
        csv_path: `metrics.csv`, a row an iteration; an empty cell is a gap.
        png_path: the picture to write.

    Returns:
        The path of the picture.

    Raises:
        ViewerError: the file is missing or has no row.
    """
    columns = _read(Path(csv_path))
    panels = [(title, {c: label for c, label in series.items() if c in columns}) for title, series in _PANELS]
    panels = [(title, series) for title, series in panels if series]
    rows = -(-len(panels) // _COLUMNS_OF_PANELS)
    figure = _new_figure(4.2 * _COLUMNS_OF_PANELS, 2.7 * rows)
    for place, (title, series) in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, _COLUMNS_OF_PANELS, place)
        _draw_panel(axes, title, series, columns)
    png_path = Path(png_path)
    png_path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(str(png_path), dpi=100)
    return png_path


def _read(path: Path) -> Dict[str, np.ndarray]:
    """Read the columns that hold a number somewhere; an empty cell becomes nan."""
    if not path.is_file():
        raise ViewerError("Metrics file '{}' not found. Give the metrics.csv of a run directory.".format(path))
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or _SAMPLES not in rows[0]:
        raise ViewerError("Metrics file '{}' holds no iteration with a column '{}' yet.".format(path, _SAMPLES))
    columns = {name: np.array([_number(row.get(name)) for row in rows]) for name in rows[0]}
    return {name: values for name, values in columns.items() if np.isfinite(values).any()}


def _number(cell: Optional[str]) -> float:
    try:
        return float(cell or "nan")
    except ValueError:
        return float("nan")


def _new_figure(width_in: float, height_in: float) -> Any:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError("Drawing curves needs matplotlib: pip install matplotlib.") from error
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _draw_panel(axes: Any, title: str, series: Dict[str, str], columns: Dict[str, np.ndarray]) -> None:
    samples = columns[_SAMPLES] / 1e6
    for number, (name, label) in enumerate(series.items()):
        values, colour = columns[name], "C{}".format(number)
        if np.isfinite(values).mean() < _SPARSE:
            known = np.isfinite(values)
            axes.plot(samples[known], values[known], color=colour, linewidth=1.5, label=label or None, marker=".")
            continue
        axes.plot(samples, values, color=colour, alpha=0.25, linewidth=0.8)
        axes.plot(samples, _smooth(values), color=colour, linewidth=1.5, label=label or None, marker=_marker(values))
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("million samples", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    if any(series.values()):
        axes.legend(fontsize=8, frameon=False)


def _marker(values: np.ndarray) -> str:
    """A line through a single point would not show."""
    return "." if np.isfinite(values).sum() == 1 else ""


def _smooth(values: np.ndarray) -> np.ndarray:
    """Average each value with its neighbours; gaps stay out of the average."""
    known = np.isfinite(values)
    kernel = np.ones(min(_SMOOTHING_ROWS, len(values)))
    total = np.convolve(np.where(known, values, 0.0), kernel, mode="same")
    count = np.convolve(known.astype(float), kernel, mode="same")
    return np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0.5)
