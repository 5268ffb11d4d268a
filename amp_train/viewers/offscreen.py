"""Draw MuJoCo scenes with OpenGL, without a window.

The platform is chosen here, not by MUJOCO_GL at `import mujoco`: the simulator has already imported it."""

import importlib
import os
import sys
from typing import Any, List

import numpy as np

from amp_train.errors import UserError

_INSTALL = "install libegl1 or libosmesa6 (Debian: apt-get install libegl1 libgl1-mesa-dri)"
_SOFTWARE_RENDERERS = ("llvmpipe", "softpipe", "swrast")


class ViewerError(UserError):
    """Something cannot be drawn or written."""


class OffscreenCanvas:
    """An OpenGL frame buffer for one model's scenes."""

    def __init__(self, model: Any, width: int, height: int) -> None:
        """Open the context; ViewerError says what to install where the machine has none."""
        import mujoco

        self._mujoco, self._rect = mujoco, mujoco.MjrRect(0, 0, width, height)
        self._platform = _open_platform(width, height)
        model.vis.global_.offwidth, model.vis.global_.offheight = width, height
        if _draws_on_cpu():
            # Antialiasing and a sharp shadow would cost five times as much.
            model.vis.quality.offsamples, model.vis.quality.shadowsize = 0, 1024
        else:
            model.vis.quality.offsamples = 4
        try:
            self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        except mujoco.FatalError as error:
            # MuJoCo asks a libEGL that is loaded, even if it is broken and the context is OSMesa's.
            self._platform.free()
            raise ViewerError(
                f"MuJoCo cannot use this machine's OpenGL ({error}); try MUJOCO_GL=osmesa, or {_INSTALL}."
            ) from error
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._pixels = np.empty((height, width, 3), dtype=np.uint8)

    def draw(self, scene: Any) -> np.ndarray:
        """Return the picture of an MjvScene, (height, width, 3) uint8, top row first."""
        self._mujoco.mjr_render(self._rect, scene, self._context)
        self._mujoco.mjr_readPixels(self._pixels, None, self._rect, self._context)
        return self._pixels[::-1].copy()

    def close(self) -> None:
        """Release the frame buffer."""
        self._context.free()
        self._platform.free()


def _open_platform(width: int, height: int) -> Any:
    """Try the windowless platforms in turn; MUJOCO_GL narrows them down to one."""
    platforms = {"linux": ["egl", "osmesa"], "darwin": ["cgl"]}.get(sys.platform, ["glfw"])
    wanted = os.environ.get("MUJOCO_GL", "").lower().strip()
    platforms = [wanted] if wanted in platforms else platforms
    failures: List[str] = []
    for platform in platforms:
        try:
            context = importlib.import_module("mujoco." + platform).GLContext(width, height)
            context.make_current()
            return context
        except (ImportError, AttributeError, RuntimeError, OSError) as error:
            failures.append(f"{platform}: {(str(error) or type(error).__name__).split('. ')[0]}")
            _forget_pyopengl()
    raise ViewerError(f"No offscreen OpenGL on this machine ({'; '.join(failures)}); {_INSTALL}.")


def _forget_pyopengl() -> None:
    """Undo PyOpenGL's choice of a platform, which it makes once, at import, so that the next platform can be tried."""
    os.environ.pop("PYOPENGL_PLATFORM", None)
    users = ("mujoco.egl", "mujoco.osmesa")  # they keep its exceptions, and would not catch those of a second import
    for name in [n for n in sys.modules if n.split(".")[0] == "OpenGL" or n.startswith(users)]:
        del sys.modules[name]


def _draws_on_cpu() -> bool:
    from OpenGL import GL

    renderer = (GL.glGetString(GL.GL_RENDERER) or b"").decode(errors="replace").lower()
    return any(name in renderer for name in _SOFTWARE_RENDERERS)
