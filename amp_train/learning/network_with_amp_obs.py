"""Tell the model builder the shape of AMP observations, which rl_games does not pass on."""

from typing import Any, Dict

from rl_games.algos_torch.models import BaseModel
from torch import nn


class NetworkWithAmpObs:
    """Wrap rl_games' model builder; `owner` (an agent or player) knows its environment only once `build` is called."""

    def __init__(self, builder: BaseModel, owner: Any) -> None:
        self._builder = builder
        self._owner = owner

    def build(self, config: Dict[str, Any]) -> nn.Module:
        """Build the model with `amp_input_shape` from the owner's environment."""
        return self._builder.build(dict(config, amp_input_shape=self._owner.env_info["amp_observation_space"].shape))
