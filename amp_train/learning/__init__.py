"""AMP on rl_games: networks, discriminator, agent and player. Knows the environment only through rl_games' vec env."""

from amp_train.learning.agent import AMPAgent
from amp_train.learning.model import ModelAMPContinuous
from amp_train.learning.network import AMPBuilder
from amp_train.learning.player import AMPPlayer
from amp_train.learning.settings import check_batch_sizes
from amp_train.learning.style_reward import style_reward

__all__ = ["AMPAgent", "AMPBuilder", "AMPPlayer", "ModelAMPContinuous", "check_batch_sizes", "style_reward"]
