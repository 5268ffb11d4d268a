"""The web viewer in Chromium: what is shown, and that buttons, sliders, keys and the mouse do what they say."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple

import numpy as np
import pytest
import torch
from chromium import coloured, enter, errors_of, field_of, picture_of, press, shown, wait_for
from tiny import TINY

from amp_train.cli import train as amp_train
from amp_train.cli.play import PlayArgs, playing_config
from amp_train.env import AmpEnv, make_env
from amp_train.paths import PRETRAINED_DIR
from amp_train.runner.episodes import EpisodeCallback, EpisodeStep, StopEpisodes, run_episodes
from amp_train.runner.live_policy import LivePolicy
from amp_train.runner.vec_env import AMPVecEnv

pytest.importorskip("viser")
from amp_train.viewers.web import WebViewer  # noqa: E402

WALK = PRETRAINED_DIR / "walk.pth"
REPOSITORY = Path(__file__).resolve().parents[2]


class Played(EpisodeCallback):
    """Keeps the last step, and ends the episodes with the viewer."""

    def __init__(self, viewer: WebViewer) -> None:
        self._viewer, self.steps = viewer, 0

    def on_step(self, step: EpisodeStep) -> None:
        self.steps = step.index + 1
        if not self._viewer.is_running:
            raise StopEpisodes


class Served(NamedTuple):
    viewer: WebViewer
    played: Played
    env: AmpEnv
    policy: LivePolicy


@pytest.fixture
def served() -> Iterator[Callable[..., Served]]:
    """Play a checkpoint in the web viewer, in a thread of its own."""
    running = []

    def serve(num: int = 1, checkpoint: Path = WALK, watch: bool = False) -> Served:
        cfg = playing_config(PlayArgs(checkpoint=str(checkpoint), num_envs=num), ["num_threads=1"])
        env = make_env(cfg)
        vec_env = AMPVecEnv(env, "cpu")
        policy = LivePolicy(cfg, vec_env, str(checkpoint))
        viewer = WebViewer(num, policy, watch, port=18200)
        played = Played(viewer)
        thread = threading.Thread(target=lambda: run_episodes(vec_env, policy, [played, viewer]), daemon=True)
        thread.start()
        running.append((viewer, thread, env))
        wait_for(lambda: played.steps > 3, "the first steps")
        return Served(viewer, played, env, policy)

    yield serve
    for viewer, thread, env in running:
        viewer.is_running = False
        thread.join(20.0)
        assert not thread.is_alive()
        env.close()


def open_page(browser: Any, viewer: WebViewer) -> None:
    """Open the page; drawing it without a GPU takes most of a core, unless the viewer is paused."""
    browser.get(viewer.address)
    wait_for(lambda: shown(browser), "the character")
    wait_for(lambda: len(browser.find_elements("css selector", ".uplot canvas")) > 3, "the plots")


def stands_still(played: Played) -> bool:
    steps = played.steps
    time.sleep(0.3)
    return played.steps == steps


def test_it_shows_the_character_and_its_curves_and_the_buttons_act(browser: Any, served: Any) -> None:
    viewer, played, env, _ = served()
    browser.get(viewer.address)
    wait_for(lambda: shown(browser), "the character")
    plots = wait_for(lambda: len(browser.find_elements("css selector", ".uplot canvas")) or None, "the plots")
    assert plots == 4  # style, logit, pose error, contacts; a walk has no task reward
    press(browser, "Pause")
    wait_for(lambda: viewer.live.paused, "the pause")
    wait_for(lambda: stands_still(played), "standing still")
    steps = played.steps
    press(browser, "Step")
    wait_for(lambda: played.steps == steps + 1, "one step")
    before = env.state.root_vel[0].clone()
    press(browser, "Push")
    wait_for(lambda: float((env.state.root_vel[0] - before).norm()) > 0.9, "the push")  # by 1 m/s, nothing else moved
    press(browser, "Play")
    wait_for(lambda: played.steps > steps + 10, "going on")
    assert errors_of(browser) == []


def test_the_episode_can_be_looked_back_at(browser: Any, served: Any) -> None:
    viewer, played, _, _ = served()
    wait_for(lambda: played.steps > 40, "more than a second")
    viewer.live.paused = True
    open_page(browser, viewer)
    enter(browser, "Look back", "-1")
    wait_for(lambda: viewer.shown is viewer.frames.history[-31], "the step of a second ago")
    enter(browser, "Look back", "0")
    wait_for(lambda: viewer.shown is viewer.frames.history[-1], "the last step")
    assert errors_of(browser) == []


def test_the_clip_can_be_scrubbed_changed_and_begun_at(browser: Any, served: Any, wanderer: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    viewer, played, env, _ = served(2, wanderer)
    viewer.live.paused = True
    open_page(browser, viewer)
    name = env.motion_library.clip_names[1]
    enter(browser, "Clip", name + Keys.ARROW_DOWN)
    wait_for(lambda: viewer.panel.clip == 1, "the clip")
    enter(browser, "Phase", "50")
    wait_for(lambda: viewer.live.paused and viewer.panel.preview_s is not None, "the preview")
    wanted_s = 0.5 * float(env.motion_library.durations_s[1])
    wait_for(lambda: abs(viewer.panel.preview_s - wanted_s) < 0.02, "the phase")
    begun, begin_at = [], env.begin_at

    def noted(ids: Any, clips: Any, times: Any) -> None:
        begun.append((clips.tolist(), times.tolist()))
        begin_at(ids, clips, times)

    env.begin_at = noted
    press(browser, "Start here")
    wait_for(lambda: begun or None, "the start")
    assert begun[0][0] == [1, 1] and begun[0][1] == pytest.approx([wanted_s] * 2, abs=0.02)
    wait_for(lambda: not viewer.live.paused and viewer.panel.preview_s is None, "going on")
    assert errors_of(browser) == []


def test_a_character_that_is_dragged_is_pushed_there(browser: Any, served: Any) -> None:
    from selenium.webdriver.common.actions.action_builder import ActionBuilder

    viewer, played, env, _ = served()
    viewer.live.paused = True
    open_page(browser, viewer)
    orange = coloured(picture_of(browser))
    orange[:, 450:] = False  # the panel
    row = int(np.median(np.nonzero(orange)[0]))
    column = int(np.median(np.nonzero(orange[row])[0]))
    before = env.state.root_vel[0].clone()
    actions = ActionBuilder(browser, duration=50)
    actions.pointer_action.move_to_location(column, row).pointer_down()
    for k in range(1, 9):
        actions.pointer_action.move_to_location(column, row - 10 * k)
    actions.pointer_action.pointer_up()
    actions.perform()
    wait_for(lambda: float((env.state.root_vel[0] - before).norm()) > 0.2, "the push")
    change = env.state.root_vel[0] - before
    assert change[2] > 0.7 * change.norm()  # upwards, as the mouse went
    assert errors_of(browser) == []


def test_keys_are_those_of_the_window(browser: Any, served: Any) -> None:
    viewer, played, _, _ = served()
    open_page(browser, viewer)
    body = browser.find_element("css selector", "body")
    body.send_keys(" ")
    wait_for(lambda: viewer.live.paused, "the pause")
    body.send_keys("g")
    wait_for(lambda: not viewer.live.ghosts, "no ghost")
    wait_for(lambda: stands_still(played), "standing still")
    steps = played.steps
    body.send_keys("n")
    wait_for(lambda: played.steps == steps + 1, "one step")
    assert errors_of(browser) == []


# ---- Goals


@pytest.fixture(scope="module")
def wanderer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy, of one iteration, for a task with a place to go to and several clips."""
    folder = tmp_path_factory.mktemp("wanderer")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "sys.argv",
            ["amp-train", "task=HumanoidAMPLocation", *TINY, "max_iterations=1", "experiment=a", f"train_dir={folder}",
             "video=False"],
        )  # fmt: skip
        amp_train.main()
    (path,) = (folder / "a" / "nn").glob("last_*.pth")
    return path


