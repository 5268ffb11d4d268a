"""Pictures of the bundled humanoid, drawn by OpenGL and by the fallback that needs none."""

import logging
from pathlib import Path
from typing import Tuple

import imageio.v2 as imageio
import numpy as np
import pytest
import torch

from amp_train.character import CharacterSpec, CharacterState, Kinematics
from amp_train.errors import UserError
from amp_train.viewers import Recording, View, ViewerError, render_frames, render_video, video
from amp_train.viewers.marker import MarkerPose
from amp_train.viewers.model import import_mujoco
from amp_train.viewers.offscreen import OffscreenCanvas
from amp_train.viewers.recording import one_character
from amp_train.viewers.scene import smooth_path
from amp_train.viewers.writers import chosen_pictures

SIZE = {"width": 160, "height": 120}


def no_opengl(*_: object) -> None:
    raise ViewerError("No OpenGL.")


@pytest.fixture(scope="module")
def why_no_opengl(humanoid: CharacterSpec) -> str:
    try:
        OffscreenCanvas(import_mujoco().MjModel.from_xml_path(humanoid.mjcf_path), 16, 16).close()
    except ViewerError as error:
        return str(error)
    return ""


@pytest.fixture(params=["opengl", "software"])
def canvas(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, why_no_opengl: str) -> str:
    if request.param == "software":
        monkeypatch.setattr(video, "OffscreenCanvas", no_opengl)
    elif why_no_opengl:
        pytest.skip(why_no_opengl)
    return str(request.param)


@pytest.fixture
def standing(kinematics: Kinematics) -> CharacterState:
    return kinematics.default_state(2)


def place_of(frame: np.ndarray, colour: str) -> Tuple[np.ndarray, np.ndarray]:
    """Find the rows and columns of the character's strongly coloured pixels."""
    red, green, blue = frame.astype(int).transpose(2, 0, 1)
    mask = {
        "orange": (red > green + 30) & (green > blue + 30),
        "blue": (blue > green + 30) & (green > red + 15),
        "green": (green > red + 30) & (green > blue + 10),
    }[colour]
    rows, columns = np.nonzero(mask)
    assert len(rows) > 10, colour
    return rows, columns


def test_a_standing_character_is_right_side_up_on_a_floor_under_the_sky(
    canvas: str, humanoid: CharacterSpec, standing: CharacterState
) -> None:
    frame = render_frames(humanoid, standing, **SIZE)[0]
    assert frame.shape == (120, 160, 3) and frame.dtype == np.uint8
    torso_and_head, legs_and_arms = place_of(frame, "orange")[0], place_of(frame, "blue")[0]
    assert torso_and_head.min() < legs_and_arms.min()
    assert torso_and_head.max() < legs_and_arms.max()
    sky, floor = frame[2].astype(int).mean(0), frame[-2].astype(int).mean(0)
    assert sky[2] - sky[0] > 8
    assert abs(floor[2] - floor[0]) < 8


def test_the_character_is_seen_from_its_front_right(
    canvas: str, humanoid: CharacterSpec, standing: CharacterState
) -> None:
    frame = render_frames(humanoid, standing, **SIZE)[0]
    right_limbs, left_limbs = place_of(frame, "blue")[1], place_of(frame, "green")[1]
    assert right_limbs.mean() < left_limbs.mean()


def test_the_camera_follows_and_keeps_the_whole_body_in_the_picture(
    canvas: str, humanoid: CharacterSpec, standing: CharacterState
) -> None:
    standing.root_pos[:, 0] += 100.0
    frame = render_frames(humanoid, standing, **SIZE)[1]
    for colour in ("orange", "blue"):
        rows, columns = place_of(frame, colour)
        assert 2 < rows.min() and rows.max() < 117 and 20 < columns.min() and columns.max() < 140


