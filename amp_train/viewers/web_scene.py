"""Characters in a viser scene, for the web viewer and for pages: instanced meshes that are moved, never rebuilt."""

import contextlib
import io
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np
import torch

from amp_train import rotations
from amp_train.character import CharacterSpec, CharacterState, Kinematics
from amp_train.errors import MissingPackageError
from amp_train.viewers.marker import SOLIDS, MarkerPose
from amp_train.viewers.model import import_mujoco, picture_model

GHOST_OPACITY, GHOST_RGB = 0.45, (50, 50, 85)
_FLOOR_RGB, _MARKER_RGB = (205, 207, 210), (217, 38, 38)
_CAMERA_FROM, _CAMERA_AT = (1.5, -1.8, 1.2), (0.0, 0.2, 0.85)
_FURTHER = 0.25  # of that distance for each character more


class _Part(NamedTuple):
    """One coloured body and its instances: a handle for characters and one for ghosts."""

    body: int
    characters: Any
    ghosts: Any


class WebScene:
    """N characters, their ghosts and goals. The view stays centred on the first character."""

    def __init__(self, server: Any, spec: CharacterSpec, num: int, with_ghosts: bool, floor: float = 0.0) -> None:
        """Build the meshes.

        Args:
            server: `viser.ViserServer`.
            spec: the character.
            num: number of characters.
            with_ghosts: whether each has a ghost.
            floor: its height, m.
        """
        self._server, self._kinematics, self._num = server, Kinematics(spec), num
        self._world = server.scene.add_frame("/world", show_axes=False)
        server.scene.set_up_direction("+z")
        away = 1.0 + _FURTHER * (num - 1)
        server.initial_camera.position = tuple(away * part for part in _CAMERA_FROM)
        server.initial_camera.look_at = _CAMERA_AT
        server.scene.add_grid(
            "/world/floor",
            position=(0.0, 0.0, floor),
            infinite_grid=True,
            cell_size=1.0,
            section_size=5.0,
            plane_opacity=1.0,
            plane_color=_FLOOR_RGB,
            shadow_opacity=0.25,
        )
        self.parts = [self._part(*shape, with_ghosts) for shape in _body_meshes(spec)]
        self._goals: List[Any] = []
        self._goal_kinds: List[str] = []
        self._solids: Dict[int, Any] = {}
        self.follow = True

    def _part(self, body: int, name: str, mesh: Any, rgb: Tuple[int, int, int], with_ghosts: bool) -> _Part:
        def add(kind: str, colour: Tuple[int, int, int], opacity: Any) -> Any:
            return self._server.scene.add_batched_meshes_simple(
                f"/world/{kind}/{name}",
                mesh.vertices,
                mesh.faces,
                batched_wxyzs=np.tile((1.0, 0.0, 0.0, 0.0), (self._num, 1)),
                batched_positions=np.zeros((self._num, 3)),
                batched_colors=colour,
                opacity=opacity,
                lod="off",
                cast_shadow=opacity is None,
            )

        ghosts = add("ghosts", GHOST_RGB, GHOST_OPACITY) if with_ghosts else None
        return _Part(body, add("characters", rgb, None), ghosts)

    @property
    def world_position(self) -> Tuple[float, ...]:
        """Where the simulation's origin is shown, m."""
        return tuple(float(part) for part in self._world.position)

    def show(self, state: CharacterState) -> None:
        """Move the characters to N states."""
        position, wxyz = self._poses(state)
        if self.follow:
            self._world.position = (-float(position[0, 0, 0]), -float(position[0, 0, 1]), 0.0)
        for part in self.parts:
            part.characters.batched_positions = position[:, part.body]
            part.characters.batched_wxyzs = wxyz[:, part.body]

    def show_ghosts(self, state: CharacterState) -> None:
        """Move the ghosts to N states."""
        position, wxyz = self._poses(state)
        for part in self.parts:
            part.ghosts.batched_positions = position[:, part.body]
            part.ghosts.batched_wxyzs = wxyz[:, part.body]

    def set_ghosts_visible(self, visible: bool) -> None:
        """Show or hide all ghosts."""
        for part in self.parts:
            if part.ghosts is not None and part.ghosts.visible != visible:
                part.ghosts.visible = visible

    def show_markers(self, markers: List[MarkerPose]) -> None:
        """Show a task's goals and objects, and no goals of before."""
        goals = [marker for marker in markers if marker.kind not in SOLIDS]
        if [marker.kind for marker in goals] != self._goal_kinds:
            for handle in self._goals:
                handle.remove()
            self._goals = [self._goal(k, marker) for k, marker in enumerate(goals)]
            self._goal_kinds = [marker.kind for marker in goals]
        for handle, marker in zip(self._goals, goals):
            handle.points = _goal_points(marker)
        for k, marker in enumerate(m for m in markers if m.kind in SOLIDS):
            self._show_solid(k, marker)

    def _show_solid(self, number: int, marker: MarkerPose) -> None:
        """Move a solid; it is built the first time."""
        assert marker.rot is not None
        wxyz = rotations.xyzw_to_wxyz(torch.from_numpy(np.nan_to_num(marker.rot))).contiguous().numpy()
        if number not in self._solids:
            mesh = _solid_mesh(marker)
            self._solids[number] = self._server.scene.add_batched_meshes_simple(
                f"/world/things/{number}",
                mesh.vertices,
                mesh.faces,
                batched_wxyzs=wxyz,
                batched_positions=np.nan_to_num(marker.pos),
                batched_colors=tuple(int(255 * part) for part in marker.rgba[:3]),
                lod="off",
            )
        self._solids[number].batched_positions = np.nan_to_num(marker.pos)
        self._solids[number].batched_wxyzs = wxyz

    def _goal(self, number: int, marker: MarkerPose) -> Any:
        name, scene, points = f"/world/goals/{number}", self._server.scene, _goal_points(marker)
        if marker.kind == "ball":
            return scene.add_point_cloud(
                name, points, np.array(_MARKER_RGB), point_size=0.24, point_shape="circle", precision="float32"
            )
        if marker.kind in ("flag", "bone"):
            return scene.add_line_segments(name, points, colors=_MARKER_RGB, thickness=0.03)
        return scene.add_arrows(name, points, colors=_MARKER_RGB, shaft_radius=0.02, head_radius=0.05, head_length=0.12)

    def _poses(self, state: CharacterState) -> Tuple[np.ndarray, np.ndarray]:
        """Place the bodies: positions (N, num_bodies, 3) m and rotations (N, num_bodies, 4) wxyz."""
        finite = torch.isfinite(state.root_pos).all(-1) & torch.isfinite(state.joint_rot).flatten(1).all(-1)
        pos, rot = self._kinematics.forward(state.root_pos.cpu(), state.root_rot.cpu(), state.joint_rot.cpu())
        pos = torch.where(finite.cpu()[:, None, None], pos, torch.zeros_like(pos))
        wxyz = torch.nan_to_num(rotations.xyzw_to_wxyz(rot))
        return pos.contiguous().float().numpy(), wxyz.contiguous().float().numpy()


