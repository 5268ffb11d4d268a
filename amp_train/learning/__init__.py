"""AMP on rl_games: networks, discriminator, agent and player. Knows the environment only through rl_games' vec env."""

from amp_train.learning.agent import AMPAgent, check_params
from amp_train.learning.discriminator import Discriminator, register_discriminator, style_reward
from amp_train.learning.models import AMPBuilder, AMPPlayer, ModelAMPContinuous
from amp_train.learning.settings import AmpSettings, check_batch_sizes

__all__ = [
    "AMPAgent",
    "AMPBuilder",
    "AMPPlayer",
    "AmpSettings",
    "Discriminator",
    "ModelAMPContinuous",
    "check_batch_sizes",
    "check_params",
    "register_discriminator",
    "style_reward",
]
