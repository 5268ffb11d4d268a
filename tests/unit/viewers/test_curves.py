"""Curves from a metrics file."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amp_train.viewers import ViewerError, plot_curves
from amp_train.viewers.curves import _read, _smooth


def test_curves_of_the_columns_that_exist_are_drawn(tmp_path: Path) -> None:
    csv = tmp_path / "metrics.csv"
    csv.write_text("frames,episode_length,disc_loss,unknown\n100,,1.5,x\n200,30,1.2,x\n300,40,1.0,x\n")
    path = plot_curves(csv, tmp_path / "plots" / "curves.png")
    picture = np.asarray(Image.open(str(path)).convert("RGB"))
    # One row of panels, two of which hold a line of matplotlib's first colour.
    assert picture.shape[1] > 3 * picture.shape[0]
    is_line = (np.abs(picture.astype(int) - (31, 119, 180)).max(-1) < 30).any(axis=0)
    third = picture.shape[1] // 3
    assert [bool(is_line[k * third : (k + 1) * third].any()) for k in range(3)] == [True, True, False]


def test_an_empty_cell_is_a_gap_and_a_column_of_words_is_left_out(tmp_path: Path) -> None:
    csv = tmp_path / "metrics.csv"
    csv.write_text("frames,episode_length,note\n100,,a\n200,30,b\n")
    columns = _read(csv)
    assert set(columns) == {"frames", "episode_length"}
    np.testing.assert_array_equal(columns["episode_length"], [np.nan, 30.0])


def test_smoothing_averages_neighbours_and_skips_gaps() -> None:
    np.testing.assert_allclose(_smooth(np.array([1.0, np.nan, 3.0])), [1.0, 2.0, 3.0])


def test_a_missing_or_empty_metrics_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ViewerError, match="not found"):
        plot_curves(tmp_path / "metrics.csv", tmp_path / "curves.png")
    (tmp_path / "metrics.csv").write_text("frames,disc_loss\n")
    with pytest.raises(ViewerError, match="no iteration"):
        plot_curves(tmp_path / "metrics.csv", tmp_path / "curves.png")


def test_what_is_measured_at_intervals_is_a_joined_line(tmp_path: Path) -> None:
    csv = tmp_path / "metrics.csv"
    cells = [f"0.{9 - row // 20}" if row % 20 == 0 else "" for row in range(101)]
    csv.write_text("frames,dtw_pose_error_m\n" + "".join(f"{row},{c}\n" for row, c in enumerate(cells)))
    picture = np.asarray(Image.open(str(plot_curves(csv, tmp_path / "curves.png"))).convert("RGB"))
    columns = np.flatnonzero((np.abs(picture.astype(int) - (31, 119, 180)).max(-1) < 30).any(axis=0))
    assert len(columns) > 100 and len(columns) == columns[-1] - columns[0] + 1  # without a break


@pytest.mark.parametrize(
    "text, says",
    [
        ("frames,kl\n1,2\n2," + "3" * 200_000 + "\n", "field larger than"),
        ("\0\n", "no iteration with a column 'frames'"),
    ],
)
def test_a_file_that_is_no_table_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(ViewerError, match=says):
        plot_curves(tmp_path / "metrics.csv", tmp_path / "curves.png")


def test_cells_beyond_the_columns_and_bytes_that_are_no_text_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_bytes(b"frames,kl,\xff\n1,2,3,4,5\n2,3\n")
    assert sorted(_read(tmp_path / "metrics.csv")) == ["frames", "kl", "\ufffd"]
