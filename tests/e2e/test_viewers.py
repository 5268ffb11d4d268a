"""What one looks at, looked at: pages in Chromium, the web viewer, files of amp-play, videos while training."""

import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple

import numpy as np
import pytest
import torch
from chromium import coloured, errors_of, open_browser, picture_of, wait_for

from amp_train.checkpoint.load import safe_load
from amp_train.cli import eval as amp_eval
from amp_train.cli import play as amp_play
from amp_train.cli import train as amp_train
from amp_train.cli.play import PlayArgs, playing_config
from amp_train.env import AmpEnv, make_env
from amp_train.paths import PRETRAINED_DIR
from amp_train.runner.episodes import EpisodeCallback, EpisodeStep, run_episodes
from amp_train.runner.live_policy import LivePolicy
from amp_train.runner.vec_env import AMPVecEnv

WALK = str(PRETRAINED_DIR / "walk.pth")
TINY = (
    "num_envs=16", "num_threads=1", "eval_interval=0", "task.env.episode_length=12",
    "train.params.config.horizon_length=8", "train.params.config.minibatch_size=64",
    "train.params.config.mini_epochs=1", "train.params.config.amp_minibatch_size=32",
    "train.params.config.amp_batch_size=32", "train.params.config.amp_obs_demo_buffer_size=64",
    "train.params.config.amp_replay_buffer_size=64", "train.params.config.warm_start_steps=1",
    "train.params.network.mlp.units=[16,8]", "train.params.network.disc.units=[16,8]",
)  # fmt: skip
SHORT = ("episodes=1", "num_threads=1", "task.env.episode_length=60")


@pytest.fixture(scope="module")
def one_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with open_browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def browser(one_browser: Any) -> Any:
    """A browser that has forgotten the page, and the console, of the test before."""
    one_browser.get("about:blank")
    errors_of(one_browser)
    return one_browser


# ---- Files of amp-play


def test_a_page_plays_from_disk(browser: Any, tmp_path: Path, in_process: Any) -> None:
    pytest.importorskip("viser")
    page = tmp_path / "page.html"
    out, _ = in_process(amp_play, f"checkpoint={WALK}", f"export={page}", "viewer=none", "characters=2", *SHORT)
    assert str(page) in out and page.stat().st_size < 3e6
    browser.get(page.as_uri())
    first = wait_for(lambda: _shown(browser), "the characters")
    assert coloured(first).mean() < 0.2
    later = wait_for(lambda: _changed(browser, first), "movement")
    assert coloured(later).sum() > 100
    assert errors_of(browser) == []
    asked = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert not [name for name in asked if name.startswith("http")]  # it opens without a network


def _shown(browser: Any) -> Any:
    picture = picture_of(browser)
    return picture if coloured(picture).sum() > 100 else None


def _changed(browser: Any, before: np.ndarray) -> Any:
    picture = picture_of(browser)
    return picture if (np.abs(picture - before).max(-1) > 40).sum() > 150 else None


def test_amp_play_writes_a_strip_with_the_ghost(tmp_path: Path, in_process: Any) -> None:
    strip = tmp_path / "strip.png"
    out, _ = in_process(amp_play, f"checkpoint={WALK}", f"video={strip}", "ghost=over", *SHORT)
    assert f"video: {strip}" in out and strip.read_bytes()[:4] == b"\x89PNG"


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


# ---- The web viewer


class Counter(EpisodeCallback):
    """Keeps the last step."""

    def on_start(self, env: AmpEnv) -> None:
        self.steps = 0

    def on_step(self, step: EpisodeStep) -> None:
        self.steps, self.speed = step.index + 1, float(step.state.root_vel[0].norm())


class Served(NamedTuple):
    viewer: Any
    counter: Counter
    env: AmpEnv
    policy: LivePolicy


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Play `walk` in the web viewer, in a thread of its own."""
    pytest.importorskip("viser")
    from amp_train.viewers.web import WebViewer

    running = []

    def serve(num: int = 1, watch: bool = False, *overrides: str) -> Served:
        nn = tmp_path / "nn"
        nn.mkdir()
        (nn / "walk.pth").write_bytes(Path(WALK).read_bytes())
        checkpoint = str(nn / "walk.pth")
        cfg = playing_config(PlayArgs(checkpoint=checkpoint, num_envs=num), ["num_threads=1", *overrides])
        env = make_env(cfg)
        vec_env = AMPVecEnv(env, "cpu")
        policy, counter = LivePolicy(cfg, vec_env, checkpoint), Counter()
        viewer = WebViewer(num, policy, watch, port=18200)

        def play() -> None:
            run_episodes(vec_env, policy, [counter, _Until(viewer), viewer])

        thread = threading.Thread(target=play, daemon=True)
        thread.start()
        running.append((viewer, thread, env))
        wait_for(lambda: getattr(counter, "steps", 0) > 3, "the first steps")
        return Served(viewer, counter, env, policy)

    yield serve
    for viewer, thread, env in running:
        viewer.is_running = False
        thread.join(20.0)
        env.close()


class _Until(EpisodeCallback):
    """Ends the episodes with the viewer."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer

    def on_step(self, step: EpisodeStep) -> None:
        from amp_train.runner.episodes import StopEpisodes

        if not self._viewer.is_running:
            raise StopEpisodes


