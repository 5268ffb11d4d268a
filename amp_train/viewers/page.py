"""One self-contained HTML file that plays a recording in 3D: it opens from disk and needs no network."""

from pathlib import Path
from typing import Any, Optional, Union

from amp_train.character import CharacterState
from amp_train.viewers.offscreen import ViewerError
from amp_train.viewers.recording import Recording, in_a_row
from amp_train.viewers.scene import View, placed_ghosts
from amp_train.viewers.web_scene import WebScene, close_server, open_server

ANY_FREE_PORT = 18080  # viser takes the next free one


def export_page(path: Union[str, Path], recording: Recording, view: Optional[View] = None) -> Path:
    """Write a recording as a page with a play bar and a scrubber.

    Args:
        path: ends in .html; its folder is made.
        recording: several characters are lined up.
        view: where the ghosts are; its camera is the reader's.

    Returns:
        The path.

    Raises:
        ViewerError: nothing to show, or an unsupported ending.
        MissingPackageError: viser is not installed.
    """
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise ViewerError(f"A page's name ends in .html, not '{path.name}'.")
    if len(recording) == 0:
        raise ViewerError("There is nothing to show: the recording has no step.")
    server = open_server("127.0.0.1", ANY_FREE_PORT)
    try:
        page = _play_into(server, recording, view or View())
    finally:
        close_server(server)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path


def _play_into(server: Any, recording: Recording, view: View) -> str:
    shown = in_a_row(recording) if recording.num_characters > 1 else recording
    with_ghosts = shown.ghosts is not None and view.ghost != "none"
    scene = WebScene(server, shown.spec, shown.num_characters, with_ghosts, shown.floor_height)
    ghosts = placed_ghosts(shown, view) if with_ghosts else None
    _show(scene, shown, ghosts, 0)
    serializer = server.get_scene_serializer()
    for t in range(len(shown)):
        _show(scene, shown, ghosts, t)
        serializer.insert_sleep(shown.dt_s)
    return str(serializer.as_html())


def _show(scene: WebScene, shown: Recording, ghosts: Optional[CharacterState], t: int) -> None:
    scene.show(shown.states[t])
    if ghosts is not None:
        scene.show_ghosts(ghosts[t])
    if shown.markers and shown.markers[t]:
        scene.show_markers(shown.markers[t])
