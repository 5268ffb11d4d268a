"""Each foreign format ends in the project's convention: z up, xyzw, joints by name."""

import io
import json
import math
import pickle
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
import torch
from make_clip import poselib_content

from amp_train import rotations
from amp_train.character import CharacterSpec, Kinematics
from amp_train.errors import MotionError
from amp_train.motion import MotionClip, load_clip
from amp_train.motion.importers import MotionFile, import_motion


def _frame(duration: float = 1 / 30, **values: List[float]) -> List[float]:
    """One DeepMimic frame; joints not given are at rest."""
    identity = [1.0, 0.0, 0.0, 0.0]
    parts: Dict[str, List[float]] = {"pos": [0.0, 0.9, 0.0], "rot": identity, "chest": identity, "neck": identity}
    for side in ("right", "left"):
        legs = {"_hip": identity, "_knee": [0.0], "_ankle": identity, "_shoulder": identity, "_elbow": [0.0]}
        parts.update({side + joint: value for joint, value in legs.items()})
    parts.update(values)
    return [duration] + [x for part in parts.values() for x in part]


def _deepmimic(frames: List[List[float]], loop: Any = "wrap") -> bytes:
    return json.dumps({"Loop": loop, "Frames": frames}).encode()


def _imported(data: bytes, spec: CharacterSpec) -> MotionClip:
    return import_motion(MotionFile(data, "clip"), spec).clip


def test_deepmimic_is_turned_from_y_up_to_z_up(humanoid: CharacterSpec) -> None:
    yaw = [math.cos(0.15), 0.0, math.sin(0.15), 0.0]
    clip = _imported(_deepmimic([_frame(pos=[1.0, 2.0, 3.0], rot=yaw)] * 3), humanoid)
    assert clip.root_pos[0].tolist() == [1.0, -3.0, 2.0]
    assert rotations.heading(clip.root_rot)[0].item() == pytest.approx(0.3, abs=1e-6)
    assert (clip.loop, clip.fps, clip.num_frames) == ("wrap", 30.0, 3)


@pytest.mark.parametrize("name, column", [("chest", "abdomen"), ("left_hip", "left_hip"), ("right_shoulder",) * 2])
def test_deepmimic_spherical_joints_turn_with_the_axes(humanoid: CharacterSpec, name: str, column: str) -> None:
    clip = _imported(_deepmimic([_frame(**{name: [0.8, 0.0, 0.0, 0.6]})] * 2), humanoid)
    # A turn about DeepMimic's z, to the right, is a turn about -y.
    assert clip.joint_rot[0, clip.joint_names.index(column)].tolist() == pytest.approx([0.0, -0.6, 0.0, 0.8])


def test_deepmimic_hinges_change_sign(humanoid: CharacterSpec) -> None:
    data = _deepmimic([_frame(right_knee=[-0.5], left_elbow=[0.7])] * 2, "none")
    clip = _imported(data, humanoid)
    angle = rotations.quat_to_exp_map(clip.joint_rot[0])
    assert angle[clip.joint_names.index("right_knee")].tolist() == pytest.approx([0.0, 0.5, 0.0])
    assert angle[clip.joint_names.index("left_elbow")].tolist() == pytest.approx([0.0, -0.7, 0.0])
    assert clip.loop == "clamp"


def test_deepmimic_frames_of_unequal_duration_are_resampled_in_time(humanoid: CharacterSpec) -> None:
    steps = [0.02, 0.04, 0.02, 0.02]
    frames = [_frame(d, pos=[50 * t, 0.9, 0.0]) for d, t in zip(steps + [0.0], np.cumsum([0.0] + steps))]
    clip = _imported(_deepmimic(frames), humanoid)
    # The root moves at 50 m/s throughout: equal steps of 1 m, one more than the file has.
    assert clip.num_frames == 6 and clip.fps == 50.0
    assert clip.root_pos[:, 0].tolist() == pytest.approx([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], abs=1e-5)


def test_deepmimic_quaternions_edited_by_hand_are_scaled(humanoid: CharacterSpec) -> None:
    clip = _imported(_deepmimic([_frame(right_hip=[0.6, 0.0, 0.0, 0.0])] * 2), humanoid)
    assert clip.joint_rot[0, clip.joint_names.index("right_hip")].tolist() == [0.0, 0.0, 0.0, 1.0]


_GOOD = _frame()


