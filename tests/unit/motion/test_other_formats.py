"""Formats besides BVH: SMPL and AMASS, GLB, GMR, a robot's CSV; and BVH's own reader."""

import io
import json
import math
import pickle
import struct
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
import torch
from make_clip import random_clip
from make_rigs import as_bvh, joint_angles_deg, rest_pose

from amp_train import rotations
from amp_train.character import CharacterSpec, Kinematics
from amp_train.errors import MotionError
from amp_train.motion import export_clip, find_motion, import_clip, load_clip
from amp_train.motion.importers.bvh import parse_bvh
from amp_train.motion.importers.glb import parse_glb
from amp_train.motion.importers.smpl import read_smpl
from amp_train.motion.retarget import RetargetOptions, retarget

NO_IK = RetargetOptions(ik=False, max_fps=1000.0)

BVH = """HIERARCHY
ROOT Hips
{
  OFFSET 0 10 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Leg
  {
    OFFSET 1.5 -2 0
    CHANNELS 3 Yrotation Zrotation Xrotation
    End Site
    {
      OFFSET 0 -3 0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.0333333
1 2 3 90 0 0 0 0 0
4 5 6 0 0 90 10 20 30
"""


def test_bvh_channels_turn_in_the_order_in_which_they_are_listed() -> None:
    motion = parse_bvh(BVH.encode(), "small")
    assert motion.fps == 30.0 and motion.joint_names == ("Hips", "Leg") and motion.parents == (-1, 0)
    assert motion.root_pos.tolist() == [[1, 2, 3], [4, 5, 6]]
    pos, _ = motion.forward()
    # A quarter turn about z takes x to y: the leg's (1.5, -2, 0) becomes (2, 1.5, 0).
    assert torch.allclose(pos[0, 1], torch.tensor([3.0, 3.5, 3.0]).double())
    # About y: x to -z.
    assert torch.allclose(pos[1, 1], torch.tensor([4.0, 3.0, 4.5]).double())
    y, z, x = (
        rotations.quat_from_angle_axis(torch.tensor(math.radians(a)).double(), torch.eye(3).double()[k])
        for a, k in ((10.0, 1), (20.0, 2), (30.0, 0))
    )
    assert torch.allclose(motion.rotations[1, 1], rotations.quat_mul(rotations.quat_mul(y, z), x))
    assert motion.tips[1].tolist() == [0, -3, 0]


def test_bvh_agrees_with_another_reader(humanoid: CharacterSpec, tmp_path: Path) -> None:
    bvhio = pytest.importorskip("bvhio")
    (tmp_path / "a.bvh").write_text(as_bvh(load_clip(find_motion("cartwheel")), humanoid, rest_pose(humanoid, 90, 0)))
    theirs = bvhio.readAsHierarchy(str(tmp_path / "a.bvh"))
    ours = parse_bvh((tmp_path / "a.bvh").read_bytes(), "a")
    pos, _ = ours.forward()
    for frame in (0, 40, 100):
        theirs.loadPose(frame)
        for joint, _, _ in theirs.layout():
            place = torch.tensor(list(joint.PositionWorld)).double()
            assert torch.allclose(pos[frame, ours.joint_names.index(joint.Name)], place, atol=2e-3)


