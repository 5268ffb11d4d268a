"""Fit an imported clip to a character: joints by name, hinges to their twist, the lowest contact to the ground."""

from dataclasses import replace
from functools import lru_cache
from typing import Optional, Sequence

import torch
from torch import Tensor

from amp_train.character import CharacterSpec, Kinematics, load_character
from amp_train.errors import MotionError
from amp_train.motion.clip import MotionClip

KEY_BODIES = ("right_hand", "left_hand", "right_foot", "left_foot")
_FEET = ("right_foot", "left_foot")
_CHUNK = 4096


@lru_cache(maxsize=1)
def bundled_humanoid() -> CharacterSpec:
    """Return the character that clips are meant for where no other is named."""
    return load_character("humanoid.xml", KEY_BODIES, _FEET)


def match_joints(clip: MotionClip, spec: CharacterSpec) -> MotionClip:
    """Reorder the clip's joints to the character's, and keep of a hinge's rotation only the part about its axis.

    Raises:
        MotionError: the clip lacks one of the character's joints, or has one that the character lacks.
    """
    missing = [j for j in spec.joint_names if j not in clip.joint_names]
    unknown = [j for j in clip.joint_names if j not in spec.joint_names]
    if missing or unknown:
        raise MotionError(
            "Motion clip '{}' is for another character than '{}': {}.".format(
                clip.name, spec.name, "; ".join(_listed("it lacks", missing) + _listed("unknown here are", unknown))
            )
        )
    order = [clip.joint_names.index(j) for j in spec.joint_names]
    kinematics = Kinematics(spec)
    joint_rot = clip.joint_rot[:, order].clone()
    hinges, _ = spec.joint_dofs(1)
    joint_rot[:, hinges] = kinematics.joint_rot(kinematics.dof_pos(joint_rot))[:, hinges]
    return replace(clip, joint_names=spec.joint_names, joint_rot=joint_rot)


def place_on_ground(clip: MotionClip, spec: CharacterSpec) -> MotionClip:
    """Raise or lower the whole clip so that the lowest contact geometry of its feet just touches z = 0 over the clip."""
    return replace(clip, root_pos=clip.root_pos - torch.tensor([0.0, 0.0, lowest_height(clip, spec, spec.contact_body_ids)]))


def lowest_height(clip: MotionClip, spec: CharacterSpec, body_ids: Optional[Sequence[int]] = None) -> float:
    """Return the height (m) of the lowest point that the geometry of the bodies named (none named: of all) reaches over the clip."""
    geoms = spec.geoms.of_bodies(body_ids) if body_ids else spec.geoms
    if len(geoms.body_ids) == 0:
        raise MotionError("Character '{}' has no contact geometry to place clip '{}' on the ground with.".format(spec.name, clip.name))
    kinematics = Kinematics(spec)

    def lowest(start: int) -> Tensor:
        part = slice(start, start + _CHUNK)
        return geoms.lowest_height(*kinematics.forward(clip.root_pos[part], clip.root_rot[part], clip.joint_rot[part])).min()

    return float(torch.stack([lowest(start) for start in range(0, clip.num_frames, _CHUNK)]).min())


def _listed(what: str, names: Sequence[str]) -> Sequence[str]:
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return ["{} {}".format(what, shown)] if names else []
