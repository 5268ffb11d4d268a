"""glTF 2.0 in one file (`.glb`): the first animation of a skeleton. Meshes and everything else are ignored.

Our own bounded reader: the JSON part, and the accessors that the animation names. Bones are measured from the
nodes' own pose, which exporters set to the rest pose. Metres, y up."""

import json
import struct
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np
import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterSpec
from amp_train.errors import MotionError
from amp_train.motion.clip import MAX_FRAMES, MAX_JOINTS, MAX_NUMBERS
from amp_train.motion.importers.base import Imported, Importer, MotionFile
from amp_train.motion.retarget import RetargetOptions, SkeletonMotion, retarget
from amp_train.untrusted import printable

_MAGIC = b"glTF"
_JSON, _BIN = 0x4E4F534A, 0x004E4942
_MAX_JSON_BYTES = 8 * 1024 * 1024
_MAX_NODES = 4096
_FLOAT = 5126
_WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}
_PATHS = {"rotation": 4, "translation": 3}
_FASTEST, _USUAL = 60.0, 30.0


class _Track(NamedTuple):
    times_s: np.ndarray  # (K,)
    values: np.ndarray  # (K, 3 or 4)


class _Broken(ValueError):
    """What is wrong with the file."""


def _matches(file: MotionFile) -> bool:
    return file.data.startswith(_MAGIC)


def _parse(file: MotionFile, spec: CharacterSpec, options: RetargetOptions) -> Imported:
    done = retarget(parse_glb(file.data, file.name, options.fps), spec, options)
    return Imported(done.clip, done.notes, done)


def parse_glb(data: bytes, name: str, fps: Optional[float] = None) -> SkeletonMotion:
    """Read the first animation.

    Raises:
        MotionError: broken, without animation, or of an unsupported kind.
    """
    try:
        return _read(data, name, fps)
    except _Broken as error:
        raise MotionError(f"GLB file '{name}' cannot be used: {error}.") from None
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError, struct.error, OverflowError):
        raise MotionError(f"GLB file '{name}' cannot be used: it is broken or truncated.") from None


def _read(data: bytes, name: str, fps: Optional[float]) -> SkeletonMotion:
    content, binary = _chunks(data)
    nodes = content.get("nodes", [])
    if not 1 <= len(nodes) <= _MAX_NODES or not content.get("animations"):
        raise _Broken("it contains no animation of a skeleton")
    tracks = _tracks(content, binary)
    parents = _parents(nodes)
    chosen = _chosen(content, tracks, parents)
    times_s, rate = _clock(tracks, fps)
    local_rot, offset, rest = _channels(nodes, chosen, parents, tracks, times_s)
    return _skeleton(name, rate, nodes, chosen, parents, local_rot, offset, rest)


def _chunks(data: bytes) -> Tuple[Dict[str, Any], bytes]:
    if len(data) < 20 or struct.unpack("<I", data[4:8])[0] != 2:
        raise _Broken("it is not version 2 of glTF")
    length, kind = struct.unpack("<II", data[12:20])
    if kind != _JSON or length > min(_MAX_JSON_BYTES, len(data) - 20):
        raise _Broken("its description is missing or too large")
    content = json.loads(data[20 : 20 + length].decode("utf-8"))
    rest = data[20 + length :]
    binary = b""
    if len(rest) >= 8:
        size, kind = struct.unpack("<II", rest[:8])
        binary = rest[8 : 8 + size] if kind == _BIN else b""
    return content, binary


def _accessor(content: Dict[str, Any], binary: bytes, index: int) -> np.ndarray:
    """Return the numbers (K, width) of an accessor."""
    accessor = content["accessors"][index]
    width, count = _WIDTHS.get(accessor["type"], 0), accessor["count"]
    if accessor["componentType"] != _FLOAT or width == 0 or "sparse" in accessor:
        raise _Broken("its animation is compressed, which is not supported")
    if type(count) is not int or not 1 <= count * width <= MAX_NUMBERS:
        raise _Broken("its animation is too long")
    view = content["bufferViews"][accessor["bufferView"]]
    stride = view.get("byteStride", 4 * width)
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    if stride != 4 * width or start < 0 or view.get("buffer", 0) != 0 or start + 4 * width * count > len(binary):
        raise _Broken("its animation points outside the file")
    return np.frombuffer(binary, "<f4", width * count, start).reshape(count, width).astype(np.float64)


