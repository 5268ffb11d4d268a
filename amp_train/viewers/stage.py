"""The scene a character is shown in: MuJoCo's abstract geoms, a camera that glides along, a translucent reference."""

from typing import Any, Optional

import numpy as np

from amp_train import rotations
from amp_train.character import CharacterSpec, CharacterState
from amp_train.errors import MissingPackageError
from amp_train.sim.mujoco_state import MujocoState

_CAMERA_SMOOTHING_FRAMES = 21
_CAMERA_ELEVATION_DEG = -12.0
# Seen from the front right of the direction the character faces at first.
_CAMERA_AZIMUTH_DEG = 120.0
# Beside the character, on the far side, and nearly the colour of the floor.
_REFERENCE_OFFSET_M = 0.9
_REFERENCE_RGBA = (0.45, 0.45, 0.5, 0.45)


class Stage:
    """Poses a model frame by frame and lists what is to be drawn."""

    def __init__(self, spec: CharacterSpec, states: CharacterState, reference: Optional[CharacterState]) -> None:
        """Prepare T frames; `reference` is shown beside the character, where that is at the time."""
        self._mujoco = mujoco = import_mujoco()
        self.model = mujoco.MjModel.from_xml_path(spec.mjcf_path)
        self._data, self._reference_data = mujoco.MjData(self.model), mujoco.MjData(self.model)
        self._scene = mujoco.MjvScene(self.model, 20 * self.model.ngeom + 100)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
        self._option = mujoco.MjvOption()
        self._camera = mujoco.MjvCamera()
        self._qpos = to_qpos(spec, states)
        self._azimuth_deg = _CAMERA_AZIMUTH_DEG + float(np.degrees(rotations.heading(states.root_rot[0]).item()))
        self._lookat = _smooth_path(self._qpos[:, :3])
        self._reference_qpos = None if reference is None else self._beside(to_qpos(spec, reference))

    def __len__(self) -> int:
        return len(self._qpos)

    def frame(self, index: int) -> Any:
        """Return the MjvScene of one frame; the next call overwrites it."""
        mujoco, camera = self._mujoco, self._camera
        camera.lookat[:] = self._lookat[index]
        camera.distance = (1.6 if self._reference_qpos is None else 1.85) * self.model.stat.extent
        camera.azimuth, camera.elevation = self._azimuth_deg, _CAMERA_ELEVATION_DEG
        self._pose(self._data, self._qpos[index])
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(self.model, self._data, self._option, None, camera, everything, self._scene)
        if self._reference_qpos is not None:
            self._add_reference(self._reference_qpos[index])
        return self._scene

    def _add_reference(self, qpos: np.ndarray) -> None:
        mujoco, first = self._mujoco, self._scene.ngeom
        self._pose(self._reference_data, qpos)
        moving = mujoco.mjtCatBit.mjCAT_DYNAMIC
        mujoco.mjv_addGeoms(self.model, self._reference_data, self._option, mujoco.MjvPerturb(), moving, self._scene)
        for geom in self._scene.geoms[first : self._scene.ngeom]:
            geom.rgba[:] = _REFERENCE_RGBA

    def _pose(self, data: Any, qpos: np.ndarray) -> None:
        data.qpos[:] = qpos
        self._mujoco.mj_kinematics(self.model, data)
        self._mujoco.mj_comPos(self.model, data)
        self._mujoco.mj_camlight(self.model, data)

    def _beside(self, reference_qpos: np.ndarray) -> np.ndarray:
        """Move the reference to the character's place, and then aside, away from the camera."""
        away = np.radians(self._azimuth_deg - 30.0)
        moved = reference_qpos.copy()
        moved[:, :2] = self._qpos[:, :2] + _REFERENCE_OFFSET_M * np.array([np.cos(away), np.sin(away)])
        return moved


def to_qpos(spec: CharacterSpec, states: CharacterState) -> np.ndarray:
    """Convert T states to MuJoCo's qpos (T, nq), float64."""
    return MujocoState(spec, states.root_pos.device).qpos(states).detach().cpu().numpy()


def import_mujoco() -> Any:
    """Import MuJoCo, or say how to get it."""
    try:
        import mujoco
    except ImportError as error:
        raise MissingPackageError("Drawing a character needs MuJoCo: pip install mujoco.") from error
    return mujoco


def _smooth_path(root_pos: np.ndarray) -> np.ndarray:
    """Average root positions (T, 3) over time and hold the mean height, so that the camera glides."""
    window = min(_CAMERA_SMOOTHING_FRAMES, 2 * ((len(root_pos) - 1) // 2) + 1)
    padded = np.pad(root_pos, ((window // 2, window // 2), (0, 0)), mode="edge")
    kernel = np.full(window, 1.0 / window)
    path = np.stack([np.convolve(padded[:, k], kernel, mode="valid") for k in range(3)], axis=-1)
    path[:, 2] = 0.9 * root_pos[:, 2].mean()
    return path
