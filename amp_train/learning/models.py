"""The trained networks: actor, critic and discriminator in one, rl_games' model around it, and its player.

Parameter names and their order are those of IsaacGymEnvs, so that its model and optimizer states load: keep the
discriminator registered last, as `_disc_mlp` and `_disc_logits`.
"""

import contextlib
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple, Union

import torch
from rl_games.algos_torch.models import BaseModel, ModelA2CContinuousLogStd
from rl_games.algos_torch.network_builder import A2CBuilder
from rl_games.algos_torch.players import PpoPlayerContinuous
from torch import Tensor, nn

from amp_train.checkpoint.load import load_model_state, safe_load
from amp_train.errors import ConfigError, unknown_choice
from amp_train.learning.discriminator import DEFAULT_DISCRIMINATOR, discriminator_class

DISC_LOGIT_INIT_SCALE = 1.0
ACTIVATIONS = ("relu", "tanh", "sigmoid", "elu", "selu", "swish", "gelu", "softplus", "None")
INITIALIZERS = (
    "default", "const_initializer", "orthogonal_initializer", "orthogonal", "glorot_normal_initializer",
    "glorot_uniform_initializer", "variance_scaling_initializer", "random_uniform_initializer", "kaiming_normal",
)  # fmt: skip


def multiplies_bf16(device: Union[str, torch.device]) -> bool:
    """Return whether the device multiplies bf16 in hardware; emulated it is slower than fp32. When in doubt, no."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8  # Ampere and later
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # not in every torch
    return device.type == "cpu" and any(getattr(torch.cpu, probe, bool)() for probe in probes)


@contextlib.contextmanager
def without_tf32() -> Iterator[None]:
    """Multiply fp32 matrices in full precision; rl_games' Runner turns TF32 (10 bits of mantissa) on for everything."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


class AMPBuilder(A2CBuilder):
    """Build the networks that `params.network` (name: amp) describes."""

    class Network(A2CBuilder.Network):
        """Actor, critic and discriminator; `eval_disc` is the only way into the discriminator."""

        def __init__(self, params: Dict[str, Any], **kwargs: Any) -> None:
            amp_input_shape = kwargs.pop("amp_input_shape", None)
            _check_amp_input_shape(amp_input_shape)
            super().__init__(params, **kwargs)
            self.mixed_precision = bool(kwargs.get("mixed_precision", False))
            if self.fixed_sigma and not self.space_config.get("learn_sigma", True):
                self.sigma.requires_grad_(False)
            self._build_disc(amp_input_shape[0], params["disc"])

        def _build_disc(self, amp_obs_dim: int, disc: Dict[str, Any]) -> None:
            layers: List[nn.Module] = []
            in_size = amp_obs_dim
            for units in disc["units"]:
                layers += [nn.Linear(in_size, units), self.activations_factory.create(disc["activation"])]
                in_size = units
            self._disc_mlp = nn.Sequential(*layers)
            self._disc_logits = nn.Linear(in_size, 1)

            init_weight = self.init_factory.create(**disc["initializer"])
            for layer in self._disc_linear_layers():
                init_weight(layer.weight)
                nn.init.zeros_(layer.bias)
            nn.init.uniform_(self._disc_logits.weight, -DISC_LOGIT_INIT_SCALE, DISC_LOGIT_INIT_SCALE)
            nn.init.zeros_(self._disc_logits.bias)

        def _disc_linear_layers(self) -> List[nn.Linear]:
            return [layer for layer in self._disc_mlp if isinstance(layer, nn.Linear)]

        def forward(self, obs_dict: Dict[str, Any]) -> Tuple[Tensor, Tensor, Tensor, None]:
            """Return the policy's mean and log standard deviation (B, num_actions), the value and no recurrent state.

            The policy is never evaluated in bf16 or TF32: bf16's rounding error is as large as the action noise, and
            PPO's probability ratios would be noise too.
            """
            obs = obs_dict["obs"]
            with without_tf32():
                features = self.actor_mlp(obs)
                mu = self.mu_act(self.mu(features))
            log_std = self.sigma_act(self.sigma if self.fixed_sigma else self.sigma(features)).expand_as(mu)
            value = self.eval_critic(obs) if self.separate else self.value_act(self.value(features))
            return mu, log_std, value, None

        def eval_critic(self, obs: Tensor) -> Tensor:
            """Return the normalised value (B, value_size) of normalised observations (B, obs_dim)."""
            if not self.separate:
                return self.value_act(self.value(self.actor_mlp(obs)))
            with self._bf16_if_asked(obs):
                return self.value_act(self.value(self.critic_mlp(obs))).to(obs.dtype)

        def _bf16_if_asked(self, tensor: Tensor) -> torch.autocast:
            return torch.autocast(tensor.device.type, dtype=torch.bfloat16, enabled=self.mixed_precision)

        @torch.compiler.disable
        def eval_disc(self, amp_obs: Tensor) -> Tensor:
            """Return the logit (B, 1) of normalised AMP observations (B, amp_obs_dim); positive means "from the clip".

            Never compiled: the gradient penalty differentiates it twice, which torch.compile cannot.
            """
            with self._bf16_if_asked(amp_obs):
                return self._disc_logits(self._disc_mlp(amp_obs)).to(amp_obs.dtype)

        def disc_logit_weights(self) -> Tensor:
            """Return the weights of the discriminator's last layer, flat."""
            return self._disc_logits.weight.flatten()

        def disc_weights(self) -> List[Tensor]:
            """Return every weight matrix (no bias) of the discriminator, flat, first layer first."""
            return [layer.weight.flatten() for layer in self._disc_linear_layers()] + [self.disc_logit_weights()]

        def disc_parameters(self) -> List[nn.Parameter]:
            """Return the discriminator's parameters, the last ones of the whole network."""
            return list(self._disc_mlp.parameters()) + list(self._disc_logits.parameters())

    def build(self, name: str, **kwargs: Any) -> nn.Module:
        """Build the network; rl_games passes the model's name, which is not used."""
        return AMPBuilder.Network(self.params, **kwargs)