def _tracks(content: Dict[str, Any], binary: bytes) -> Dict[Tuple[int, str], _Track]:
    animation = content["animations"][0]
    found = {}
    for channel in animation["channels"]:
        node, path = channel["target"].get("node"), channel["target"]["path"]
        if path not in _PATHS or type(node) is not int or not 0 <= node < len(content["nodes"]):
            continue
        sampler = animation["samplers"][channel["sampler"]]
        times, values = (_accessor(content, binary, sampler[key]) for key in ("input", "output"))
        if sampler.get("interpolation") == "CUBICSPLINE":  # tangents before and after each value
            values = values[1::3]
        if len(times) != len(values) or values.shape[1] != _PATHS[path] or not np.isfinite(values).all():
            raise _Broken("its animation has times without values")
        if not np.isfinite(times).all() or (np.diff(times[:, 0]) < 0).any():
            raise _Broken("the times of its animation are not in order")
        found[node, path] = _Track(times[:, 0], values)
    if not found:
        raise _Broken("its animation rotates no joint")
    return found


def _parents(nodes: List[Any]) -> List[int]:
    parents = [-1] * len(nodes)
    for index, node in enumerate(nodes):
        for child in node.get("children", []):
            if parents[child] != -1 or not 0 <= child < len(nodes):
                raise _Broken("a node has two parents")
            parents[child] = index
    return parents


def _chosen(content: Dict[str, Any], tracks: Dict[Tuple[int, str], _Track], parents: List[int]) -> List[int]:
    """List the joints of skins and what is animated, with everything above them, a parent before its children."""
    wanted = {node for node, _ in tracks}
    for skin in content.get("skins", []):
        wanted.update(skin["joints"])
    order: List[int] = []
    for node in sorted(wanted):
        path: List[int] = []
        while node >= 0 and node not in order:
            if node in path:
                raise _Broken("its nodes form a cycle")
            path.append(node)
            node = parents[node]
        order += reversed(path)
    roots = [node for node in order if parents[node] < 0]
    if len(roots) > 1:  # cameras and lights may be animated too: the tree with the most nodes is the body
        top = {node: node for node in roots}
        for node in order:
            top[node] = node if parents[node] < 0 else top[parents[node]]
        largest = max(roots, key=lambda root: list(top.values()).count(root))
        order = [node for node in order if top[node] == largest]
    if len(order) > MAX_JOINTS:
        raise _Broken(f"it has more than {MAX_JOINTS} joints")
    return order


def _clock(tracks: Dict[Tuple[int, str], _Track], fps: Optional[float]) -> Tuple[np.ndarray, float]:
    """Return the times (F,) s to sample at, and the rate: that of the keys, if they are regular."""
    begin = min(float(track.times_s[0]) for track in tracks.values())
    end = max(float(track.times_s[-1]) for track in tracks.values())
    steps = np.concatenate([np.diff(track.times_s) for track in tracks.values()])
    steps = steps[steps > 1e-5]
    rate = fps or (float(np.clip(1.0 / np.median(steps), _USUAL, _FASTEST)) if len(steps) else _USUAL)
    count = int(round((end - begin) * rate)) + 1
    if not 2 <= count <= MAX_FRAMES:
        raise _Broken(f"its animation lasts {end - begin:.3g} s")
    return begin + np.arange(count) / rate, rate