@pytest.mark.parametrize(
    "change, says",
    [
        (("MOTION", ""), "no MOTION part"),
        (("{\n  OFFSET 0 10 0", "OFFSET 0 10 0"), "where '{' is expected"),
        (("OFFSET 0 10 0", "OFFSET 0 ten 0"), "'ten' where a number is expected"),
        (("OFFSET 0 10 0", "OFFSET 0 nan 0"), "'nan' where a number is expected"),
        (("Frames: 2", "Frames: 1e9"), "frames are allowed"),
        (("Frame Time: 0.0333333", "Frame Time: 0"), "frames are allowed"),
        (("4 5 6", "4 x 6"), "something other than numbers"),
        (("4 5 6", "4 inf 6"), "NaN or infinity"),
        (("4 5 6 0 0 90 10 20 30", ""), "has 1 frames"),
        (("CHANNELS 3 Yrotation", "CHANNELS 3 Wrotation"), "must be up to 6 of"),
        (("CHANNELS 3 ", "CHANNELS 99999999 "), "must be up to 6 of"),
        (("JOINT Leg", "ROOT Leg"), "must have one ROOT"),
        (("HIERARCHY\n", "HIERARCHY\nJOINT x\n"), "must have one ROOT"),
        (("End Site", "Bogus"), "has 'Bogus' where a joint is expected"),
    ],
)
def test_a_broken_bvh_is_one_line(tmp_path: Path, change: "tuple[str, str]", says: str) -> None:
    text = BVH.replace(*change)
    assert text != BVH
    (tmp_path / "clip.bvh").write_text(text)
    with pytest.raises(MotionError, match=says) as caught:
        load_clip(tmp_path / "clip.bvh")
    assert "\n" not in str(caught.value)


def test_a_hierarchy_without_end_is_refused_soon(tmp_path: Path) -> None:
    for text in ("HIERARCHY\nROOT a\n" + "{ JOINT b\n" * 100_000 + "MOTION", "HIERARCHY\n" + "ROOT a\n{\n}\n" * 3000):
        (tmp_path / "clip.bvh").write_text(text + "MOTION\nFrames: 2\nFrame Time: 0.1\n0\n0\n")
        with pytest.raises(MotionError):
            load_clip(tmp_path / "clip.bvh")


def _smpl(frames: int = 20, **changes: Any) -> Dict[str, np.ndarray]:
    """A standing person in AMASS' axes who raises the left upper arm from the side by 60 degrees."""
    poses = np.zeros((frames, 156))
    poses[:, 0] = math.pi / 2  # SMPL is y up, AMASS z up
    poses[:, 3 * 16 + 2] = np.linspace(0.0, math.radians(60.0), frames)  # about z, the way to the front: up
    arrays = {"poses": poses, "trans": np.tile([0.3, 0.2, 0.9], (frames, 1)), "mocap_framerate": np.array(120.0)}
    arrays.update(changes)
    return arrays


def _npz(arrays: Dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_smpl_angles_arrive(humanoid: CharacterSpec) -> None:
    clip = retarget(read_smpl(_smpl(), "amass"), humanoid, NO_IK).clip
    assert clip.fps == 120.0
    # SMPL faces z before it is set upright, -y in AMASS' world after: our x turned by -90 degrees.
    assert torch.allclose(rotations.heading(clip.root_rot), torch.tensor(-math.pi / 2), atol=1e-3)
    left = humanoid.joint_names.index("left_shoulder")
    right = humanoid.joint_names.index("right_shoulder")
    lift = rotations.quat_to_exp_map(clip.joint_rot[:, left])
    # From the T pose, 90 degrees about x from hanging, up to 150.
    assert torch.allclose(torch.rad2deg(lift[:, 0]), torch.linspace(90.0, 150.0, 20), atol=0.5)
    assert float(torch.rad2deg(lift[:, 1:]).abs().max()) < 0.5
    assert torch.allclose(torch.rad2deg(rotations.quat_to_exp_map(clip.joint_rot[:, right]))[:, 0],
                          torch.tensor(-90.0), atol=0.5)  # fmt: skip


def test_an_amass_file_is_recognised_and_thinned(humanoid: CharacterSpec, tmp_path: Path) -> None:
    (tmp_path / "clip.npz").write_bytes(_npz(_smpl()))
    imported = import_clip(tmp_path / "clip.npz", humanoid, options=RetargetOptions(ik=False))
    assert imported.notes[0] == "AMASS and SMPL .npz" and imported.clip.fps == 60.0
    assert "SMPL" in imported.notes[1] and "unit m, z up" in imported.notes[1]


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"poses": np.zeros((20, 30))}, "poses must have shape"),
        ({"trans": np.zeros((19, 3))}, "the same 2 to"),
        ({"poses": np.full((20, 156), np.nan)}, "NaN"),
        ({"mocap_framerate": np.array(0.0)}, "no mocap_framerate; give fps="),
        ({"poses": np.zeros((20, 156), dtype="U1")}, "must be numbers"),
        ({"poses": np.zeros((1, 156)), "trans": np.zeros((1, 3))}, "the same 2 to"),
    ],
)
def test_a_broken_amass_file_is_one_line(tmp_path: Path, changes: Dict[str, np.ndarray], says: str) -> None:
    (tmp_path / "clip.npz").write_bytes(_npz(_smpl(**changes)))
    with pytest.raises(MotionError, match=says):
        load_clip(tmp_path / "clip.npz")


