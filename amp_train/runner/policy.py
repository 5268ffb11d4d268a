"""A trained policy and the discriminator that trained it, as functions of tensors."""

import contextlib
import io
from typing import Any, cast

import torch
from torch import Tensor

from amp_train.checkpoint.load import load_model_state, safe_load
from amp_train.config import Config, rl_games_params
from amp_train.learning.losses import disc_objective
from amp_train.learning.normalizer import AmpObsNormalizer
from amp_train.runner.rl_games import load_runner
from amp_train.runner.vec_env import AMPVecEnv


class Policy:
    """What a checkpoint holds, on the vec env's learner device."""

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
        self._network: Any = self._player.model.a2c_network
        self._scale = params["config"]["disc_reward_scale"]
        self._reward = disc_objective(params["config"]["disc_loss"]).reward
        self._normalizer = AmpObsNormalizer(vec_env.env.amp_obs_size).to(self._player.device)
        statistics = safe_load(checkpoint, map_location=self._player.device).get("amp_input_mean_std")
        self._normalized = statistics is not None and params["config"]["normalize_amp_input"]
        if statistics is not None:
            load_model_state(self._normalizer, statistics, "The checkpoint's amp_input_mean_std")

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

    def disc_logit(self, amp_obs: Tensor) -> Tensor:
        """Return the discriminator's opinion (N,) of AMP observations (N, amp_obs_size)."""
        with torch.no_grad():
            amp_obs = self._normalizer(amp_obs) if self._normalized else amp_obs
            return self._network.eval_disc(amp_obs).squeeze(-1)

    def style_reward(self, disc_logit: Tensor) -> Tensor:
        """Return what a logit is worth as a reward, as in training, same shape."""
        return self._reward(disc_logit, self._scale)
