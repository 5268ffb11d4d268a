"""The content of a picture as MuJoCo's geoms: characters, translucent ghosts, goals, and a gliding camera."""

from dataclasses import dataclass
from typing import Any, List

import numpy as np

from amp_train import rotations
from amp_train.character import CharacterSpec, CharacterState
from amp_train.errors import unknown_choice
from amp_train.sim.mujoco_state import MujocoState
from amp_train.viewers.ghost import GHOSTS, offset_m, place
from amp_train.viewers.marker import SOLIDS, MarkerPose
from amp_train.viewers.model import import_mujoco, picture_model
from amp_train.viewers.recording import Recording, in_a_row
from amp_train.viewers.row import SPACING_M

CAMERAS = ("tracking", "fixed")
_CAMERA_SMOOTHING_FRAMES = 21
_JUMP_M = 1.0  # between two frames: nothing runs at 30 m/s
_CAMERA_ELEVATION_DEG = -12.0
# Seen from the front right of the character's initial heading.
_CAMERA_AZIMUTH_DEG, _ROW_AZIMUTH_DEG = 120.0, 160.0
_DISTANCE = {"none": 1.6, "over": 1.6, "beside": 1.85}  # in extents of the model
_ROW_DISTANCE_PER_M = 0.75
# Nearly the colour of the floor.
GHOST_RGBA = (0.45, 0.45, 0.5, 0.45)
_MARKER_RGBA = (0.85, 0.15, 0.15, 0.9)


@dataclass
class View:
    """The view of a recording.

    Attributes:
        ghost: the clip `beside` the character, `over` it, or `none`.
        camera: `tracking` glides along; `fixed` shows the whole path.
        shadows: without a GPU they take half of the time of a picture.
    """

    ghost: str = "beside"
    camera: str = "tracking"
    shadows: bool = True

    def __post_init__(self) -> None:
        for name, given, known in (("ghost", self.ghost, GHOSTS), ("camera", self.camera, CAMERAS)):
            if given not in known:
                raise unknown_choice(name, given, known)


class Scene:
    """Poses a model frame by frame and lists the geoms to draw."""

    def __init__(self, recording: Recording, view: View) -> None:
        """Prepare T frames. Several characters are lined up; a single one is not moved."""
        self._mujoco = mujoco = import_mujoco()
        spec = recording.spec
        shown = in_a_row(recording) if recording.num_characters > 1 else recording
        self.model = picture_model(spec, recording.floor_height)
        self._data = mujoco.MjData(self.model)
        people = shown.num_characters * (2 if recording.ghosts is not None else 1)
        self._scene = mujoco.MjvScene(self.model, (people + 2) * self.model.ngeom + 1000)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = view.shadows
        self._option, self._camera = mujoco.MjvOption(), mujoco.MjvCamera()
        self._characters, self._markers = _all_qpos(spec, shown.states), shown.markers
        with_ghosts = shown.ghosts is not None and view.ghost != "none"
        self._ghosts = _all_qpos(spec, placed_ghosts(shown, view)) if with_ghosts else []
        self._place_camera(shown, view, with_ghosts)

    def __len__(self) -> int:
        return len(self._characters[0])

    def _place_camera(self, shown: Recording, view: View, with_ghosts: bool) -> None:
        first = shown.states.root_rot[0, 0]
        azimuth_deg = _ROW_AZIMUTH_DEG if shown.num_characters > 1 else _CAMERA_AZIMUTH_DEG
        self._azimuth_deg = azimuth_deg + float(np.degrees(rotations.heading(first).item()))
        middle = np.mean([qpos[:, :3] for qpos in self._characters], axis=0)
        self._lookat = smooth_path(middle)
        extents = _DISTANCE[view.ghost if with_ghosts else "none"]
        row_m = (shown.num_characters - 1) * SPACING_M
        self._distance = extents * float(self.model.stat.extent) + _ROW_DISTANCE_PER_M * row_m
        if view.camera == "fixed":
            way = np.linalg.norm(np.ptp(self._lookat[:, :2], axis=0))
            self._lookat = np.tile(0.5 * (self._lookat.min(0) + self._lookat.max(0)), (len(self), 1))
            self._distance += float(way)

    def frame(self, index: int) -> Any:
        """Return the MjvScene of one frame; the next call overwrites it."""
        mujoco, camera = self._mujoco, self._camera
        camera.lookat[:], camera.distance = self._lookat[index], self._distance
        camera.azimuth, camera.elevation = self._azimuth_deg, _CAMERA_ELEVATION_DEG
        self._pose(self._characters[0][index])
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(self.model, self._data, self._option, None, camera, everything, self._scene)
        for qpos in self._characters[1:]:
            self._add_character(qpos[index])
        first_ghost = self._scene.ngeom
        for qpos in self._ghosts:
            self._add_character(qpos[index])
        for geom in self._scene.geoms[first_ghost : self._scene.ngeom]:
            geom.rgba[:] = GHOST_RGBA
        for marker in self._markers[index] if self._markers else ():
            for n in range(len(marker.pos)):
                add_marker(self._scene, marker, n)
        return self._scene

    def _add_character(self, qpos: np.ndarray) -> None:
        mujoco = self._mujoco
        self._pose(qpos)
        moving = mujoco.mjtCatBit.mjCAT_DYNAMIC
        mujoco.mjv_addGeoms(self.model, self._data, self._option, mujoco.MjvPerturb(), moving, self._scene)

    def _pose(self, qpos: np.ndarray) -> None:
        self._data.qpos[:] = qpos
        self._mujoco.mj_kinematics(self.model, self._data)
        self._mujoco.mj_comPos(self.model, self._data)
        self._mujoco.mj_camlight(self.model, self._data)


