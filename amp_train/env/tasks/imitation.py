"""`HumanoidAMP`: only move like the clips. No goal; the reward is 1 a step, as in IsaacGymEnvs."""

from amp_train.env.tasks.base import Task
from amp_train.env.tasks.registry import register_task


@register_task("HumanoidAMP")
class Imitation(Task):
    """The style reward alone counts."""