def _channels(
    nodes: List[Any],
    chosen: List[int],
    parents: List[int],
    tracks: Dict[Tuple[int, str], _Track],
    times_s: np.ndarray,
) -> Tuple[List[Tensor], List[Tensor], Dict[int, Tuple[Tensor, Tensor]]]:
    """Return rotations (F, 4) and positions (F, 3) of the joints in their parents, and both at rest; scales of the
    nodes above are in the positions."""
    rot, pos, rest = [], [], {}
    size: Dict[int, float] = {-1: 1.0}
    for node in chosen:
        own = nodes[node]
        if "matrix" in own:
            raise _Broken("its nodes have matrices instead of rotations")
        scale = _vector(own.get("scale", [1.0, 1.0, 1.0]), 3)
        grown = size[parents[node]]
        size[node] = grown * float(scale.mean())
        turn, place = (
            _vector(own.get("rotation", [0.0, 0.0, 0.0, 1.0]), 4),
            _vector(own.get("translation", [0.0] * 3), 3),
        )
        turn = rotations.normalize(turn)
        rest[node] = turn, place * grown
        rot.append(_sampled(tracks.get((node, "rotation")), turn, times_s))
        pos.append(_sampled(tracks.get((node, "translation")), place, times_s) * grown)
    return rot, pos, rest


def _vector(value: Any, length: int) -> Tensor:
    vector = torch.tensor(value, dtype=torch.float64)
    if vector.shape != (length,) or not bool(torch.isfinite(vector).all()):
        raise _Broken("a node's position is not made of numbers")
    return vector


def _sampled(track: Optional[_Track], rest: Tensor, times_s: np.ndarray) -> Tensor:
    if track is None:
        return rest.expand(len(times_s), len(rest))
    if len(track.times_s) == 1:
        return torch.from_numpy(track.values[0]).expand(len(times_s), len(rest))
    before = np.clip(np.searchsorted(track.times_s, times_s, side="right") - 1, 0, len(track.times_s) - 2)
    gap = np.maximum(track.times_s[before + 1] - track.times_s[before], 1e-9)
    blend = torch.from_numpy(np.clip((times_s - track.times_s[before]) / gap, 0.0, 1.0)).unsqueeze(-1)
    first, last = torch.from_numpy(track.values[before]), torch.from_numpy(track.values[before + 1])
    if len(rest) == 3:
        return torch.lerp(first, last, blend)
    return rotations.slerp(rotations.normalize(first), rotations.normalize(last), blend)


def _skeleton(
    name: str,
    fps: float,
    nodes: List[Any],
    chosen: List[int],
    parents: List[int],
    rot: List[Tensor],
    pos: List[Tensor],
    rest: Dict[int, Tuple[Tensor, Tensor]],
) -> SkeletonMotion:
    """Measure all rotations from the rest pose, so that it is the zero pose."""
    world: Dict[int, Tensor] = {-1: torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64)}
    local, offsets, moved, count = [], [], {}, len(rot[0])
    for index, node in enumerate(chosen):
        above = world[parents[node]]
        world[node] = rotations.quat_mul(above, rest[node][0])
        back = rotations.quat_conjugate(world[node]).expand(count, 4)
        local.append(rotations.quat_mul(rotations.quat_mul(above.expand(count, 4), rot[index]), back))
        offsets.append(rotations.quat_rotate(above, rest[node][1]))
        place = rotations.quat_rotate(above.expand(count, 4), pos[index])
        if index > 0 and float((place - offsets[-1]).abs().max()) > 1e-4:
            moved[index] = place
    titles: List[str] = []
    for index, node in enumerate(chosen):
        title = printable(str(nodes[node].get("name", f"node{node}")))[:80]
        titles.append(title if title not in titles else f"{title}.{index}")
    return SkeletonMotion(
        name=name,
        fps=fps,
        joint_names=tuple(titles),
        parents=tuple(chosen.index(parents[node]) if parents[node] >= 0 else -1 for node in chosen),
        offsets=torch.stack(offsets),
        rotations=torch.stack(local, dim=1),
        root_pos=pos[0],
        moved=moved,
        up="y",
        metres=1.0,
    )


GLB = Importer("GLB", _matches, _parse)
