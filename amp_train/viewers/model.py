"""The model that pictures are drawn from: the character as it is simulated, on a floor and under a sky."""

from typing import Any

import numpy as np

from amp_train.character import CharacterSpec
from amp_train.character.editing import editable_mjcf
from amp_train.errors import MissingPackageError

_SKY = {"rgb1": (0.93, 0.95, 0.97), "rgb2": (0.66, 0.76, 0.86), "width": 64, "height": 384}
_NO_COLOUR = (0.5, 0.5, 0.5, 1.0)  # what MuJoCo takes where a file says nothing
_TILES = {"rgb1": (0.83, 0.84, 0.85), "rgb2": (0.74, 0.76, 0.78), "width": 300, "height": 300}


def import_mujoco() -> Any:
    """Import MuJoCo, or say how to get it."""
    try:
        import mujoco
    except ImportError as error:
        raise MissingPackageError("Drawing a character needs MuJoCo: pip install mujoco.") from error
    return mujoco


def picture_model(spec: CharacterSpec, floor_height: float = 0.0) -> Any:
    """Compile the character that the simulators step, whose qpos is `MujocoState`'s, to be drawn.

    Objects and terrain of a task are not in it: they are `marker_poses`. Where the file has no sky, or nothing for the
    floor, it looks like the humanoid's.
    """
    mujoco = import_mujoco()
    mjcf = editable_mjcf(spec)
    floors = [geom for geom in mjcf.worldbody.geoms if geom.type == mujoco.mjtGeom.mjGEOM_PLANE]
    for floor in floors:
        if floor_height:
            floor.pos = [floor.pos[0], floor.pos[1], floor_height]
        if not floor.material and np.allclose(floor.rgba, _NO_COLOUR):
            floor.material = _tiles(mjcf, mujoco)
    if all(texture.type != mujoco.mjtTexture.mjTEXTURE_SKYBOX for texture in mjcf.textures):
        mjcf.visual.headlight.ambient, mjcf.visual.headlight.specular = [0.4] * 3, [0.0] * 3
        gradient = mujoco.mjtBuiltin.mjBUILTIN_GRADIENT
        mjcf.add_texture(name="amp_sky", type=mujoco.mjtTexture.mjTEXTURE_SKYBOX, builtin=gradient, **_SKY)
    return mjcf.compile()


def _tiles(mjcf: Any, mujoco: Any) -> str:
    """Add a chequered material, once; return its name."""
    name = "amp_tiles"
    if mjcf.material(name) is None:
        checker = mujoco.mjtBuiltin.mjBUILTIN_CHECKER
        mjcf.add_texture(name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, builtin=checker, **_TILES)
        material = mjcf.add_material(name=name, texrepeat=[1, 1], texuniform=True)
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    return name
