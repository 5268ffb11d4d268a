"""Mocap clips: loading them safely (`load_clip`) and looking them up in batches (`MotionLibrary`)."""

from amp_train.motion.clip import MotionClip
from amp_train.motion.dataset import MotionDataset, load_dataset, load_motion
from amp_train.motion.fit import bundled_humanoid, close_loop, match_joints
from amp_train.motion.ground import place_on_ground
from amp_train.motion.library import MotionLibrary
from amp_train.motion.npz import save_clip
from amp_train.motion.retime import retime_flights
from amp_train.motion.storage import bundled_motions, find_motion, load_clip

__all__ = [
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