def test_a_place_is_set_by_slider_key_and_click(browser: Any, served: Any, wanderer: Path) -> None:
    from selenium.webdriver import ActionChains

    viewer, played, env, _ = served(1, wanderer)
    given = []
    set_goal = env.task.set_goal
    env.task.set_goal = lambda **values: (given.append(values), set_goal(**values))
    viewer.live.paused = True
    open_page(browser, viewer)
    assert len(browser.find_elements("css selector", ".uplot canvas")) == 5  # the task reward too
    enter(browser, "x_m", "3")
    wait_for(lambda: {"x_m": 3.0} in given, "the slider")
    browser.execute_script("document.activeElement.blur()")
    browser.find_element("css selector", "body").send_keys("\ue013")  # arrow up
    wait_for(lambda: {"x_m": 3.0, "y_m": 0.5} in given, "the key")
    canvas = browser.find_element("css selector", "canvas[data-engine]")
    ActionChains(browser).move_to_element_with_offset(canvas, -150, 120).click().perform()
    wait_for(lambda: len(given) > 2, "the click")
    place = torch.tensor([given[-1]["x_m"], given[-1]["y_m"]])
    assert (place - env.state.root_pos[0, :2]).norm() < 10.0  # on the floor around the character
    assert errors_of(browser) == []