def test_a_reference_stands_beside_the_character(
    canvas: str, humanoid: CharacterSpec, standing: CharacterState
) -> None:
    reference = standing.clone()
    reference.root_pos[:, :2] += 50.0
    with_reference = render_frames(humanoid, standing, reference=reference, **SIZE)[0].astype(int)
    twice_the_same = render_frames(humanoid, standing, **SIZE)[0]
    assert place_of(with_reference, "orange")[1].mean() < place_of(twice_the_same, "orange")[1].mean() + 5
    right_of_the_character = with_reference[30:80, 85:110]
    grey = (np.ptp(right_of_the_character, axis=-1) < 25) & (right_of_the_character.mean(-1) < 165)
    assert grey.sum() > 30


def test_a_video_holds_every_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, humanoid: CharacterSpec, kinematics: Kinematics
) -> None:
    monkeypatch.setattr(video, "OffscreenCanvas", no_opengl)
    states = kinematics.default_state(7)
    path = render_video(tmp_path / "new" / "walk.mp4", humanoid, states, 30.0, **SIZE)
    with imageio.get_reader(str(path)) as reader:
        frames = [frame for frame in reader.iter_data()]
    assert len(frames) == 7 and frames[0].shape == (120, 160, 3)
    expected = render_frames(humanoid, states, **SIZE)[0].astype(int)
    # H.264 loses detail at edges only.
    assert np.abs(frames[0].astype(int) - expected).mean() < 4.0


def test_a_name_that_ends_in_gif_gives_a_gif(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, humanoid: CharacterSpec, standing: CharacterState
) -> None:
    monkeypatch.setattr(video, "OffscreenCanvas", no_opengl)
    assert render_video(tmp_path / "a.gif", humanoid, standing, 30.0, **SIZE).read_bytes()[:4] == b"GIF8"


def test_a_machine_without_opengl_is_told_once_and_still_gets_its_pictures(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    humanoid: CharacterSpec,
    standing: CharacterState,
) -> None:
    monkeypatch.setattr("amp_train.viewers.offscreen.importlib.import_module", _broken_import)
    with caplog.at_level(logging.WARNING):
        frames = render_frames(humanoid, standing, **SIZE)
    assert len(frames) == 2
    (record,) = caplog.records
    assert "\n" not in record.getMessage() and "libegl1" in record.getMessage()


def _broken_import(name: str) -> object:
    raise ImportError(name)


def test_what_cannot_be_drawn_is_said_in_one_line(humanoid: CharacterSpec, standing: CharacterState) -> None:
    with pytest.raises(ViewerError, match="no frame"):
        render_frames(humanoid, standing[:0])
    with pytest.raises(ViewerError, match="1 frames and the character 2"):
        render_frames(humanoid, standing, reference=standing[:1])
    with pytest.raises(ViewerError, match="161x120"):
        render_frames(humanoid, standing, width=161, height=120)


def test_the_files_name_says_the_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, humanoid: CharacterSpec, kinematics: Kinematics
) -> None:
    monkeypatch.setattr(video, "OffscreenCanvas", no_opengl)
    states = kinematics.default_state(20)
    webp = render_video(tmp_path / "a.webp", humanoid, states, 30.0, **SIZE)
    assert webp.read_bytes()[8:12] == b"WEBP"
    strip = imageio.imread(render_video(tmp_path / "a.png", humanoid, states, 30.0, **SIZE))
    assert strip.shape == (120, 8 * 160, 3)
    with pytest.raises(ViewerError, match=r"\.mp4, \.gif, \.webp or \.png"):
        render_video(tmp_path / "a.mp5", humanoid, states, 30.0, **SIZE)
    assert {path.name for path in tmp_path.iterdir()} == {"a.webp", "a.png"}


def test_a_strip_shows_the_first_and_the_last_picture() -> None:
    assert chosen_pictures("a.png", 71) == [0, 10, 20, 30, 40, 50, 60, 70]
    assert chosen_pictures("a.png", 3) == [0, 1, 2]
    assert chosen_pictures("a.gif", 3) == [0, 1, 2]


