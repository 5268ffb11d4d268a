"""Mocap clips: loading them safely (`load_clip`) and looking them up in batches (`MotionLibrary`)."""

from amp_train.motion.augment import augmented
from amp_train.motion.clip import MotionClip
from amp_train.motion.dataset import MotionDataset, load_dataset, load_motion
from amp_train.motion.exporters import export_clip
from amp_train.motion.facts import ClipFacts, clip_facts, fill_in
from amp_train.motion.fit import bundled_humanoid, close_loop, match_joints
from amp_train.motion.ground import place_on_ground
from amp_train.motion.library import MotionLibrary
from amp_train.motion.npz import save_clip
from amp_train.motion.retarget import RetargetOptions
from amp_train.motion.retime import retime_flights
from amp_train.motion.storage import bundled_motions, find_motion, import_clip, load_clip

__all__ = [
    "ClipFacts",
    "RetargetOptions",
    "augmented",
    "clip_facts",
    "export_clip",
    "fill_in",
    "import_clip",
    "MotionClip",
    "MotionDataset",
    "MotionLibrary",
    "bundled_humanoid",
    "bundled_motions",
    "close_loop",
    "find_motion",
    "load_clip",
    "load_dataset",
    "load_motion",
    "match_joints",
    "place_on_ground",
    "retime_flights",
    "save_clip",
]