# ---- A training that goes on


def test_a_running_training_is_followed_to_its_last_checkpoint(browser: Any, tmp_path: Path) -> None:
    """`amp-play watch=` beside an `amp-train` that saves, and deletes old checkpoints, until it is stopped."""
    run_dir = tmp_path / "runs" / "a"
    settings = "train.params.config."
    training = start(tmp_path, "train", *TINY, "experiment=a", "max_iterations=100000", "video=False",
                     settings + "save_frequency=10", settings + "save_max_share=1", settings + "keep_checkpoints=2",
                     settings + "save_best_after=100000")  # fmt: skip
    wait_for(lambda: list(run_dir.glob("nn/last_*.json")) or None, "the first checkpoint")
    playing = start(tmp_path, "play", f"watch={run_dir}", "viewer=web", "port=18300", "num_threads=1")
    try:
        assert playing.stdout is not None
        line = next(line for line in playing.stdout if "Open http" in line)
        browser.get(line.split()[1])
        seen = set()

        def followed() -> Any:
            seen.add(field_of(browser, "Checkpoint").get_attribute("value"))
            return len(seen) > 3 or None

        wait_for(lambda: browser.find_elements("xpath", "//label[contains(., 'Checkpoint')]") or None, "the panel")
        wait_for(followed, "three newer checkpoints", 300.0)
        training.terminate()
        assert training.wait(60) == 75  # stopped and saved
        last = max(run_dir.glob("nn/last_*.pth"), key=lambda path: path.stat().st_mtime)
        wait_for(lambda: field_of(browser, "Checkpoint").get_attribute("value") == last.name, "the last checkpoint")
        assert playing.poll() is None and errors_of(browser) == []
    finally:
        training.kill()
        browser.get("about:blank")  # drawing it takes the core that is needed to stop
        playing.send_signal(signal.SIGINT)
        rest = last_words(playing)
    assert playing.returncode == 0 and "Traceback" not in rest and "Stopped." in rest, rest


def last_words(process: "subprocess.Popen[str]") -> str:
    """Return what a process that was told to stop has printed; one that does not stop shows where it is."""
    try:
        return process.communicate(timeout=180)[0]
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        return process.communicate(timeout=60)[0]


def start(folder: Path, command: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-m", f"amp_train.cli.{command}", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE if command == "play" else subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        text=True,
    )


# ---- How fast it is


@pytest.mark.rate
@pytest.mark.parametrize("characters", [1, 16])
def test_frame_rate(characters: int, browser: Any, served: Any) -> None:
    """Prints the table of docs/viewing.md: `make test ARGS="-m rate -s -n0"`."""
    viewer, played, _, _ = served(characters)
    browser.get(viewer.address)
    wait_for(lambda: shown(browser, pixels=25), "the characters")
    time.sleep(10.0)
    began, steps, began_s = browser.execute_script(COUNT_FRAMES), played.steps, time.perf_counter()
    time.sleep(20.0)
    drawn = browser.execute_script(COUNT_FRAMES) - began
    seconds = time.perf_counter() - began_s
    rate, work_ms = (played.steps - steps) / seconds, 1000 * viewer.work_s
    print(f"\n{characters} characters: {rate:.1f} steps/s shown, {work_ms:.1f} ms of work each, "
          f"{drawn / seconds:.1f} pictures/s in the browser")  # fmt: skip
    assert rate > 15.0  # of 30, beside a browser that draws without a GPU


COUNT_FRAMES = """
if (window.counted === undefined) {
  window.counted = 0;
  const count = () => { window.counted += 1; requestAnimationFrame(count); };
  count();
}
return window.counted;
"""


# ---- Without a browser


def test_it_listens_on_this_machine_only(served: Any) -> None:
    viewer, *_ = served()
    port = int(viewer.address.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=5.0):
        pass
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in others - {"127.0.0.1", "127.0.1.1"}:
        with pytest.raises(OSError):
            socket.create_connection((address, port), timeout=2.0)


def test_a_push_and_a_restart_reach_the_simulation(served: Any) -> None:
    viewer, played, env, _ = served(2)
    live = viewer.live
    live.paused = True
    wait_for(lambda: stands_still(played), "the pause")
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
    wait_for(lambda: played.steps > 40, "going on")
    assert float(env.state.root_pos[:, 2].min()) > 0.7  # and it walks on from there
