"""Mocap clips: loading them safely (`load_clip`) and looking them up in batches (`MotionLibrary`)."""

from amp_train.motion.clip import MotionClip
from amp_train.motion.library import MotionLibrary
from amp_train.motion.npz import save_clip
from amp_train.motion.storage import bundled_motions, find_motion, load_clip

__all__ = ["MotionClip", "MotionLibrary", "bundled_motions", "find_motion", "load_clip", "save_clip"]