def press(browser: Any, label: str) -> None:
    buttons = [b for b in browser.find_elements("css selector", "button") if b.text.strip() == label]
    assert buttons, f"no button {label}"
    browser.execute_script("arguments[0].click()", buttons[0])


def test_the_web_viewer_shows_the_character_and_its_buttons_act(browser: Any, served: Any) -> None:
    viewer, counter, env, _ = served()
    browser.get(viewer.address)
    wait_for(lambda: _shown(browser), "the character")
    wait_for(lambda: len(browser.find_elements("css selector", ".uplot canvas")) >= 3, "the plots")
    press(browser, "Pause")
    wait_for(lambda: viewer.live.paused, "the pause")
    time.sleep(0.5)
    steps = counter.steps
    time.sleep(0.5)
    assert counter.steps == steps
    press(browser, "Step")
    wait_for(lambda: counter.steps == steps + 1, "one step")
    press(browser, "Push")
    before = float(env.state.root_vel[0, :2].norm())
    wait_for(lambda: abs(float(env.state.root_vel[0, :2].norm()) - before) > 0.01 or _pushed(viewer), "the push")
    press(browser, "Play")
    wait_for(lambda: counter.steps > steps + 10, "going on")
    assert errors_of(browser) == []


def _pushed(viewer: Any) -> bool:
    return not viewer.live._requests


def test_the_web_viewer_listens_on_this_machine_only(served: Any) -> None:
    import socket

    viewer, *_ = served()
    port = int(viewer.address.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=5.0):
        pass
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in others - {"127.0.0.1", "127.0.1.1"}:
        with pytest.raises(OSError):
            socket.create_connection((address, port), timeout=2.0)


def test_a_push_and_a_restart_reach_the_simulation(served: Any) -> None:
    viewer, counter, env, _ = served(2)
    live = viewer.live
    live.paused = True
    wait_for(lambda: _stands_still(counter), "the pause")
    before = env.state.root_vel.clone()
    live.push((0.0, 0.0, 1.5), 1)
    wait_for(lambda: not live._requests, "the push")
    time.sleep(0.2)
    change = env.state.root_vel - before
    assert torch.allclose(change[1], torch.tensor([0.0, 0.0, 1.5]), atol=1e-5) and not change[0].any()
    live.restart(0, 0.4)
    wait_for(lambda: not live._requests, "the restart")
    time.sleep(0.2)
    clip = env.motion_library.state_at(torch.tensor([0, 0]), torch.tensor([0.4, 0.4]))
    assert torch.allclose(env.state.dof_pos, clip.dof_pos, atol=1e-4)
    live.paused = False
    wait_for(lambda: counter.steps > 40, "going on")
    assert float(env.state.root_pos[:, 2].min()) > 0.7  # and it walks on from there


def _stands_still(counter: Counter) -> bool:
    steps = counter.steps
    time.sleep(0.3)
    return counter.steps == steps


def test_each_new_checkpoint_of_a_running_training_is_loaded(served: Any, tmp_path: Path) -> None:
    viewer, counter, _, policy = served(1, True)
    (tmp_path / "nn" / "later.pth").write_bytes((PRETRAINED_DIR / "run.pth").read_bytes())
    wait_for(lambda: policy.current == "later.pth", "the new checkpoint")
    steps = counter.steps
    (tmp_path / "nn" / "broken.pth").write_bytes(b"half a file")
    wait_for(lambda: "broken.pth" in str(viewer.panel._policy_status.content), "the complaint")
    assert policy.current == "later.pth"
    wait_for(lambda: counter.steps > steps + 10, "going on")


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
    page = tmp_path / "both.html"
    both = f"checkpoint=[{WALK},{PRETRAINED_DIR / 'run.pth'}]"
    out, _ = in_process(amp_eval, both, "episodes=2", "seeds=0", "episode_s=2", "num_threads=1", f"report={page}")
    assert out.count("pose error, heading frame") == 2 and str(page) in out
    browser.get(page.as_uri())
    heads = [cell.text for cell in browser.find_elements("css selector", "#numbers th")]
    assert heads == ["", "walk", "run"]
    assert len(browser.find_elements("css selector", "video")) == 2
    assert errors_of(browser) == []