def placed_ghosts(shown: Recording, view: View) -> CharacterState:
    """Put a recording's ghosts where a view has them."""
    assert shown.ghosts is not None
    return place(shown.ghosts, shown.states, offset_m(view.ghost, shown.states.root_rot[0, 0]))


def add_marker(scene: Any, marker: MarkerPose, n: int) -> None:
    """Add the marker of character n to an MjvScene: a solid, an arrow, a ball, a flag, or a bone."""
    mujoco, pos = import_mujoco(), np.asarray(marker.pos[n], dtype=np.float64)
    if scene.ngeom + 2 > scene.maxgeom or not np.isfinite(pos).all():
        return
    if marker.kind in SOLIDS:
        _add_solid(scene, marker, n, pos)
    elif marker.kind == "ball":
        _init_geom(scene, mujoco.mjtGeom.mjGEOM_SPHERE, (0.12, 0.12, 0.12), pos)
    elif marker.kind == "flag":
        _connect(scene, mujoco.mjtGeom.mjGEOM_CAPSULE, 0.02, pos, pos + (0.0, 0.0, 1.0))
        _init_geom(scene, mujoco.mjtGeom.mjGEOM_BOX, (0.15, 0.01, 0.1), pos + (0.15, 0.0, 0.9))
    elif marker.kind == "bone" and marker.direction is not None:
        _connect(scene, mujoco.mjtGeom.mjGEOM_CAPSULE, 0.02, pos, pos + np.asarray(marker.direction[n], dtype=float))
    elif marker.direction is not None:
        _connect(scene, mujoco.mjtGeom.mjGEOM_ARROW, 0.04, pos, pos + np.asarray(marker.direction[n], dtype=float))


def _add_solid(scene: Any, marker: MarkerPose, n: int, pos: np.ndarray) -> None:
    mujoco, rot = import_mujoco(), marker.rot
    kinds = {"sphere": "mjGEOM_SPHERE", "capsule": "mjGEOM_CAPSULE", "box": "mjGEOM_BOX"}
    # A capsule's half length is MuJoCo's third size; a sphere has one size.
    sizes = {"sphere": marker.size * 3, "capsule": (marker.size[0], *marker.size), "box": marker.size}[marker.kind]
    matrix = np.eye(3).flatten()
    if rot is not None:
        x, y, z, w = (float(part) for part in rot[n])
        mujoco.mju_quat2Mat(matrix, np.array((w, x, y, z)))
    _init_geom(scene, getattr(mujoco.mjtGeom, kinds[marker.kind]), sizes, pos, matrix, marker.rgba)


def _init_geom(scene: Any, kind: Any, size: Any, pos: Any, matrix: Any = None, rgba: Any = _MARKER_RGBA) -> Any:
    geom, colour = scene.geoms[scene.ngeom], np.array(rgba, dtype=np.float32)
    matrix = np.eye(3).flatten() if matrix is None else matrix
    import_mujoco().mjv_initGeom(geom, kind, np.array(size, dtype=float), np.array(pos), matrix, colour)
    geom.category = int(import_mujoco().mjtCatBit.mjCAT_DECOR)
    scene.ngeom += 1
    return geom


def _connect(scene: Any, kind: Any, width_m: float, start: np.ndarray, end: np.ndarray) -> None:
    geom = _init_geom(scene, kind, (width_m,) * 3, start)
    import_mujoco().mjv_connector(geom, kind, width_m, start, end)


def _all_qpos(spec: CharacterSpec, states: CharacterState) -> List[np.ndarray]:
    """Return qpos (T, nq) of each of N characters whose states are (T, N, ...)."""
    return [to_qpos(spec, states[:, n]) for n in range(states.root_pos.shape[1])]  # type: ignore[index]


def to_qpos(spec: CharacterSpec, states: CharacterState) -> np.ndarray:
    """Convert T states to MuJoCo's qpos (T, nq), float64."""
    return MujocoState(spec, states.root_pos.device).qpos(states).detach().cpu().numpy()


def smooth_path(root_pos: np.ndarray) -> np.ndarray:
    """Average root positions (T, 3) over time and keep the mean height, so that the camera glides. Where an episode
    starts elsewhere it jumps with the character."""
    steps = np.linalg.norm(np.diff(root_pos[:, :2], axis=0), axis=-1)
    path = np.concatenate([_averaged(part) for part in np.split(root_pos, np.flatnonzero(steps > _JUMP_M) + 1)])
    path[:, 2] = 0.9 * root_pos[:, 2].mean()
    return path


def _averaged(root_pos: np.ndarray) -> np.ndarray:
    window = min(_CAMERA_SMOOTHING_FRAMES, 2 * ((len(root_pos) - 1) // 2) + 1)
    padded = np.pad(root_pos, ((window // 2, window // 2), (0, 0)), mode="edge")
    kernel = np.full(window, 1.0 / window)
    return np.stack([np.convolve(padded[:, k], kernel, mode="valid") for k in range(3)], axis=-1)
