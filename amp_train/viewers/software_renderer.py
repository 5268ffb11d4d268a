"""Draw MuJoCo scenes as flat capsules with Pillow, for machines without OpenGL; the poses are exact."""

from typing import Any, Tuple

import numpy as np
from PIL import Image, ImageDraw

_SKY, _FLOOR, _GRID = (222, 230, 238), (205, 207, 210), (180, 183, 188)
_GRID_HALF_CELLS = 8
_NEAR_M = 0.1


class SoftwareCanvas:
    """Projects the spheres, capsules and boxes of an MjvScene with its camera and paints them from far to near."""

    def __init__(self, model: Any, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._focal = 0.5 * height / np.tan(np.radians(float(model.vis.global_.fovy)) / 2)

    def draw(self, scene: Any) -> np.ndarray:
        """Return the picture of an MjvScene, (height, width, 3) uint8, top row first."""
        # The scene has a pair of cameras for stereo; the requested camera is in the middle.
        left, right = scene.camera[0], scene.camera[1]
        self._eye = (np.array(left.pos) + np.array(right.pos)) / 2
        forward, up = np.array(left.forward), np.array(left.up)
        self._axes = np.stack((np.cross(forward, up), -up, forward))
        image = Image.new("RGB", (self._width, self._height), _SKY)
        pen = ImageDraw.Draw(image, "RGBA")
        self._draw_floor(pen, self._eye + forward * 3.0)
        solids = [g for g in scene.geoms[: scene.ngeom] if g.type != _geom_types().mjGEOM_PLANE]
        for geom in sorted(solids, key=lambda g: -float(np.dot(np.array(g.pos) - self._eye, forward))):
            self._draw_solid(pen, geom)
        return np.asarray(image)

    def close(self) -> None:
        """Do nothing."""

    def _project(self, points: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """Map world points (K, 3) m to pixels (K, 2) and depths (K,) m."""
        local = (points - self._eye) @ self._axes.T
        depth = np.maximum(local[:, 2], _NEAR_M)
        centre = (self._width / 2, self._height / 2)
        return local[:, :2] / depth[:, None] * self._focal + centre, depth

    def _draw_floor(self, pen: Any, centre: np.ndarray) -> None:
        far_ahead = self._eye + 1000.0 * (self._axes[2] * (1, 1, 0))
        far_ahead[2] = 0.0
        horizon = float(self._project(far_ahead[None])[0][0, 1])
        pen.rectangle((0, horizon, self._width, self._height), fill=_FLOOR)
        cell = np.floor(centre[:2])
        for k in range(-_GRID_HALF_CELLS, _GRID_HALF_CELLS + 1):
            for axis in (0, 1):
                self._draw_grid_line(pen, cell, axis, k)

    def _draw_grid_line(self, pen: Any, cell: np.ndarray, axis: int, offset: int) -> None:
        points = np.zeros((2 * _GRID_HALF_CELLS * 4 + 1, 3))
        points[:, axis] = cell[axis] + offset
        points[:, 1 - axis] = cell[1 - axis] + np.linspace(-_GRID_HALF_CELLS, _GRID_HALF_CELLS, len(points))
        visible = points[(points - self._eye) @ self._axes[2] > _NEAR_M]
        if len(visible) > 1:
            pen.line([tuple(p) for p in self._project(visible)[0]], fill=_GRID)

    def _draw_solid(self, pen: Any, geom: Any) -> None:
        ends, radius = _segment(geom)
        pixels, depth = self._project(ends)
        width = radius * self._focal / float(depth.mean())
        colour = tuple(int(255 * float(c)) for c in geom.rgba)
        pen.line([tuple(p) for p in pixels], fill=colour, width=max(1, int(round(2 * width))))
        for x, y in pixels:
            pen.ellipse((x - width, y - width, x + width, y + width), fill=colour)


def _segment(geom: Any) -> Tuple[np.ndarray, float]:
    """Reduce a geom to the two ends (2, 3) m and the radius (m) of the capsule that resembles it."""
    size, types = np.array(geom.size), _geom_types()
    half = np.zeros(3)
    radius = float(size[0])
    if geom.type in (types.mjGEOM_CAPSULE, types.mjGEOM_CYLINDER):
        half[2] = size[2]
    elif geom.type == types.mjGEOM_BOX:
        longest = int(np.argmax(size))
        radius = float(np.sort(size)[:2].mean())
        half[longest] = max(0.0, float(size[longest]) - radius)
    reach = np.array(geom.mat).reshape(3, 3) @ half
    centre = np.array(geom.pos)
    return np.stack((centre - reach, centre + reach)), radius


def _geom_types() -> Any:
    import mujoco

    return mujoco.mjtGeom
