"""What one looks at, looked at: files of amp-play, pages in Chromium, videos while training, reports."""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chromium import changed, coloured, errors_of, shown, stands, wait_for
from tiny import TINY

from amp_train.checkpoint.load import safe_load
from amp_train.cli import eval as amp_eval
from amp_train.cli import play as amp_play
from amp_train.cli import train as amp_train
from amp_train.paths import PRETRAINED_DIR

WALK = str(PRETRAINED_DIR / "walk.pth")
SHORT = ("episodes=1", "num_threads=1", "task.env.episode_length=60")


# ---- Files of amp-play


def test_a_page_plays_from_disk(browser: Any, tmp_path: Path, in_process: Any) -> None:
    pytest.importorskip("viser")
    page = tmp_path / "page.html"
    out, _ = in_process(amp_play, f"checkpoint={WALK}", f"export={page}", "viewer=none", "characters=2", *SHORT)
    assert str(page) in out and page.stat().st_size < 3e6
    browser.get(page.as_uri())
    first = wait_for(lambda: shown(browser), "the characters")
    assert coloured(first).mean() < 0.2
    later = wait_for(lambda: changed(browser, first), "movement")
    assert coloured(later).sum() > 100
    assert errors_of(browser) == []
    asked = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert not [name for name in asked if name.startswith("http")]  # it opens without a network


def test_a_pages_bar_pauses_and_scrubs(browser: Any, tmp_path: Path, in_process: Any) -> None:
    pytest.importorskip("viser")
    from selenium.webdriver import ActionChains

    page = tmp_path / "page.html"
    in_process(amp_play, f"checkpoint={WALK}", f"export={page}", "viewer=none", *SHORT)
    browser.get(page.as_uri())
    wait_for(lambda: shown(browser), "the character")
    next(button for button in browser.find_elements("css selector", "button") if button.is_displayed()).click()
    slider = browser.find_element("css selector", ".mantine-Slider-root")

    def at(share: float) -> Any:
        across = int((share - 0.5) * slider.size["width"])
        ActionChains(browser).move_to_element_with_offset(slider, across, 0).click().perform()
        time.sleep(1.0)
        return wait_for(lambda: stands(browser), "a still picture")[:-60]  # the bar is below

    late, early, late_again = at(0.8), at(0.2), at(0.8)
    assert (np.abs(late - early).max(-1) > 40).sum() > 150
    assert (np.abs(late - late_again).max(-1) > 40).sum() < 20
    assert errors_of(browser) == []


def test_amp_play_writes_a_strip_with_the_ghost(tmp_path: Path, in_process: Any) -> None:
    strip = tmp_path / "strip.png"
    out, _ = in_process(amp_play, f"checkpoint={WALK}", f"video={strip}", "ghost=over", *SHORT)
    assert f"video: {strip}" in out and strip.read_bytes()[:4] == b"\x89PNG"


def test_without_the_extra_what_is_left_of_a_viewer_is_a_video(
    tmp_path: Path, in_process: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "viser", None)
    out, _ = in_process(amp_play, f"checkpoint={WALK}", "viewer=web", f"video={tmp_path / 'walk.gif'}", *SHORT)
    assert "pip install 'amp_train[viewer]'" in out.splitlines()[0]
    assert (tmp_path / "walk.gif").read_bytes()[:4] == b"GIF8"


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (["viewer=webb"], "Unknown viewer 'webb'. Choose one of"),
        (["export=policy.tflite"], "give a name that ends in .onnx, .pt, .html"),
        (["video=walk.mp5"], "video=walk.mp5: give a name that ends in .mp4"),
        (["characters=0"], "characters must be at least 1"),
        (["control=keyboard", "viewer=none"], "needs viewer=web or viewer=native"),
        (["watch=no_such_run"], "there is no checkpoint in no_such_run/nn yet"),
    ],
)
def test_what_cannot_be_shown_is_one_line(arguments: Any, complaint: str, in_process: Any, tmp_path: Path,
                                          monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    try:
        out, err = in_process(amp_play, f"checkpoint={WALK}", *arguments, *SHORT)
    except SystemExit:
        out, err = capfd.readouterr()
    lines = [line for line in (out + err).splitlines() if complaint in line]
    assert len(lines) == 1, out + err
    assert "Traceback" not in err


# ---- Trainings and evaluations


def test_a_training_captures_videos_and_leaves_a_report(tmp_path: Path, in_process: Any, browser: Any) -> None:
    in_process(amp_train, *TINY, "max_iterations=4", "experiment=a", f"train_dir={tmp_path}", "capture_video=2")
    videos = sorted(path.name for path in (tmp_path / "a" / "videos").iterdir())
    assert videos == ["iteration_000002.mp4", "iteration_000004.mp4"]
    events = b"".join(path.read_bytes() for path in (tmp_path / "a" / "summaries").glob("events*"))
    assert events.count(b"GIF89a") == 2
    report = tmp_path / "a" / "report.html"
    browser.get(report.as_uri())
    assert browser.find_element("id", "numbers").text.count("\n") > 4
    wait_for(lambda: browser.execute_script("return document.querySelector('video').readyState") >= 2, "the video")
    pictures = "return [...document.images].filter(i => i.complete && i.naturalWidth > 300).length"
    wait_for(lambda: browser.execute_script(pictures) == 2, "curves and health")
    assert errors_of(browser) == []


def test_capturing_videos_does_not_change_the_training(tmp_path: Path, in_process: Any) -> None:
    weights = []
    for number, interval in enumerate((0, 1)):
        name = [f"experiment=r{number}", f"train_dir={tmp_path}", f"capture_video={interval}"]
        in_process(amp_train, *TINY, "max_iterations=3", "video=False", *name)
        (path,) = sorted((tmp_path / f"r{number}" / "nn").glob("*.pth"))[-1:]
        weights.append(safe_load(path)["model"])
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_amp_eval_compares_runs_in_one_page(tmp_path: Path, in_process: Any, browser: Any) -> None:
    """Two trainings side by side: their numbers in a table, their curves in one picture, then each in detail."""
    for name in ("one", "two"):
        in_process(amp_train, *TINY, "max_iterations=3", "video=False", f"experiment={name}", f"train_dir={tmp_path}")
    page = tmp_path / "both.html"
    both = f"checkpoint=[{tmp_path / 'one'},{tmp_path / 'two'}]"
    out, _ = in_process(amp_eval, both, "episodes=2", "seeds=0", "episode_s=2", "num_threads=1", f"report={page}")
    assert out.count("pose error, heading frame") == 2 and str(page) in out
    browser.get(page.as_uri())
    heads = [cell.text for cell in browser.find_elements("css selector", "#numbers th")]
    assert heads == ["", "one", "two"]
    captions = [figure.text for figure in browser.find_elements("css selector", "figcaption")]
    assert captions[0] == "Every run, over its samples" and captions.count("Curves") == 2
    assert len(browser.find_elements("css selector", "video")) == 2
    assert errors_of(browser) == []