@pytest.mark.parametrize(
    "data, message",
    [
        (b'{"Frames": [', "not valid JSON"),
        (b"{" * 100_000, "not valid JSON"),
        (b'{"a":' * 50_000, "not valid JSON"),
        (b"{\xff}", "not valid JSON"),
        (b'{"Loop": "wrap"}', "needs a list"),
        (_deepmimic([_GOOD]), "at least 2 frames"),
        (_deepmimic([_GOOD, _GOOD[:-1]]), "frame 1 must be 44 numbers"),
        (_deepmimic([_GOOD, [True] + _GOOD[1:]]), "frame 1 must be 44 numbers"),
        (_deepmimic([_GOOD, [[1.0]] + _GOOD[1:]]), "frame 1 must be 44 numbers"),
        (_deepmimic([_GOOD, _GOOD], "sometimes"), '"Loop": one of wrap, none'),
        (_deepmimic([_GOOD, _GOOD], ["wrap"]), '"Loop": one of wrap, none'),
        (_deepmimic([_GOOD, _frame(pos=[float("nan"), 0, 0])]), "NaN"),
        (_deepmimic([_GOOD, _frame(pos=[10**400, 0, 0])]), "out of range"),
        (_deepmimic([_GOOD, _frame(neck=[0.0] * 4)]), "rotation of neck is not a unit quaternion"),
        (_deepmimic([_frame(0.0)] * 3), "have a positive duration"),
        (_deepmimic([_frame(-0.1)] * 3), "have a positive duration"),
        (_deepmimic([_frame(0.01)] * 3 + [_frame(1e9)] + [_GOOD]), "have a positive duration"),
    ],
)
def test_broken_deepmimic_clips_are_refused(humanoid: CharacterSpec, data: bytes, message: str) -> None:
    with pytest.raises(MotionError, match=message):
        _imported(data, humanoid)


def _npy(content: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array(content, dtype=object), allow_pickle=True)
    return buffer.getvalue()


def test_poselib_rotations_reach_the_joints_by_body_name(humanoid: CharacterSpec) -> None:
    content = poselib_content(humanoid)
    clip = _imported(_npy(content), humanoid)
    shin = humanoid.body_names.index("left_shin")
    knee = clip.joint_names.index("left_knee")
    assert set(clip.joint_names) == set(humanoid.joint_names) and clip.loop == "clamp"
    np.testing.assert_allclose(clip.joint_rot[:, knee], content["rotation"]["arr"][:, shin], atol=1e-6)
    np.testing.assert_allclose(clip.root_rot, content["rotation"]["arr"][:, 0], atol=1e-6)
    np.testing.assert_allclose(clip.root_pos, content["root_translation"]["arr"], atol=1e-6)


def test_poselib_world_rotations_become_local_ones(humanoid: CharacterSpec) -> None:
    content = poselib_content(humanoid)
    local = torch.tensor(content["rotation"]["arr"])
    world = [local[:, 0]]
    for body in range(1, humanoid.num_bodies):
        world.append(rotations.quat_mul(world[humanoid.parent_ids[body]], local[:, body]))
    turned = dict(content, rotation={"arr": torch.stack(world, dim=1).numpy()}, is_local=False)
    expected, clip = _imported(_npy(content), humanoid), _imported(_npy(turned), humanoid)
    assert torch.allclose(clip.joint_rot, expected.joint_rot, atol=1e-6)


def test_poselib_is_read_from_a_plain_pickle_too(humanoid: CharacterSpec) -> None:
    assert _imported(pickle.dumps(poselib_content(humanoid)), humanoid).num_frames == 5


def test_a_poselib_clip_of_another_character_names_the_body(humanoid: CharacterSpec, tmp_path: Path) -> None:
    content = poselib_content(humanoid)
    content["skeleton_tree"]["node_names"][3] = "wing"
    (tmp_path / "clip.npy").write_bytes(_npy(content))
    with pytest.raises(MotionError, match="it lacks right_shoulder; the character lacks wing"):
        load_clip(tmp_path / "clip.npy", humanoid)


@pytest.mark.parametrize(
    "path, value",
    [
        (("rotation", "arr"), [[1, 2], [3, 4]]),
        (("rotation", "arr"), np.ones((5, 14, 4))),
        (("rotation", "arr"), np.full((5, 15, 4), np.nan)),
        (("rotation",), 5),
        (("root_translation", "arr"), np.array(["a"])),
        (("root_translation", "arr"), np.ones((4, 3))),
        (("skeleton_tree",), []),
        (("skeleton_tree", "node_names"), ["pelvis"]),
        (("skeleton_tree", "node_names"), list(range(15))),
        (("skeleton_tree", "parent_indices", "arr"), np.arange(15)),
        (("skeleton_tree", "parent_indices", "arr"), np.full(15, -1)),
        (("skeleton_tree", "parent_indices", "arr"), np.full(15, np.nan)),
        (("fps",), None),
        (("fps",), "30"),
        (("fps",), np.ones(3)),
        (("fps",), 1e9),
    ],
)
def test_broken_poselib_clips_are_refused(humanoid: CharacterSpec, path: Any, value: Any) -> None:
    content: Any = poselib_content(humanoid)
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(MotionError):
        _imported(_npy(content), humanoid)


