"""A training or an evaluation as one HTML file that opens offline: numbers, curves, pictures, video, configuration."""

import base64
import html
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Union

from amp_train.errors import MissingPackageError
from amp_train.viewers.curves import plot_comparison, plot_curves, plot_falls, plot_health
from amp_train.viewers.offscreen import ViewerError

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1100px; padding: 0 1rem; color: #222 }
h1 { font-size: 1.6rem } h2 { margin-top: 2.2rem; border-bottom: 1px solid #ccc; font-size: 1.25rem }
table { border-collapse: collapse } td, th { padding: .2rem .9rem .2rem 0; text-align: left; vertical-align: top }
tr + tr td { border-top: 1px solid #eee } td + td { font-variant-numeric: tabular-nums }
img, video { max-width: 100%; height: auto }
pre { background: #f5f5f5; padding: .8rem; overflow-x: auto; font-size: 13px }
figure { margin: 1rem 0 } figcaption { color: #555 } summary { cursor: pointer }
"""
_VIDEO_TYPES = {".mp4": "video/mp4"}


@dataclass
class ReportEntry:
    """One run in a report.

    Attributes:
        name: of the run.
        numbers: measures by name, shown as a table; a number, a word, or a list of them.
        commands: to reproduce it, one per line.
        config: its configuration, YAML.
        metrics_csv: of the training, if it exists.
        curves: `plot_curves` of it, if it has been drawn.
        pictures: PNG files by caption.
        video: an MP4 file.
        falls_by_phase: falls by the phase of the clip before them.
    """

    name: str
    numbers: Dict[str, Any] = field(default_factory=dict)
    commands: Sequence[str] = ()
    config: str = ""
    metrics_csv: Optional[Path] = None
    curves: Optional[Path] = None
    pictures: Dict[str, Path] = field(default_factory=dict)
    video: Optional[Path] = None
    falls_by_phase: Sequence[int] = ()


def write_report(path: Union[str, Path], entries: Sequence[ReportEntry]) -> Path:
    """Write one run in detail, or several side by side and then each in detail.

    Args:
        path: of the HTML file; its folder is made.
        entries: the runs, at least one.

    Returns:
        The path.

    Raises:
        ViewerError: the ending is not .html, or it cannot be written there.
    """
    path = Path(path)
    check_report_path(path)
    title = ", ".join(entry.name for entry in entries)
    parts = [f"<h1>{html.escape(title)}</h1>", _numbers(entries)]
    with tempfile.TemporaryDirectory() as scratch:
        if len(entries) > 1:
            parts.append(_comparison(entries, Path(scratch)))
        parts += [_details(entry, Path(scratch), is_alone=len(entries) == 1) for entry in entries]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_page(title, "\n".join(parts)), encoding="utf-8")
    except OSError as error:
        raise ViewerError(f"The report cannot be written to {path}: {error.strerror}.") from error
    return path


def check_report_path(path: Union[str, Path]) -> None:
    """Check the name before the evaluation.

    Raises:
        ViewerError: it does not end in .html.
    """
    if Path(path).suffix.lower() not in (".html", ".htm"):
        raise ViewerError(f"A report's name ends in .html, not '{Path(path).name}'.")


def _page(title: str, body: str) -> str:
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _numbers(entries: Sequence[ReportEntry]) -> str:
    """Show the measures, one column per run."""
    names = list(dict.fromkeys(name for entry in entries for name in entry.numbers))
    if not names:
        return ""
    heads = "".join(f"<th>{html.escape(entry.name)}</th>" for entry in entries) if len(entries) > 1 else ""
    rows = [f"<tr><th></th>{heads}</tr>"] if heads else []
    for name in names:
        cells = "".join(f"<td>{html.escape(_text(entry.numbers.get(name)))}</td>" for entry in entries)
        rows.append(f"<tr><td>{html.escape(name)}</td>{cells}</tr>")
    joined = "\n".join(rows)
    return f'<h2>Numbers</h2>\n<table id="numbers">{joined}</table>'


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(part) for part in value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    return str(value)


def _comparison(entries: Sequence[ReportEntry], scratch: Path) -> str:
    tables = {entry.name: entry.metrics_csv for entry in entries if entry.metrics_csv is not None}
    if not tables:
        return "<p>No curves: none of the runs has a metrics.csv next to its checkpoint.</p>"
    return "<h2>Curves side by side</h2>" + _drawn(
        "Every run, over its samples", lambda: plot_comparison(tables, scratch / "comparison.png")
    )


def _details(entry: ReportEntry, scratch: Path, is_alone: bool) -> str:
    parts = [] if is_alone else [f"<h1>{html.escape(entry.name)}</h1>"]
    if entry.video is not None:
        parts += ["<h2>Video</h2>", _video(entry.video)]
    table = entry.metrics_csv
    if table is not None:
        parts.append("<h2>Training</h2>")
        parts.append(_drawn("Curves", lambda: entry.curves or plot_curves(table, scratch / "curves.png")))
        parts.append(_drawn("Health of the discriminator", lambda: plot_health(table, scratch / "health.png")))
    if entry.pictures:
        parts.append("<h2>One episode and the clip</h2>")
        parts += [_figure(caption, picture) for caption, picture in entry.pictures.items()]
    if sum(entry.falls_by_phase):
        counts = list(entry.falls_by_phase)
        parts.append(_drawn("Where in the clip it falls", lambda: plot_falls(counts, scratch / "falls.png")))
    if entry.commands:
        lines = html.escape("\n".join(entry.commands))
        parts.append(f"<h2>How to do it again</h2>\n<pre>{lines}</pre>")
    if entry.config:
        parts.append(f"<details><summary>Configuration</summary><pre>{html.escape(entry.config)}</pre></details>")
    return "\n".join(parts)


def _drawn(caption: str, draw: Callable[[], Path]) -> str:
    """Draw a figure and embed it; if that fails, show a sentence."""
    try:
        return _figure(caption, draw())
    except (ViewerError, MissingPackageError) as error:
        return f"<p>{html.escape(caption)}: {html.escape(str(error))}</p>"


def _figure(caption: str, picture: Path) -> str:
    data, text = _base64(picture), html.escape(caption)
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'


def _video(path: Path) -> str:
    kind = _VIDEO_TYPES.get(path.suffix.lower(), "video/mp4")
    return f'<video controls loop muted src="data:{kind};base64,{_base64(path)}"></video>'


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")


def episode_pictures(folder: Path) -> Dict[str, Path]:
    """Return the evaluation's pictures in a folder, by caption."""
    captions = {
        "alignment.png": "Alignment with the clip, and the error along it",
        "joint_angles.png": "Joint angles, the policy's and the clip's",
        "height_speed.png": "Height and speed of the root",
        "contacts.png": "Contacts of the feet",
        "task.png": "The task",
    }
    found: List[str] = [name for name in captions if (folder / name).is_file()]
    return {captions[name]: folder / name for name in found}