def test_gmr_and_csv_hold_the_same_motion(humanoid: CharacterSpec, tmp_path: Path) -> None:
    clip = random_clip(humanoid)
    dof_pos = Kinematics(humanoid).dof_pos(clip.joint_rot)
    content = {"fps": 30, "root_pos": clip.root_pos.numpy().astype(np.float64), "root_rot": clip.root_rot.numpy(),
               "dof_pos": dof_pos.numpy(), "local_body_pos": None, "link_body_list": None}  # fmt: skip
    (tmp_path / "clip.pkl").write_bytes(pickle.dumps(content))
    export_clip(clip, humanoid, tmp_path / "clip.csv")
    for name in ("clip.pkl", "clip.csv"):
        got = load_clip(tmp_path / name, humanoid, fit_ground=False)
        assert float(joint_angles_deg(clip, got).max()) < 0.02
        assert torch.allclose(got.root_pos, clip.root_pos, atol=1e-5)


def test_a_csv_without_header_is_in_the_characters_order(humanoid: CharacterSpec, tmp_path: Path) -> None:
    clip = random_clip(humanoid)
    export_clip(clip, humanoid, tmp_path / "clip.csv")
    lines = (tmp_path / "clip.csv").read_text().splitlines()
    (tmp_path / "bare.csv").write_text("\n".join(lines[1:]))
    assert float(joint_angles_deg(clip, load_clip(tmp_path / "bare.csv", humanoid)).max()) < 0.02
    # Named columns may stand in any order.
    order = [0, 1, 2, 3, 4, 5, 6] + list(range(len(lines[0].split(",")) - 1, 6, -1))
    mixed = "\n".join(",".join(line.split(",")[k] for k in order) for line in lines)
    (tmp_path / "mixed.csv").write_text(mixed)
    assert float(joint_angles_deg(clip, load_clip(tmp_path / "mixed.csv", humanoid)).max()) < 0.02


@pytest.mark.parametrize(
    "text, says",
    [
        ("1,2,3,0,0,0,1,0.5\n" * 3, "has 1 joint angles and character 'humanoid' 28. .* choose it with character="),
        ("1,2,3,0,0,0,1,0.5,1\n" * 2 + "1,2,3,0,0,0,1,0.5", "different numbers of columns"),
        ("1,2,3,0,0,0,1,0.5,x\n" * 3, "something other than numbers"),
        ("1,2,3,0,0,0,1,0.5,nan\n" * 3, "NaN"),
        ("nan,2,3,0,0,0,1,0.5\n" + "1,2,3,0,0,0,1,0.5\n" * 2, "NaN"),
        ("\ufeffx,y,z,qx,qy,qz,qw,caf\xe9\n1,2,3,0,0,0,1,0.5\n", "has 1 rows; 2 to"),
        ("1e30,2,3,0,0,0,1" + ",0" * 28 + "\n" + ("1,2,3,0,0,0,1" + ",0" * 28 + "\n") * 2, "root_pos exceeds"),
        (("1,2,3,0,0,0,1" + ",1e30" * 28 + "\n") * 2, "NaN|joint_rot|angle"),
        (("1,2,3,0,0,0,0" + ",0" * 28 + "\n") * 2, "quaternion of length 0"),
    ],
)
def test_a_broken_csv_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "clip.csv").write_text(text)
    with pytest.raises(MotionError, match=says):
        load_clip(tmp_path / "clip.csv")


