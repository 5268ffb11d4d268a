"""A `MotionClip` checks and cleans what it is given, once."""

from typing import Any

import numpy as np
import pytest
import torch
from make_clip import random_clip, standing_clip

from amp_train.character import CharacterSpec
from amp_train.errors import MotionError
from amp_train.motion.clip import MAX_FRAMES, continuous


def test_quaternions_are_scaled_to_unit_length(humanoid: CharacterSpec) -> None:
    clip = random_clip(humanoid)
    stretched = standing_clip(humanoid, root_pos=clip.root_pos, root_rot=1.05 * clip.root_rot, joint_rot=clip.joint_rot)
    assert torch.allclose(stretched.root_rot, clip.root_rot, atol=1e-6)


def test_quaternion_signs_are_continuous_in_time_whatever_signs_the_file_has(humanoid: CharacterSpec) -> None:
    clip = random_clip(humanoid)
    signs = torch.where(torch.arange(clip.num_frames) % 3 == 0, -1.0, 1.0)
    flipped = standing_clip(
        humanoid,
        root_pos=clip.root_pos,
        root_rot=signs[:, None] * clip.root_rot,
        joint_rot=signs[:, None, None] * clip.joint_rot,
    )
    assert ((flipped.joint_rot[1:] * flipped.joint_rot[:-1]).sum(-1) > 0).all()
    assert torch.allclose(flipped.joint_rot, clip.joint_rot, atol=1e-6)


def test_a_full_turn_stays_continuous_through_w_below_zero() -> None:
    half = torch.linspace(0.0, torch.pi, 20)
    turn = torch.stack((torch.zeros(20), torch.zeros(20), torch.sin(half), torch.cos(half)), dim=-1)
    assert torch.allclose(continuous(turn.abs() * torch.sign(turn + 1e-9)), turn, atol=1e-6)


def test_the_duration_ends_at_the_last_frame(humanoid: CharacterSpec) -> None:
    assert standing_clip(humanoid, 31, fps=30).duration_s == 1.0


def test_arrays_of_any_number_type_become_float32(humanoid: CharacterSpec) -> None:
    clip = standing_clip(humanoid, 2, root_pos=np.array([[0, 0, 1], [0, 0, 2]]), fps=np.float64(16))
    assert clip.root_pos.dtype == torch.float32 and clip.root_pos[1, 2] == 2.0 and clip.fps == 16.0


def _with(array: torch.Tensor, index: Any, value: float) -> torch.Tensor:
    array = array.clone()
    array[index] = value
    return array


_POS, _ROT, _JOINTS = torch.ones(4, 3), torch.tensor([0.0, 0.0, 0.0, 1.0]).repeat(4, 1), torch.ones(4, 12, 4) / 2


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"root_pos": _with(_POS, (2, 1), float("nan"))}, "root_pos contains NaN or infinity in frame 2"),
        ({"joint_rot": _with(_JOINTS, (3, 1, 0), float("inf"))}, "joint_rot contains NaN or infinity in frame 3"),
        ({"root_rot": _with(_ROT, 1, 0.0)}, "root_rot contains a quaternion of length 0 in frame 1"),
        ({"joint_rot": 2 * _JOINTS}, "quaternion of length 2 in frame 0"),
        ({"root_pos": 1e6 * _POS}, "metres"),
        ({"root_pos": torch.ones(1, 3)}, "it has 1 frames; 2 to"),
        ({"root_pos": torch.ones(MAX_FRAMES + 1, 3)}, "frames; 2 to 200000 are allowed"),
        ({"root_pos": torch.ones(4, 2)}, r"root_pos has shape \(4, 2\), expected \(frames, 3\)"),
        ({"root_rot": _ROT[:3]}, r"root_rot has shape \(3, 4\), expected \(4, 4\)"),
        ({"joint_rot": _JOINTS[:, :11]}, r"expected \(4, 12, 4\)"),
        ({"root_pos": [["a", "b", "c"]] * 4}, "root_pos is not an array of numbers"),
        ({"fps": 0.0}, "fps is 0.0; 1 to 1000 are allowed"),
        ({"fps": float("nan")}, "fps is nan"),
        ({"fps": None}, "fps is None"),
        ({"joint_names": ("a",) * 12}, "a joint name occurs twice"),
        ({"joint_names": "abdomen"}, "joint_names must be a list of strings"),
        ({"joint_names": ()}, "it has 0 joints"),
        ({"loop": "forever"}, "loop is 'forever'; it must be one of: clamp, wrap"),
        ({"version": 2}, "version 2 of the clip format is not known"),
        ({"licence": 5}, "licence must be text"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(humanoid: CharacterSpec, fields: Any, message: str) -> None:
    with pytest.raises(MotionError, match=message) as error:
        standing_clip(humanoid, **fields)
    assert "\n" not in str(error.value)


def test_control_characters_of_a_file_do_not_reach_the_terminal(humanoid: CharacterSpec) -> None:
    assert standing_clip(humanoid, name="evil\x1b[2J\nclip").name == "evil?[2J?clip"