def check_network_params(params: Dict[str, Any]) -> None:
    """Refuse a `params.network` that AMP cannot train.

    Raises:
        ConfigError: in one line, what to change.
    """
    for kind in ("rnn", "cnn"):
        if kind in params:
            raise ConfigError(f"network.{kind} is not supported by AMP: actor and critic are plain MLPs. Remove it.")
    continuous = (params.get("space") or {}).get("continuous")
    if continuous is None:
        raise ConfigError("AMP needs continuous actions, not discrete ones: set network.space.continuous.")
    if not continuous.get("fixed_sigma", True) and not continuous.get("learn_sigma", True):
        raise ConfigError("learn_sigma: False needs fixed_sigma: True in network.space.continuous.")
    _check_disc_params(params.get("disc"))
    _check_names(params, continuous)


def _check_names(params: Dict[str, Any], continuous: Dict[str, Any]) -> None:
    """Check the names that rl_games looks up; it would raise a bare KeyError."""
    mlp = params.get("mlp") or {}
    activations = [mlp.get("activation"), continuous.get("mu_activation"), continuous.get("sigma_activation")]
    places = (mlp, params["disc"])
    initializers = [continuous.get("mu_init"), continuous.get("sigma_init"), *(p.get("initializer") for p in places)]
    for name in activations:
        if name is not None and str(name) not in ACTIVATIONS:
            raise unknown_choice("activation", str(name), ACTIVATIONS)
    for initializer in initializers:
        name = (initializer or {}).get("name", "default")
        if name not in INITIALIZERS:
            raise unknown_choice("initializer", str(name), INITIALIZERS)


