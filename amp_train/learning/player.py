"""Play a policy that AMPAgent, or IsaacGymEnvs, has trained."""

from typing import Any, Dict, Tuple

from rl_games.algos_torch.players import PpoPlayerContinuous
from torch import Tensor

from amp_train.checkpoint.load import load_model_state, safe_load
from amp_train.errors import ConfigError
from amp_train.learning.network import check_network_params
from amp_train.learning.network_with_amp_obs import NetworkWithAmpObs


class AMPPlayer(PpoPlayerContinuous):
    """Act with a trained policy in a vec env with deferred resets; registered with rl_games as `amp_continuous`."""

    def __init__(self, params: Dict[str, Any]) -> None:
        check_network_params(params["network"])
        if (params["config"].get("player") or {}).get("evaluation"):
            raise ConfigError("player.evaluation is not supported: rl_games' file watcher loads checkpoints unsafely.")
        super().__init__(params)

    def load_networks(self, params: Dict[str, Any]) -> None:
        """Let rl_games find the model, and tell it the AMP observation's shape when it is built."""
        super().load_networks(params)
        self.config["network"] = NetworkWithAmpObs(self.config["network"], self)

    def env_step(self, env: Any, actions: Tensor) -> Tuple[Tensor, Tensor, Tensor, Dict[str, Any]]:
        """Step the environments, then reset those done."""
        _, rewards, dones, infos = super().env_step(env, actions)
        return self.obs_to_torch(env.reset_done()), rewards, dones, infos

    def restore(self, fn: str) -> None:
        """Load a checkpoint of ours or of IsaacGymEnvs."""
        checkpoint = safe_load(fn, map_location=self.device)
        load_model_state(self.model, checkpoint["model"], f"Checkpoint {fn}")
        if self.env is not None and checkpoint.get("env_state") is not None:
            self.env.set_env_state(checkpoint["env_state"])