def _mimickit(spec: CharacterSpec, dof_pos: Dict[int, float], as_list: bool = False, **fields: Any) -> bytes:
    frames = np.zeros((3, 6 + spec.num_dofs))
    frames[:, :6] = [1.0, 2.0, 0.9, 0.0, 0.0, 0.5]
    for dof, value in dof_pos.items():
        frames[:, 6 + dof] = value
    content = {"fps": 30, "loop_mode": 1, "frames": frames.tolist() if as_list else frames}
    return pickle.dumps(dict(content, **fields))


def _first_dof(spec: CharacterSpec, joint: str) -> int:
    return spec.dof_offsets[spec.joint_names.index(joint)]


@pytest.mark.parametrize("as_list", [False, True])
def test_mimickit_exponential_maps_and_hinge_angles_reach_the_dofs(humanoid: CharacterSpec, as_list: bool) -> None:
    hip, knee = _first_dof(humanoid, "left_hip"), _first_dof(humanoid, "left_knee")
    given = {hip: 0.1, hip + 1: -0.2, hip + 2: 0.3, knee: 0.7, _first_dof(humanoid, "right_elbow"): -0.4}
    clip = _imported(_mimickit(humanoid, given, as_list), humanoid)
    dof_pos = Kinematics(humanoid).dof_pos(clip.joint_rot)[0]
    assert {dof: pytest.approx(float(dof_pos[dof]), abs=1e-6) for dof in given} == given
    assert clip.root_pos[0].tolist() == pytest.approx([1.0, 2.0, 0.9])
    assert rotations.heading(clip.root_rot)[0].item() == pytest.approx(0.5, abs=1e-6)
    assert (clip.loop, clip.fps) == ("wrap", 30.0)


def test_mimickits_own_humanoid_rests_with_its_arms_to_the_sides(humanoid: CharacterSpec) -> None:
    elbows = {_first_dof(humanoid, "right_elbow"): 0.5 * math.pi, _first_dof(humanoid, "left_elbow"): -0.5 * math.pi}
    clip = _imported(_mimickit(humanoid, elbows), humanoid)
    root_rot = torch.tensor([[0.0, 0.0, 0.0, 1.0]])
    body_pos, _ = Kinematics(humanoid).forward(torch.zeros(1, 3), root_rot, clip.joint_rot[:1])
    at = dict(zip(humanoid.body_names, body_pos[0]))
    # Upper arms straight out (0.274788 m), forearms bent forward (0.258947 m).
    for side, y in (("right", -1.0), ("left", 1.0)):
        upper = at[side + "_lower_arm"] - at[side + "_upper_arm"]
        forearm = at[side + "_hand"] - at[side + "_lower_arm"]
        assert upper.tolist() == pytest.approx([0.0, y * 0.274788, 0.0], abs=1e-5)
        assert forearm.tolist() == pytest.approx([0.258947, 0.0, 0.0], abs=1e-5)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"frames": np.zeros((3, 35))}, "rows of 34 numbers .*their shape is"),
        ({"frames": [[0.0] * 33] * 3}, "rows of 34 numbers .*the first has 33"),
        ({"frames": [[[0.0] * 34] * 34] * 3}, "rows of 34 numbers"),
        ({"frames": "abc"}, "rows of 34 numbers"),
        ({"frames": np.full((3, 34), np.inf)}, "must be finite"),
        ({"loop_mode": 2}, "loop_mode must be 0"),
        ({"loop_mode": [1]}, "loop_mode must be 0"),
        ({"fps": "fast"}, "fps must be a number"),
        ({"fps": -1}, "fps is -1"),
    ],
)
def test_broken_mimickit_clips_are_refused(humanoid: CharacterSpec, fields: Dict[str, Any], message: str) -> None:
    with pytest.raises(MotionError, match=message):
        _imported(_mimickit(humanoid, {}, **fields), humanoid)


def test_an_imported_clip_is_put_on_the_ground_unless_asked_not_to(humanoid: CharacterSpec, tmp_path: Path) -> None:
    (tmp_path / "clip.txt").write_bytes(_deepmimic([_frame(pos=[0.0, 1.5, 0.0])] * 3))
    assert load_clip(tmp_path / "clip.txt", humanoid).root_pos[0, 2].item() == pytest.approx(0.881416, abs=1e-5)
    assert load_clip(tmp_path / "clip.txt", humanoid, fit_ground=False).root_pos[0, 2].item() == 1.5