def _goal_points(marker: MarkerPose) -> np.ndarray:
    """Return the places (N, 3) of balls, or the two ends (M, 2, 3) of the lines of flags and arrows."""
    if marker.kind == "ball":
        return marker.pos
    if marker.kind == "flag":
        pole = np.stack((marker.pos, marker.pos + (0.0, 0.0, 1.0)), axis=1)
        cloth = np.stack((pole[:, 1], pole[:, 1] + (0.3, 0.0, -0.1)), axis=1)
        return np.concatenate((pole, cloth)).astype(np.float32)
    direction = np.zeros_like(marker.pos) if marker.direction is None else marker.direction
    return np.stack((marker.pos, marker.pos + direction), axis=1)


def _solid_mesh(marker: MarkerPose) -> Any:
    from trimesh import creation

    if marker.kind == "sphere":
        return creation.icosphere(subdivisions=3, radius=marker.size[0])
    if marker.kind == "capsule":
        return creation.capsule(radius=marker.size[0], height=2.0 * marker.size[1])
    return creation.box(extents=[2.0 * half for half in marker.size])


def why_no_pages() -> Optional[str]:
    """Return in one sentence what is missing here for pages and the web viewer, or None."""
    try:
        import mjviser.conversions  # noqa: F401
        import viser  # noqa: F401
    except ImportError:
        return "it needs packages: pip install 'amp_train[viewer]' (Python 3.10 or newer)."
    return None


def open_server(host: str, port: int) -> Any:
    """Start viser, quietly.

    Raises:
        MissingPackageError: viser or mjviser is not installed.
    """
    reason = why_no_pages()
    if reason is not None:
        raise MissingPackageError(f"A page for the browser cannot be made: {reason}")
    import viser

    with contextlib.redirect_stdout(io.StringIO()):  # it draws a box with its address
        return viser.ViserServer(host=host, port=port, verbose=False)


def close_server(server: Any) -> None:
    """Stop viser, quietly."""
    with contextlib.redirect_stdout(io.StringIO()):
        server.stop()


def _body_meshes(spec: CharacterSpec) -> List[Tuple[int, str, Any, Tuple[int, int, int]]]:
    """List the coloured pieces of the bodies: body, a name, a mesh in the body's frame, and its colour."""
    from trimesh.util import concatenate

    model = picture_model(spec)
    shapes: List[Tuple[int, str, Any, Tuple[int, int, int]]] = []
    for body, body_name in enumerate(spec.body_names):
        geoms = [g for g in range(model.ngeom) if model.geom_bodyid[g] == body + 1 and _is_shown(model, g)]
        for colour in sorted({tuple(_rgba(model, g)) for g in geoms}):
            of_colour = [g for g in geoms if tuple(_rgba(model, g)) == colour]
            red, green, blue = (int(255 * part) for part in colour[:3])
            name = f"{body_name}_{len(shapes)}"
            shapes.append((body, name, concatenate([_geom_mesh(model, g) for g in of_colour]), (red, green, blue)))
    return shapes


def _geom_mesh(model: Any, geom: int) -> Any:
    """Return a geom's mesh in its body's frame; mjviser's capsule has 4096 triangles, this one 512."""
    from mjviser.conversions import merge_geoms
    from trimesh import creation, transformations

    if model.geom_type[geom] != import_mujoco().mjtGeom.mjGEOM_CAPSULE:
        return merge_geoms(model, [geom])
    radius, half_length, _ = model.geom_size[geom]
    mesh = creation.capsule(height=2.0 * half_length, radius=radius, count=[16, 16])
    placed = transformations.quaternion_matrix(model.geom_quat[geom])
    placed[:3, 3] = model.geom_pos[geom]
    return mesh.apply_transform(placed)


def _rgba(model: Any, geom: int) -> Tuple[float, ...]:
    """Return a geom's colour: its material's if it has one, as in MuJoCo's own viewer."""
    material = int(model.geom_matid[geom])
    values = model.geom_rgba[geom] if material < 0 else model.mat_rgba[material]
    return tuple(float(value) for value in values)


def _is_shown(model: Any, geom: int) -> bool:
    """Whether MuJoCo's own viewer shows a geom: collision shapes beside meshes are in a group that it leaves out."""
    return bool(_rgba(model, geom)[3] > 0 and import_mujoco().MjvOption().geomgroup[model.geom_group[geom]])