def test_a_fixed_camera_stands_still_while_the_tracking_one_goes_along(
    canvas: str, humanoid: CharacterSpec, kinematics: Kinematics
) -> None:
    states = kinematics.default_state(60)
    states.root_pos[:, 0] += torch.linspace(0.0, 4.0, 60)
    recording = one_character(humanoid, states)
    columns = {}
    for camera in ("tracking", "fixed"):
        pictures = list(video.draw(recording, View("none", camera), 320, 240, False, [15, 45]))
        columns[camera] = [place_of(picture, "orange")[1].mean() for picture in pictures]
    assert abs(columns["tracking"][1] - columns["tracking"][0]) < 12
    assert abs(columns["fixed"][1] - columns["fixed"][0]) > 50


def test_a_row_of_characters_shows_every_one(canvas: str, humanoid: CharacterSpec, kinematics: Kinematics) -> None:
    def blue(count: int) -> int:
        states = CharacterState(**{n: t.unsqueeze(0) for n, t in kinematics.default_state(count).tensors().items()})
        recording = Recording(humanoid, 1 / 30, states, torch.zeros(1, count, dtype=torch.bool))
        (picture,) = video.draw(recording, View(), 480, 240, False)
        gaps = np.diff(np.unique(place_of(picture, "orange")[1]))
        return int((gaps > 8).sum()) + 1

    assert blue(1) == 1 and blue(3) == 3


@pytest.mark.parametrize("kind", ["arrow", "ball", "flag"])
def test_a_goal_is_drawn_where_it_is(canvas: str, humanoid: CharacterSpec, standing: CharacterState, kind: str) -> None:
    recording = one_character(humanoid, standing)
    direction = np.array([[0.0, 0.6, 0.0]]) if kind == "arrow" else None
    recording.markers = [[MarkerPose(kind, np.array([[0.0, 1.0, 0.3]]), direction)], []]
    with_goal, without = (p.astype(int) for p in video.draw(recording, View("none"), 320, 240, False))
    red = (with_goal[..., 0] > with_goal[..., 1] + 50) & (np.abs(with_goal[..., 1] - with_goal[..., 2]) < 40)
    rows, columns = np.nonzero(red)
    assert len(rows) > 15
    assert (
        columns.mean() > place_of(without, "orange")[1].mean() + 10
    )  # to the character's left, on the picture's right


def test_unknown_views_are_refused() -> None:
    with pytest.raises(UserError, match="beside, none, over"):
        View(ghost="besides")
    with pytest.raises(UserError, match="fixed, tracking"):
        View(camera="drone")


@pytest.mark.parametrize("kind, size", [("sphere", (0.15,)), ("capsule", (0.1, 0.2)), ("box", (0.1, 0.15, 0.2))])
def test_an_object_is_drawn_where_it_is_in_its_colour(
    canvas: str, humanoid: CharacterSpec, standing: CharacterState, kind: str, size: Tuple[float, ...]
) -> None:
    recording, turned = one_character(humanoid, standing), np.array([[0.7071, 0.0, 0.0, 0.7071]])
    thing = MarkerPose(kind, np.array([[0.0, 1.0, 0.4]]), None, turned, size, (0.9, 0.1, 0.9, 1.0))
    recording.markers = [[thing], []]
    picture, _ = (p.astype(int) for p in video.draw(recording, View("none"), 320, 240, False))
    purple = (picture[..., 0] > picture[..., 1] + 50) & (picture[..., 2] > picture[..., 1] + 50)
    rows, columns = np.nonzero(purple)
    assert len(rows) > 60 and columns.mean() > place_of(picture, "orange")[1].mean() + 10
    if kind == "capsule":  # on its side
        assert np.ptp(columns) > np.ptp(rows)


def test_the_camera_glides_and_jumps_with_an_episode_that_begins_elsewhere() -> None:
    walked = np.stack([np.linspace(0.0, 2.0, 40), np.zeros(40), np.ones(40)], axis=-1)
    there_and_back = smooth_path(np.concatenate((walked, walked + (50.0, 0.0, 0.0))))
    assert np.abs(there_and_back[:40, 0] - walked[:, 0]).max() < 0.5
    assert np.abs(there_and_back[40:, 0] - walked[:, 0] - 50.0).max() < 0.5
    bent = walked.copy()
    bent[20, 1] = 0.5
    assert np.abs(smooth_path(bent)[:, 1]).max() < 0.1