def _glb(change: "Any" = None, cut: int = 0) -> bytes:
    """A skeleton of two legs, a spine and a head that stands; the left knee bends by 60 degrees about x."""
    parts = [("Hips", -1, (0, 1, 0)), ("LeftUpLeg", 0, (0.1, 0, 0)), ("LeftLeg", 1, (0, -0.45, 0)),
             ("LeftFoot", 2, (0, -0.45, 0)), ("RightUpLeg", 0, (-0.1, 0, 0)), ("RightLeg", 4, (0, -0.45, 0)),
             ("RightFoot", 5, (0, -0.45, 0)), ("Spine", 0, (0, 0.3, 0)), ("Head", 7, (0, 0.3, 0))]  # fmt: skip
    nodes: List[Dict[str, Any]] = [{"name": name, "translation": list(at)} for name, _, at in parts]
    for index, (_, parent, _) in enumerate(parts):
        if parent >= 0:
            nodes[parent].setdefault("children", []).append(index)
    times = np.array([0.0, 1.0], dtype="<f4")
    half = math.radians(30.0)
    turns = np.array([[0, 0, 0, 1], [math.sin(half), 0, 0, math.cos(half)]], dtype="<f4")
    binary = times.tobytes() + turns.tobytes()
    content: Dict[str, Any] = {
        "asset": {"version": "2.0"}, "nodes": nodes, "skins": [{"joints": list(range(9))}],
        "bufferViews": [{"buffer": 0, "byteOffset": 0, "byteLength": 8},
                        {"buffer": 0, "byteOffset": 8, "byteLength": 32}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 2, "type": "SCALAR"},
                      {"bufferView": 1, "componentType": 5126, "count": 2, "type": "VEC4"}],
        "animations": [{"samplers": [{"input": 0, "output": 1}],
                        "channels": [{"sampler": 0, "target": {"node": 2, "path": "rotation"}}]}],
    }  # fmt: skip
    if change is not None:
        change(content)
    text = json.dumps(content).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(binary), 0x004E4942) + binary
    data = b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks
    return data[: len(data) - cut] if cut else data


def test_a_glb_bends_the_knee(humanoid: CharacterSpec) -> None:
    clip = retarget(parse_glb(_glb(), "knee"), humanoid, NO_IK).clip
    knee = humanoid.dof_offsets[humanoid.joint_names.index("left_knee")]
    angle = Kinematics(humanoid).dof_pos(clip.joint_rot)[:, knee]
    assert clip.fps == 30.0 and clip.num_frames == 31
    assert torch.allclose(torch.rad2deg(angle), torch.linspace(0.0, 60.0, 31), atol=0.2)


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda c: c.pop("animations"), "no animation"),
        (lambda c: c["accessors"][1].update(count=10**9), "too long"),
        (lambda c: c["accessors"][1].update(count=50), "outside the file"),
        (lambda c: c["accessors"][1].update(componentType=5123), "compressed"),
        (lambda c: c["nodes"][3].update(children=[0]), "circle|two parents|broken"),
        (lambda c: c["nodes"][0].update(translation=["a", 0, 0]), "broken|numbers"),
        (lambda c: c["bufferViews"][1].update(byteOffset=-4), "outside the file"),
        (lambda c: c["animations"][0]["channels"][0]["target"].update(node=99), "rotates no joint"),
    ],
)
def test_a_broken_glb_is_one_line(change: Any, says: str) -> None:
    with pytest.raises(MotionError, match=says):
        parse_glb(_glb(change), "broken")


@pytest.mark.parametrize("cut", [1, 20, 60, 200, 1500])
def test_a_glb_that_was_cut_off(cut: int) -> None:
    with pytest.raises(MotionError):
        parse_glb(_glb(cut=cut), "cut")
