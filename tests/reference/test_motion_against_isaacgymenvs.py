"""The motion library against the states that IsaacGymEnvs' own library returns for its clips.

Where the two differ, and why (figures measured with the clips of the reference folder):

1. Positions and rotations agree to 1e-3 (measured: root 1e-6 m, angles 4e-6 rad), with one exception: the reference
   returns exactly zero for a joint rotation that its unnormalised quaternions take for none (backflip, 0.007 rad).
2. The reference interpolates the key bodies' positions between frames; here they follow from the interpolated pose.
   Between frames of 1/60 s that is up to 5 mm, of 1/16 s (backflip) up to 125 mm. Interpolating ours in the same way
   gives the reference.
3. The 60 fps clips hold every frame twice (captured at 30). The reference's dof velocities are differences to the next
   frame, so they jump between zero and twice the speed; ours are central differences and give the speed. Theirs
   projected on ours is exactly twice as long, and the RMS difference is as large as ours itself.
4. The reference's root velocities are smoothed (Gaussian, sigma of 2 frames) and held between frames. Smoothing ours in
   the same way gives theirs, to 1e-6 m/s. As they are, they differ by an RMS of 0.03 (walk), 0.09 (run) and 0.02 m/s
   (dance), 4, 4 and 7 % of its own; by 0.59 m/s in the backflip, where 2 frames are 0.125 s and smooth the jump away.
"""

from pathlib import Path
from typing import Any, Dict, Tuple

import numpy as np
import pytest
import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterSpec, CharacterState, Kinematics
from amp_train.motion import MotionClip, MotionLibrary, load_clip
from amp_train.motion.velocities import cycle_of, frame_velocities

Case = Tuple[str, MotionClip, CharacterState, Dict[str, Tensor]]


@pytest.fixture(scope="module", params=["walk", "run", "backflip", "dance"])
def case(request: Any, shared: Path, humanoid: CharacterSpec) -> Case:
    name = request.param
    golden = np.load(str(shared / "golden" / "isaacgymenvs_motion_states.npz"))
    wanted = {key.split("/")[1]: torch.tensor(golden[key]) for key in golden.files if key.startswith(name + "/")}
    path = shared / "motions" / "isaacgymenvs" / f"amp_humanoid_{name}.npy"
    # The reference does not move its clips to the ground.
    clip = load_clip(path, humanoid, fit_ground=False)
    library = MotionLibrary([clip], spec=humanoid)
    state = library.state_at(torch.zeros(64, dtype=torch.long), wanted["times"].float())
    return name, clip, state, wanted


def _rms(x: Tensor) -> float:
    return float(x.double().pow(2).mean().sqrt())


def test_the_clip_has_the_references_frames(case: Case) -> None:
    _, clip, _, wanted = case
    assert clip.num_frames == int(wanted["frames"]) and clip.fps == float(wanted["fps"])
    assert clip.duration_s == pytest.approx(float(wanted["length"]), abs=1e-9)


def test_root_position_and_rotation_agree(case: Case) -> None:
    _, _, state, wanted = case
    assert (state.root_pos - wanted["root_pos"]).abs().max() < 1e-4
    between = rotations.quat_mul(rotations.quat_conjugate(state.root_rot), rotations.normalize(wanted["root_rot"]))
    assert rotations.quat_to_exp_map(between).norm(dim=-1).max() < 1e-3


def test_dof_positions_agree(case: Case) -> None:
    _, _, state, wanted = case
    difference = (state.dof_pos - wanted["dof_pos"]).abs()
    lost = (wanted["dof_pos"] == 0.0) & (state.dof_pos.abs() < 0.01)
    assert difference[~lost].max() < 1e-3
    assert (difference[lost] > 1e-3).sum() <= 3


def test_key_body_positions_agree_when_interpolated_as_the_reference_does(case: Case, humanoid: CharacterSpec) -> None:
    name, clip, state, wanted = case
    body_pos, _ = Kinematics(humanoid).forward(clip.root_pos, clip.root_rot, clip.joint_rot)
    key_pos = body_pos[:, list(humanoid.key_body_ids)]
    position = wanted["times"] * clip.fps
    frame = position.long().clamp(max=clip.num_frames - 2)
    blend = (position - frame).float()[:, None, None]
    assert (torch.lerp(key_pos[frame], key_pos[frame + 1], blend) - wanted["key_pos"]).abs().max() < 1e-3
    # Ours lie on the arc, the reference's on its chord.
    exact = (state.body_pos[:, list(humanoid.key_body_ids)] - wanted["key_pos"]).abs().max()
    assert exact < {"walk": 0.006, "run": 0.006, "backflip": 0.13, "dance": 0.002}[name]


def _smoothed(velocity: Tensor) -> Tensor:
    """Filter (F, 3) with a Gaussian of 2 frames, cut off at 4 sigma, the ends held."""
    weights = torch.exp(-0.5 * (torch.arange(-8, 9, dtype=torch.float64) / 2.0) ** 2)
    padded = torch.cat((velocity[:1].expand(8, 3), velocity, velocity[-1:].expand(8, 3))).double()
    return padded.unfold(0, 17, 1) @ (weights / weights.sum())


def test_root_velocity_smoothed_as_the_reference_does_is_the_references(case: Case) -> None:
    _, clip, _, wanted = case
    root_vel, _, _ = frame_velocities(clip, cycle_of(clip))
    frame = (wanted["times"] / wanted["length"] * (clip.num_frames - 1)).long()
    assert (_smoothed(root_vel)[frame] - wanted["root_vel"]).abs().max() < 1e-4


def test_root_velocities_are_as_close_as_the_smoothing_allows(case: Case) -> None:
    name, _, state, wanted = case
    linear, angular = _rms(state.root_vel - wanted["root_vel"]), _rms(state.root_ang_vel - wanted["root_ang_vel"])
    measured = {"walk": (0.033, 0.161), "run": (0.087, 0.499), "backflip": (0.590, 0.514), "dance": (0.021, 0.098)}
    assert (linear, angular) == pytest.approx(measured[name], abs=2e-3)


def test_dof_velocities_are_half_of_the_references_on_its_doubled_frames(case: Case) -> None:
    name, _, state, wanted = case
    ours, theirs = state.dof_vel, wanted["dof_vel"]
    projection = float((ours * theirs).sum() / theirs.pow(2).sum())
    correlation = float(torch.corrcoef(torch.stack((ours.flatten(), theirs.flatten())))[0, 1])
    if name == "backflip":
        # 29 frames that differ: a difference to the next frame against a central one, 1/32 s apart.
        assert correlation > 0.89 and _rms(ours - theirs) < 0.46 * _rms(theirs)
    else:
        assert projection == pytest.approx(0.5, abs=1e-3) and correlation > 0.7
        assert _rms(ours - theirs) == pytest.approx(_rms(ours), rel=1e-3)
