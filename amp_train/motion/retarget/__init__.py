"""Transfer the motion of one skeleton to another: `retarget`."""

from amp_train.motion.retarget.retarget import AS_FOUND, Retargeted, RetargetOptions, retarget
from amp_train.motion.retarget.skeleton import SkeletonMotion

__all__ = ["AS_FOUND", "RetargetOptions", "Retargeted", "SkeletonMotion", "retarget"]
