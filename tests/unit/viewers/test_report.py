"""A report is one file that needs nothing else."""

import base64
import csv
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amp_train.viewers import ViewerError
from amp_train.viewers.curves import plot_comparison, plot_falls, plot_health
from amp_train.viewers.report import ReportEntry, episode_pictures, write_report


def metrics(path: Path, rows: int = 30, offset: float = 0.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        names = ["frames", "episode_length", "disc_agent_acc", "disc_demo_acc", "disc_health"]
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for k in range(rows):
            verdict = "healthy" if k < rows // 2 else "saturated"
            writer.writerow(dict(zip(names, (1e4 * k, offset + k, 0.9, 0.95, verdict))))
    return path


def entry(tmp_path: Path, name: str) -> ReportEntry:
    picture = tmp_path / (name + ".png")
    Image.fromarray(np.full((8, 8, 3), 99, dtype=np.uint8)).save(picture)
    video = tmp_path / (name + ".mp4")
    video.write_bytes(b"a video of " + name.encode())
    return ReportEntry(
        name=name,
        numbers={"dtw_pose_error_m": 0.0312345, "ends": {"time limit": 3}, "health": None},
        commands=["amp-train motion=<walk>"],
        config="seed: 42\nnote: <b>\n",
        metrics_csv=metrics(tmp_path / name / "metrics.csv"),
        pictures={"An alignment": picture},
        video=video,
        falls_by_phase=[0, 2, 0, 1, 0, 0, 0, 0],
    )


def test_everything_is_in_the_one_file_and_nothing_is_fetched(tmp_path: Path) -> None:
    text = write_report(tmp_path / "new" / "report.html", [entry(tmp_path, "walk")]).read_text()
    assert re.search(r"<td>dtw_pose_error_m</td><td>0.03123</td>", text)
    assert "<td>time limit 3</td>" in text and "<td>health</td><td>-</td>" in text
    sources = re.findall(r'(?:src|href)="([^"]{0,40})', text)
    assert len(sources) == 5 and all(source.startswith("data:") for source in sources)  # video and four pictures
    videos = re.findall(r'src="data:video/mp4;base64,([^"]+)"', text)
    assert [base64.b64decode(video) for video in videos] == [b"a video of walk"]
    for picture in re.findall(r'src="data:image/png;base64,([^"]+)"', text):
        assert base64.b64decode(picture)[:4] == b"\x89PNG"


def test_what_others_wrote_is_text_and_not_html(tmp_path: Path) -> None:
    odd = entry(tmp_path, "walk")
    odd.name = "<script>alert(1)</script>"
    text = write_report(tmp_path / "report.html", [odd]).read_text()
    assert "<script" not in text and "motion=&lt;walk&gt;" in text and "note: &lt;b&gt;" in text


def test_several_runs_stand_side_by_side(tmp_path: Path) -> None:
    one, two = entry(tmp_path, "one"), entry(tmp_path, "two")
    two.numbers = {"dtw_pose_error_m": 0.05}
    text = write_report(tmp_path / "report.html", [one, two]).read_text()
    assert "<th>one</th><th>two</th>" in text
    assert "<td>dtw_pose_error_m</td><td>0.03123</td><td>0.05</td>" in text
    assert "<td>ends</td><td>time limit 3</td><td>-</td>" in text
    assert "Curves side by side" in text and "<h1>two</h1>" in text


def test_a_run_without_curves_or_video_still_has_its_numbers(tmp_path: Path) -> None:
    text = write_report(tmp_path / "report.html", [ReportEntry("bare", {"falls": 1})]).read_text()
    assert "<td>falls</td><td>1</td>" in text and "<img" not in text and "<video" not in text


def test_a_broken_table_is_a_sentence_in_the_report(tmp_path: Path) -> None:
    broken = ReportEntry("x", metrics_csv=tmp_path / "metrics.csv")
    (tmp_path / "metrics.csv").write_text("frames\n")
    assert "has no iteration" in write_report(tmp_path / "report.html", [broken]).read_text()


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ViewerError, match=r"ends in \.html, not 'report.pdf'"):
        write_report(tmp_path / "report.pdf", [ReportEntry("x")])


def colours(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3).astype(int)


def amount(path: Path, rgb: "tuple[int, int, int]") -> int:
    return int((np.abs(colours(path) - rgb).max(1) < 12).sum())


def test_the_health_strip_shows_each_verdict_for_its_share(tmp_path: Path) -> None:
    path = plot_health(metrics(tmp_path / "metrics.csv"), tmp_path / "health.png")
    green, red, purple = (amount(path, rgb) for rgb in ((44, 160, 44), (214, 39, 40), (148, 103, 189)))
    assert green > 1000 and 0.7 < green / red < 1.4 and purple == 0


def test_the_comparison_has_a_colour_for_each_run(tmp_path: Path) -> None:
    tables = {name: metrics(tmp_path / name / "metrics.csv", offset=10.0 * k) for k, name in enumerate("abc")}
    path = plot_comparison(tables, tmp_path / "comparison.png")
    for rgb in ((31, 119, 180), (255, 127, 14), (44, 160, 44)):
        assert amount(path, rgb) > 100


def test_falls_are_drawn_where_they_are(tmp_path: Path) -> None:
    picture = np.asarray(Image.open(plot_falls([0, 0, 0, 0, 0, 0, 0, 5], tmp_path / "falls.png")).convert("RGB"))
    blue = np.abs(picture.astype(int) - (31, 119, 180)).max(-1) < 12
    assert blue.any() and np.nonzero(blue)[1].min() > 0.7 * picture.shape[1]


def test_only_the_pictures_that_are_there_are_named(tmp_path: Path) -> None:
    (tmp_path / "contacts.png").write_bytes(b"")
    assert list(episode_pictures(tmp_path)) == ["Contacts of the feet"]