def _check_disc_params(disc: Optional[Dict[str, Any]]) -> None:
    missing = {"units", "activation", "initializer"} - set(disc or {})
    if disc is None or missing:
        raise ConfigError(f"network.disc lacks {', '.join(sorted(missing))}. AMP needs units, activation, initializer.")
    if not disc["units"] or any(int(units) <= 0 for units in disc["units"]):
        raise ConfigError(f"network.disc.units must be a list of positive layer widths, not {disc['units']}.")
    if str(disc["activation"]) not in ACTIVATIONS:
        raise unknown_choice("discriminator activation", str(disc["activation"]), ACTIVATIONS)


def _check_amp_input_shape(amp_input_shape: Optional[Sequence[int]]) -> None:
    if amp_input_shape is None or len(amp_input_shape) != 1:
        raise ConfigError(
            f"amp_input_shape must be the shape of a flat AMP observation, e.g. (210,), not {amp_input_shape}."
            " The environment gives it as env_info['amp_observation_space']."
        )


class ModelAMPContinuous(ModelA2CContinuousLogStd):
    """Gaussian policy and value, with the discriminator's network; rl_games knows it as `continuous_amp`.

    `build(config)` takes rl_games' own keys plus `amp_input_shape`, the shape of what the discriminator judges.
    """

    class Network(ModelA2CContinuousLogStd.Network):
        """The built model: normalisers and `a2c_network`."""

        def norm_obs(self, observation: Tensor) -> Tensor:
            """Normalise observations, unless they already are (`NormalizedObs`)."""
            return observation.tensor if isinstance(observation, NormalizedObs) else super().norm_obs(observation)

        def eval_critic(self, obs: Tensor) -> Tensor:
            """Return the value (B, value_size), in reward units, of raw observations (B, obs_dim)."""
            return self.denorm_value(self.a2c_network.eval_critic(self.norm_obs(obs)))


class NormalizedObs:
    """Mark observations (B, obs_dim) as normalised: the update does that once a rollout, not once a minibatch."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


class DiscriminatorAwareBuilder:
    """Wrap rl_games' model builder, which does not pass on what the discriminator's network needs.

    Args:
        input_shape: gives the shape of what the discriminator judges; asked in `build`, when the environment is known.
    """

    def __init__(
        self, builder: BaseModel, input_shape: Callable[[], Sequence[int]], mixed_precision: bool = False
    ) -> None:
        self._builder, self._input_shape, self._mixed_precision = builder, input_shape, mixed_precision

    def build(self, config: Dict[str, Any]) -> nn.Module:
        """Build the model."""
        more = {"amp_input_shape": self._input_shape(), "mixed_precision": self._mixed_precision}
        return self._builder.build(dict(config, **more))


class AMPPlayer(PpoPlayerContinuous):
    """Act with a trained policy in a vec env with deferred resets; registered with rl_games as `amp_continuous`."""

    def __init__(self, params: Dict[str, Any]) -> None:
        check_network_params(params["network"])
        if (params["config"].get("player") or {}).get("evaluation"):
            raise ConfigError("player.evaluation is not supported: rl_games' file watcher loads checkpoints unsafely.")
        super().__init__(params)

    def load_networks(self, params: Dict[str, Any]) -> None:
        """Let rl_games find the model, and tell it the discriminator's input when it is built."""
        super().load_networks(params)
        kind = discriminator_class(self.config.get("discriminator", DEFAULT_DISCRIMINATOR))
        self.config["network"] = DiscriminatorAwareBuilder(
            self.config["network"], lambda: kind.input_shape(self.env_info["amp_observation_space"].shape)
        )

    def env_step(self, env: Any, actions: Tensor) -> Tuple[Tensor, Tensor, Tensor, Dict[str, Any]]:
        """Step the environments, then reset those done."""
        _, rewards, dones, infos = super().env_step(env, actions)
        return self.obs_to_torch(env.reset_done()), rewards, dones, infos

    def restore(self, fn: str) -> None:
        """Load a checkpoint of ours or of IsaacGymEnvs."""
        checkpoint = safe_load(fn, map_location=self.device)
        load_model_state(self.model, checkpoint["model"], f"Checkpoint {fn}")
