"""The curves of a training as one picture, from the `metrics.csv` of its run directory."""

import csv
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from amp_train.errors import MissingPackageError
from amp_train.viewers.offscreen import ViewerError

_SAMPLES = "frames"
# Title, and the columns drawn in that panel with their labels. A column that a run does not have is left out.
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
    ("Share of the clips' frames visited", {"eval_frames_covered": ""}),
    ("Samples per second", {"samples_per_s": ""}),
)
_COLUMNS_OF_PANELS = 3
_VERDICTS = {"healthy": "#2ca02c", "saturated": "#d62728", "collapsed": "#9467bd", "starved": "#ff7f0e"}
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
    return _save(figure, Path(png_path))


def plot_comparison(csv_paths: Mapping[str, Path], png_path: Path) -> Path:
    """Draw the curves of several runs over one another, one colour a run; with the first column of each panel.

    Raises:
        ViewerError: a file is missing or has no row.
    """
    runs = {name: _read(path) for name, path in csv_paths.items()}
    panels = [(title, next(iter(series))) for title, series in _PANELS]
    panels = [(title, column) for title, column in panels if any(column in columns for columns in runs.values())]
    rows = -(-len(panels) // _COLUMNS_OF_PANELS)
    figure = _new_figure(4.2 * _COLUMNS_OF_PANELS, 2.7 * rows)
    for place, (title, column) in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, _COLUMNS_OF_PANELS, place)
        for number, (name, columns) in enumerate(runs.items()):
            if column in columns:
                _draw_series(axes, columns, column, f"C{number}", name)
        _finish_panel(axes, title, has_legend=place == 1)
    return _save(figure, png_path)


def plot_health(csv_path: Path, png_path: Path) -> Path:
    """Draw how certain the discriminator is, and its verdict as a coloured strip below.

    Raises:
        ViewerError: the file is missing or has no row.
    """
    columns, words = _read(csv_path), _read_words(csv_path, "disc_health")
    figure = _new_figure(10.0, 3.6)
    above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (6, 1)})
    for number, (name, label) in enumerate((("disc_agent_acc", "policy"), ("disc_demo_acc", "clip"))):
        if name in columns:
            _draw_series(above, columns, name, f"C{number}", label)
    above.axhline(0.5, color="grey", linestyle="--", linewidth=1)
    above.set_ylim(0.0, 1.03)
    _finish_panel(above, "Share that the discriminator judges rightly", has_legend=True)
    above.set_xlabel("")
    samples = columns[_SAMPLES] / 1e6
    for verdict in sorted(set(filter(None, words))):
        where = np.array([word == verdict for word in words])
        below.fill_between(samples, 0, 1, where=where, step="mid", color=_VERDICTS.get(verdict, "grey"), label=verdict)
    below.set(yticks=[], xlabel="million samples")
    below.legend(fontsize=8, frameon=False, ncols=4, loc="upper left", bbox_to_anchor=(0, -0.9))
    return _save(figure, png_path)


def plot_falls(counts: Sequence[int], png_path: Path) -> Path:
    """Draw how many episodes fell half a second after each part of the clip."""
    figure = _new_figure(7.0, 2.6)
    axes = figure.subplots()
    share = 100.0 / len(counts)
    axes.bar([share * (k + 0.5) for k in range(len(counts))], list(counts), width=0.9 * share)
    axes.set(xlabel="phase of the clip half a second before (%)", ylabel="falls", xlim=(0, 100))
    return _save(figure, png_path)


def _save(figure: Any, png_path: Path) -> Path:
    png_path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(str(png_path), dpi=100)
    return png_path


def _read_words(path: Path, name: str) -> List[str]:
    """Read a column unchanged."""
    with path.open(newline="", errors="replace") as file:
        return [row.get(name) or "" for row in csv.DictReader(file)]


def _read(path: Path) -> Dict[str, np.ndarray]:
    """Read the columns that contain numbers; an empty cell becomes nan."""
    if not path.is_file():
        raise ViewerError(f"Metrics file '{path}' not found. Give the metrics.csv of a run directory.")
    try:
        with path.open(newline="", errors="replace") as file:
            rows = list(csv.DictReader(file))
    except csv.Error as error:
        raise ViewerError(f"Metrics file '{path}' cannot be read: {error}.") from error
    if not rows or _SAMPLES not in rows[0]:
        raise ViewerError(f"Metrics file '{path}' has no iteration with a column '{_SAMPLES}' yet.")
    names = [name for name in rows[0] if name is not None]  # None: cells beyond the columns
    columns = {name: np.array([_number(row.get(name)) for row in rows]) for name in names}
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
    for number, (name, label) in enumerate(series.items()):
        _draw_series(axes, columns, name, f"C{number}", label)
    _finish_panel(axes, title, any(series.values()))


def _draw_series(axes: Any, columns: Dict[str, np.ndarray], name: str, colour: str, label: str) -> None:
    samples, values = columns[_SAMPLES] / 1e6, columns[name]
    if np.isfinite(values).mean() < _SPARSE:
        known = np.isfinite(values)
        axes.plot(samples[known], values[known], color=colour, linewidth=1.5, label=label or None, marker=".")
        return
    axes.plot(samples, values, color=colour, alpha=0.25, linewidth=0.8)
    axes.plot(samples, _smooth(values), color=colour, linewidth=1.5, label=label or None, marker=_marker(values))


def _finish_panel(axes: Any, title: str, has_legend: bool) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("million samples", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    if has_legend:
        axes.legend(fontsize=8, frameon=False)


def _marker(values: np.ndarray) -> str:
    """Return a marker for a single point, which a line would not show."""
    return "." if np.isfinite(values).sum() == 1 else ""


def _smooth(values: np.ndarray) -> np.ndarray:
    """Average each value with its neighbours; gaps stay out of the average."""
    known = np.isfinite(values)
    kernel = np.ones(min(_SMOOTHING_ROWS, len(values)))
    total = np.convolve(np.where(known, values, 0.0), kernel, mode="same")
    count = np.convolve(known.astype(float), kernel, mode="same")
    return np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0.5)
