"""Variants of clips: the same steps along an arc, the other way round, faster."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from make_clip import standing_clip

from amp_train import rotations
from amp_train.character import CharacterSpec
from amp_train.errors import MotionError
from amp_train.motion import MotionLibrary, find_motion, load_clip
from amp_train.motion.augment import augmented, bent, played
from amp_train.motion.clip import MAX_NUMBERS_IN_ALL
from amp_train.motion.velocities import cycle_of


def _augment(mirror: bool = False, arcs: "tuple[float, ...]" = (), tempo: "tuple[float, ...]" = ()) -> SimpleNamespace:
    return SimpleNamespace(mirror=mirror, arcs_deg_s=list(arcs), tempo=list(tempo))


def test_nothing_is_added_by_default(humanoid: CharacterSpec) -> None:
    clip = load_clip(find_motion("walk"))
    clips, weights = augmented([clip], [2.0], _augment(), humanoid)
    assert clips == (clip,) and weights == (2.0,)


def test_variants_share_the_weight(humanoid: CharacterSpec) -> None:
    clip = load_clip(find_motion("walk"))
    clips, weights = augmented([clip], [2.0], _augment(True, (30.0, -30.0), (0.8, 1.2)), humanoid)
    assert len(clips) == 10 and sum(weights) == pytest.approx(2.0)
    assert len({c.name for c in clips}) == 10
    MotionLibrary(clips, weights, spec=humanoid)


@pytest.mark.parametrize("rate", [45.0, -45.0])
def test_a_bent_walk_goes_round_in_a_circle(humanoid: CharacterSpec, rate: float) -> None:
    walk = load_clip(find_motion("walk"))
    clip = bent(walk, rate)
    assert float(cycle_of(clip).turn) == pytest.approx(math.radians(rate) * walk.duration_s, abs=1e-3)
    before, after = (c.root_pos[1:] - c.root_pos[:-1] for c in (walk, clip))
    assert torch.allclose(before.norm(dim=-1), after.norm(dim=-1), atol=1e-5)  # the steps are as long
    library = MotionLibrary([clip], spec=humanoid)
    full_s = 360.0 / abs(rate)
    state = library.state_at(torch.zeros(2, dtype=torch.long), torch.tensor([0.0, full_s]))
    # After a full turn it is back, up to the unevenness of one cycle: a straight walk would be 8 m away.
    assert float((state.root_pos[1] - state.root_pos[0]).norm()) < 0.3
    turned = rotations.heading(clip.root_rot[-1]) - rotations.heading(walk.root_rot[-1])
    assert math.copysign(1.0, float(turned)) == math.copysign(1.0, rate)


def test_a_clip_that_stays_in_place_is_not_bent(humanoid: CharacterSpec) -> None:
    standing = replace(standing_clip(humanoid, 30), loop="wrap")
    clips, _ = augmented([standing], [1.0], _augment(arcs=(30.0,)), humanoid)
    assert len(clips) == 1


def test_only_a_clip_that_repeats_is_bent(humanoid: CharacterSpec) -> None:
    walk, punch = load_clip(find_motion("walk")), load_clip(find_motion("punch"))
    clips, weights = augmented([walk, punch], [1.0, 2.0], _augment(arcs=(30.0, -30.0)), humanoid)
    assert [clip.name for clip in clips] == ["walk", "walk +30 deg/s", "walk -30 deg/s", "punch"]
    assert weights[-1] == 2.0


def test_a_faster_clip_is_shorter(humanoid: CharacterSpec) -> None:
    walk = load_clip(find_motion("walk"))
    assert played(walk, 1.25).duration_s == pytest.approx(walk.duration_s / 1.25)


@pytest.mark.parametrize("augment", [_augment(arcs=(0.0,)), _augment(arcs=(500.0,)), _augment(tempo=(3.0,))])
def test_values_out_of_range_are_told(humanoid: CharacterSpec, augment: SimpleNamespace) -> None:
    with pytest.raises(MotionError, match="motion.augment"):
        augmented([load_clip(find_motion("walk"))], [1.0], augment, humanoid)


def test_more_variants_than_memory_holds_are_refused_before_they_are_made(humanoid: CharacterSpec) -> None:
    walk = load_clip(find_motion("walk"))
    rates = (1.0,) * (MAX_NUMBERS_IN_ALL // walk.joint_rot.numel())
    with pytest.raises(MotionError, match="motion.augment makes up to .* more than the 268 million"):
        augmented([walk], [1.0], _augment(arcs=rates), humanoid)
