"""One file a foreign clip format; each turns bytes into a `MotionClip` in the project's convention."""

from amp_train.motion.importers.deepmimic import parse_deepmimic

__all__ = ["parse_deepmimic"]
