"""The PPO model of rl_games whose training pass also evaluates the AMP discriminator."""

from typing import Any, Dict

import torch
from rl_games.algos_torch.models import ModelA2CContinuousLogStd
from torch import Tensor


class ModelAMPContinuous(ModelA2CContinuousLogStd):
    """Gaussian policy, value and AMP discriminator; registered with rl_games as `continuous_amp`.

    `build(config)` takes rl_games' own keys plus `amp_input_shape`, the shape of a flat AMP observation.
    """

    class Network(ModelA2CContinuousLogStd.Network):
        """The built model: normalisers and `a2c_network`."""

        def norm_obs(self, observation: Tensor) -> Tensor:
            """Normalise observations, unless they already are (`NormalizedObs`)."""
            return observation.tensor if isinstance(observation, NormalizedObs) else super().norm_obs(observation)

        def forward(self, input_dict: Dict[str, Any]) -> Dict[str, Any]:
            """Return what rl_games' model returns and, in training, the three discriminator logits (B, 1).

            Args:
                input_dict: `obs`, `is_train`, `prev_actions` as in rl_games; in training also `amp_obs`,
                    `amp_obs_replay`, `amp_obs_demo` (B, amp_obs_dim), already normalised.
            """
            result = super().forward(input_dict)
            if input_dict.get("is_train", True):
                result.update(self.disc_logits(input_dict))
            return result

        def disc_logits(self, input_dict: Dict[str, Any]) -> Dict[str, Tensor]:
            """Evaluate the discriminator on the three streams.

            Agent and replay share one pass. The demonstrations have their own: the gradient penalty differentiates
            through it twice, and would drag the other streams' rows along if they were part of it.
            """
            agent, replay = input_dict["amp_obs"], input_dict["amp_obs_replay"]
            fake_logit = self.a2c_network.eval_disc(torch.cat((agent, replay)))
            agent_logit, replay_logit = fake_logit.split((len(agent), len(replay)))
            return {
                "disc_agent_logit": agent_logit,
                "disc_agent_replay_logit": replay_logit,
                "disc_demo_logit": self.a2c_network.eval_disc(input_dict["amp_obs_demo"]),
            }

        def eval_critic(self, obs: Tensor) -> Tensor:
            """Return the value (B, value_size), in reward units, of raw observations (B, obs_dim)."""
            return self.denorm_value(self.a2c_network.eval_critic(self.norm_obs(obs)))


class NormalizedObs:
    """Mark observations (B, obs_dim) as normalised: the update does that once a rollout, not once a minibatch."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
