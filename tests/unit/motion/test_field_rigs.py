"""Skeletons of the field with known answers: the humanoid's own poses come back from each of them."""

from pathlib import Path

import pytest
import torch
from field_rigs import RIGS, rig_bvh
from make_rigs import joint_angles_deg

from amp_train.character import CharacterSpec
from amp_train.motion import RetargetOptions, find_motion, import_clip, load_clip
from amp_train.motion.check import BAD, check_clip, table, verdict

pytest.importorskip("mink")


@pytest.mark.parametrize("name", ["walk", "dance_a", "spinkick"])
@pytest.mark.parametrize("family", sorted(RIGS))
def test_poses_come_back_from_the_skeletons_of_the_field(
    humanoid: CharacterSpec, tmp_path: Path, family: str, name: str
) -> None:
    clip, rig = load_clip(find_motion(name)), RIGS[family]
    (tmp_path / "clip.bvh").write_text(rig_bvh(clip, humanoid, rig))
    imported = import_clip(tmp_path / "clip.bvh", humanoid, options=RetargetOptions(ik=False, max_fps=1000.0))
    assert f"unit {rig.unit}, y up" in imported.notes[1]
    angles = joint_angles_deg(clip, imported.clip).mean(dim=0)
    ankles = [humanoid.joint_names.index(f"{side}_ankle") for side in ("left", "right")]
    others = [j for j in range(humanoid.num_joints) if j not in ankles]
    assert float(angles[others].max()) < 0.5
    # Where no zero pose stands, how an ankle lies is learnt from when the foot stands.
    assert float(angles[ankles].max()) < (7.0 if rig.along_x else 0.5)


@pytest.mark.parametrize("family", sorted(RIGS))
def test_a_walk_of_the_field_is_fit_to_train_on(humanoid: CharacterSpec, tmp_path: Path, family: str) -> None:
    (tmp_path / "clip.bvh").write_text(rig_bvh(load_clip(find_motion("walk")), humanoid, RIGS[family]))
    imported = import_clip(tmp_path / "clip.bvh", humanoid)
    assert imported.clip.loop == "wrap" and imported.retargeted is not None
    findings = check_clip(imported.clip, humanoid, imported.retargeted)
    assert verdict(findings) != BAD, table(findings)
    assert {f.name: f for f in findings}["foot_slide_m_s"].value < 0.25  # type: ignore[operator]
    assert torch.isfinite(imported.clip.joint_rot).all()


def test_sides_that_a_file_exchanges_are_told_and_can_be_mapped(humanoid: CharacterSpec, tmp_path: Path) -> None:
    text = rig_bvh(load_clip(find_motion("walk")), humanoid, RIGS["Mixamo"])
    swapped = text.replace("Left", "?").replace("Right", "Left").replace("?", "Right")
    (tmp_path / "clip.bvh").write_text(swapped)
    imported = import_clip(tmp_path / "clip.bvh", humanoid)
    finding = {f.name: f for f in check_clip(imported.clip, humanoid, imported.retargeted)}["left_right_exchanged"]
    assert finding.verdict == BAD and "map=" in finding.advice
    parts = {"thigh": "UpLeg", "shin": "Leg", "foot": "Foot", "toe": "ToeBase", "upper_arm": "Arm",
             "lower_arm": "ForeArm", "hand": "Hand"}  # fmt: skip
    given = {f"{side}_{part}": f"mixamorig:{other}{name}" for part, name in parts.items()
             for side, other in (("left", "Right"), ("right", "Left"))}  # fmt: skip
    again = import_clip(tmp_path / "clip.bvh", humanoid, options=RetargetOptions(map=given))
    findings = check_clip(again.clip, humanoid, again.retargeted)
    assert {f.name: f.verdict for f in findings}["left_right_exchanged"] == "ok" and verdict(findings) != BAD
