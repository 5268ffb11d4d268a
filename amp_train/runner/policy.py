"""A trained policy and the discriminator that trained it, as functions of tensors."""

import contextlib
import io
from typing import Any, Mapping, Tuple, cast

from torch import Tensor

from amp_train.checkpoint.load import safe_load
from amp_train.config import Config, rl_games_params
from amp_train.learning.discriminator import discriminator_class
from amp_train.learning.settings import AmpSettings
from amp_train.runner.rl_games import load_runner
from amp_train.runner.vec_env import AMPVecEnv


class Policy:
    """A checkpoint's networks, on the vec env's learner device."""

    def __init__(self, cfg: Config, vec_env: AMPVecEnv, checkpoint: str) -> None:
        """Load a checkpoint of this project or of IsaacGymEnvs, and seed every generator with the configuration's seed.

        Args:
            cfg: resolved; its `train` part describes the networks.
            vec_env: where the policy will act.
            checkpoint: the file.
        """
        params = rl_games_params(cfg)
        with contextlib.redirect_stdout(io.StringIO()):  # rl_games prints every layer
            self._player = load_runner(params, vec_env).create_player()
            self._player.restore(checkpoint)
        self._player.has_batch_dimension = True
        if cfg.sigma is not None:
            self._player.model.a2c_network.sigma.data.fill_(cfg.sigma)
        settings = AmpSettings.from_config(params["config"])
        self.discriminator = discriminator_class(settings.discriminator)(
            settings, self._player.model.a2c_network, vec_env.env.amp_obs_size, vec_env, self._player.device
        )
        self.discriminator.load_policy_file_entries(safe_load(checkpoint, map_location=self._player.device))

    @property
    def model(self) -> Any:
        """rl_games' model: `running_mean_std` and `a2c_network`."""
        return self._player.model

    @property
    def device(self) -> Any:
        """Where it acts."""
        return self._player.device

    def start(self, vec_env: AMPVecEnv) -> Tensor:
        """Restart every episode; return obs."""
        return cast(Tensor, self._player.env_reset(vec_env))

    def act(self, obs: Tensor, deterministic: bool) -> Tensor:
        """Return actions (N, num_actions) in -1..1."""
        return cast(Tensor, self._player.get_action(obs, deterministic))

    def judge(self, infos: Mapping[str, Any]) -> Tuple[Tensor, Tensor]:
        """Return the discriminator's logit and style reward (N,) of a step, given the infos of all environments."""
        logit = self.disc_logit(self.discriminator.observe(infos))
        return logit, self.style_reward(logit)

    def demo_logit(self, n: int) -> Tensor:
        """Return the discriminator's logits (n,) of n demonstrations."""
        return self.discriminator.demo_logit(n).squeeze(-1)

    def disc_logit(self, disc_obs: Tensor) -> Tensor:
        """Return the discriminator's logits (N,) of its observations (N, .), AMP observations for AMP's."""
        return self.discriminator.logit(disc_obs).squeeze(-1)

    def style_reward(self, disc_logit: Tensor) -> Tensor:
        """Return the style reward of a logit, as in training, same shape."""
        return self.discriminator.reward_of(disc_logit)
