"""Tell the model builder what rl_games does not pass on: the shape of AMP observations and the precision."""

from typing import Any, Dict

from rl_games.algos_torch.models import BaseModel
from torch import nn


class NetworkWithAmpObs:
    """Wrap rl_games' model builder; `owner` (an agent or player) knows its environment only once `build` is called."""

    def __init__(self, builder: BaseModel, owner: Any, mixed_precision: bool = False) -> None:
        self._builder = builder
        self._owner = owner
        self._mixed_precision = mixed_precision

    def build(self, config: Dict[str, Any]) -> nn.Module:
        """Build the model, with the shape of AMP observations from the owner's environment."""
        amp_input_shape = self._owner.env_info["amp_observation_space"].shape
        return self._builder.build(dict(config, amp_input_shape=amp_input_shape, mixed_precision=self._mixed_precision))
