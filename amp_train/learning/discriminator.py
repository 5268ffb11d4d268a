"""The discriminator: one object with everything that scoring the policy's motion needs.

It has its training data (the agent's motion, replay, demonstrations), the statistics that normalise all three, loss,
style reward, the names of what it logs, and what of it is saved where. The agent has one, chosen by `discriminator` in
the training's YAML; `@register_discriminator("name")` on a subclass registers it.

AMP: Adversarial Motion Priors, Peng et al. 2021. Weights and semantics are those of IsaacGymEnvs.
"""

import logging
import math
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Type, TypeVar, Union

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from amp_train.checkpoint.load import load_model_state
from amp_train.distributed.ranks import ALONE, Ranks
from amp_train.errors import unknown_choice
from amp_train.learning.buffers import ReplayBuffer
from amp_train.learning.normalizers import AmpObsNormalizer
from amp_train.learning.settings import AmpSettings, read_settings

logger = logging.getLogger(__name__)

DEFAULT_DISCRIMINATOR = "amp"
DEMO_FETCH_ROWS = 16384  # bounds the memory of filling the demonstration buffer
MIN_NOT_DEMO_PROBABILITY = 1e-4

DiscriminatorClass = TypeVar("DiscriminatorClass", bound="Type[Discriminator]")
_DISCRIMINATORS: Dict[str, "Type[Discriminator]"] = {}


def register_discriminator(name: str) -> Callable[[DiscriminatorClass], DiscriminatorClass]:
    """Register a class under the name that `train.params.config.discriminator` gives."""

    def register(kind: DiscriminatorClass) -> DiscriminatorClass:
        _DISCRIMINATORS[name] = kind
        return kind

    return register


def discriminator_class(name: str) -> "Type[Discriminator]":
    """Look up a registered class.

    Raises:
        ConfigError: if there is none of that name.
    """
    if name not in _DISCRIMINATORS:
        raise unknown_choice("discriminator", name, _DISCRIMINATORS)
    return _DISCRIMINATORS[name]


class DiscBatch(NamedTuple):
    """Normalised rows (B, obs_size) of each stream; of AMP's, `demo` requires a gradient, for the penalty."""

    agent: Tensor
    replay: Tensor
    demo: Tensor


@register_discriminator(DEFAULT_DISCRIMINATOR)
class Discriminator:
    """AMP's discriminator, and the base class of others.

    A subclass overrides what differs: `observe` (what of a step is scored), `start_training` and `begin_update` (its
    streams), `normalize`, `batch`, `loss`, `reward_of`, and lists what it needs, logs and saves in the attributes.

    Attributes:
        infos_needed: what it reads of a step's infos.
        vec_env_methods: what it asks the vec env for.
        tensorboard_tags: of each scalar that `loss` returns, its key in `epoch_stats` -> its tag.
        normalizer_entry: the policy file's entry for the statistics.
        settings_class: a dataclass of its own keys, read from `discriminator_settings`; None: it has none.
    """

    infos_needed: Tuple[str, ...] = ("amp_obs",)
    vec_env_methods: Tuple[str, ...] = ("fetch_amp_obs_demo",)
    tensorboard_tags: Mapping[str, str] = {
        "disc_loss": "losses/disc_loss",
        "disc_agent_acc": "info/disc_agent_acc",
        "disc_demo_acc": "info/disc_demo_acc",
        "disc_agent_logit": "info/disc_agent_logit",
        "disc_demo_logit": "info/disc_demo_logit",
        "disc_grad_penalty": "info/disc_grad_penalty",
        "disc_logit_loss": "info/disc_logit_loss",
    }
    normalizer_entry: str = "amp_input_mean_std"  # as IsaacGymEnvs
    settings_class: Optional[type] = None

    def __init__(
        self,
        settings: AmpSettings,
        network: Any,
        amp_obs_size: int,
        vec_env: Any,
        device: Union[str, torch.device],
        ranks: Ranks = ALONE,
    ) -> None:
        """Build what scoring needs; `start_training` builds what learning needs.

        Args:
            settings: the AMP part of `params.config`.
            network: an `AMPBuilder.Network`, which has the discriminator's layers.
            amp_obs_size: of the environment's AMP observations.
            vec_env: where demonstrations come from, by `vec_env_methods`.
            ranks: each has its own streams; the statistics cover the rows of all ranks.
        """
        self.settings, self.own_settings = settings, self.check(settings)
        self.network, self.vec_env, self.device, self.ranks = network, vec_env, device, ranks
        (self.obs_size,) = self.input_shape((amp_obs_size,))
        self.normalizer = AmpObsNormalizer(self.obs_size).to(device)
        self.buffers: Dict[str, ReplayBuffer] = {}

    @classmethod
    def check(cls, settings: AmpSettings) -> Any:
        """Check the keys that only this discriminator reads, before anything is created; return its own settings.

        Raises:
            ConfigError: in one line, what to change.
        """
        disc_objective(settings.disc_loss)
        return read_settings(cls.settings_class, settings.discriminator_settings, "discriminator_settings")

    @classmethod
    def input_shape(cls, amp_obs_shape: Sequence[int]) -> Tuple[int, ...]:
        """Return the shape of one row that `observe` returns, given that of an AMP observation."""
        return tuple(amp_obs_shape)

    # Scoring.

    def observe(self, infos: Mapping[str, Any]) -> Tensor:
        """Return the scored part of a step (N, obs_size), from the infos of all environments, before any reset."""
        return torch.as_tensor(infos["amp_obs"], device=self.device)

    def logit(self, disc_obs: Tensor) -> Tensor:
        """Return the logit (..., 1) of observations (..., obs_size); positive means "from the clip"."""
        with torch.no_grad():
            logit: Tensor = self.network.eval_disc(self.normalize(disc_obs))
            return logit

    def reward_of(self, logit: Tensor) -> Tensor:
        """Return the style reward of a logit, same shape."""
        return disc_objective(self.settings.disc_loss).reward(logit, self.settings.disc_reward_scale)

    def style_reward(self, disc_obs: Tensor) -> Tensor:
        """Return the style reward (..., 1) of observations (..., obs_size)."""
        return self.reward_of(self.logit(disc_obs))

    def demo_logit(self, n: int) -> Tensor:
        """Return the logits (n, 1) of n fresh demonstrations."""
        return self.logit(self.fetch_demos(n))

    # Training data.

    def start_training(self) -> None:
        """Allocate replay and demonstrations, and fill the latter."""
        self.allocate("demo", self.settings.amp_obs_demo_buffer_size)
        self.allocate("replay", self.settings.amp_replay_buffer_size)
        demo = self.buffers["demo"]
        while not demo.is_full:
            self.add_demos(min(DEMO_FETCH_ROWS, demo.capacity - len(demo)))

    def allocate(self, name: str, rows: int) -> None:
        """Make a buffer of so many rows, which is part of the training state."""
        self.buffers[name] = ReplayBuffer(rows, (self.obs_size,), self.device)

    def fetch_demos(self, n: int) -> Tensor:
        """Return n fresh demonstrations (n, obs_size)."""
        return torch.as_tensor(self.vec_env.fetch_amp_obs_demo(n), device=self.device)

    def add_demos(self, n: int) -> None:
        """Replace the oldest demonstrations by n fresh ones."""
        self.buffers["demo"].store(self.fetch_demos(n))

    def sample_demos(self, n: int) -> Tensor:
        """Draw n demonstrations (n, obs_size)."""
        return self.buffers["demo"].sample(n)

    def sample_replay(self, agent: Tensor) -> Tensor:
        """Draw as many past rows as there are of the agent; in the first epoch, draw those of the agent."""
        replay = self.buffers["replay"]
        return replay.sample(len(agent)) if len(replay) else agent

    def remember(self, disc_obs: Tensor) -> None:
        """Store a rollout (B, obs_size) for replay; once the buffer is full, each row with amp_replay_keep_prob."""
        replay = self.buffers["replay"]
        if replay.is_full:
            keep = torch.rand(len(disc_obs), device=disc_obs.device) < self.settings.amp_replay_keep_prob
            disc_obs = disc_obs[keep]
        replay.store(disc_obs)

    # Learning.

    def begin_update(self, disc_obs: Tensor, rows: int) -> None:
        """Fetch fresh demonstrations and update the statistics, once an epoch and nowhere else.

        Args:
            disc_obs: the rollout's (B, obs_size).
            rows: how many of each stream go into the statistics.
        """
        self.add_demos(self.settings.amp_batch_size)
        chosen = torch.randperm(len(disc_obs), device=disc_obs.device)[:rows]
        self.update_normalizer(disc_obs.index_select(0, chosen))

    def update_normalizer(self, agent: Tensor) -> None:
        """Take agent rows (n, obs_size) and as many of each other stream into the statistics."""
        if self.settings.normalize_amp_input:
            for stream in (agent, self.sample_replay(agent), self.sample_demos(len(agent))):
                self.normalizer.update(stream, self.ranks)

    def normalize(self, disc_obs: Tensor) -> Tensor:
        """Return rows (..., obs_size) normalised, by statistics that only `begin_update` moves."""
        return self.normalizer(disc_obs) if self.settings.normalize_amp_input else disc_obs

    def batch(self, disc_obs: Tensor) -> DiscBatch:
        """Join agent rows of a minibatch (B, obs_size) with as many replayed and demonstrated ones."""
        replay = self.sample_replay(disc_obs)
        demo = self.normalize(self.sample_demos(len(disc_obs)))
        return DiscBatch(self.normalize(disc_obs), self.normalize(replay), demo.requires_grad_(True))

    def loss(self, batch: DiscBatch) -> Tuple[Tensor, Dict[str, Tensor]]:
        """Return the whole loss of one minibatch, and scalars to log: of each tag in `tensorboard_tags` one.

        Agent and replay share one pass. The demonstrations have their own: the gradient penalty differentiates it
        twice, which would cost as much for the other streams' rows if they were part of it.
        """
        settings = self.settings
        agent_logit = self.network.eval_disc(torch.cat((batch.agent, batch.replay)))
        demo_logit = self.network.eval_disc(batch.demo)
        penalty = gradient_penalty(demo_logit, batch.demo)
        logit_loss = sum_of_squares([self.network.disc_logit_weights()])
        loss = (
            disc_objective(settings.disc_loss).prediction_loss(agent_logit, demo_logit)
            + settings.disc_grad_penalty * penalty
            + settings.disc_logit_reg * logit_loss
            + settings.disc_weight_decay * sum_of_squares(self.network.disc_weights())
        )
        with torch.no_grad():
            agent_acc, demo_acc = disc_accuracies(agent_logit, demo_logit)
        return loss, {
            "disc_loss": loss,
            "disc_grad_penalty": penalty,
            "disc_logit_loss": logit_loss,
            "disc_agent_acc": agent_acc,
            "disc_demo_acc": demo_acc,
            "disc_agent_logit": agent_logit.mean(),
            "disc_demo_logit": demo_logit.mean(),
        }

    def parameters(self) -> List[nn.Parameter]:
        """Return the parameters of its layers, which the policy's optimizer has too."""
        parameters: List[nn.Parameter] = self.network.disc_parameters()
        return parameters

    # Saved state.

    def policy_file_entries(self) -> Dict[str, Dict[str, Tensor]]:
        """Return what scoring needs in addition to the network, by the policy file's entries."""
        return {self.normalizer_entry: self.normalizer.state_dict()} if self.settings.normalize_amp_input else {}

    def load_policy_file_entries(self, policy_file: Mapping[str, Any]) -> None:
        """Load what `policy_file_entries` returned from a whole policy file.

        Raises:
            CheckpointError: an entry does not fit.
        """
        if not self.settings.normalize_amp_input:
            return
        if self.normalizer_entry in policy_file:
            load_model_state(self.normalizer, policy_file[self.normalizer_entry], self.normalizer_entry)
        else:
            logger.warning(
                "The checkpoint has no %s: the discriminator's statistics start from scratch.", self.normalizer_entry
            )

    def statistics(self) -> Dict[str, Tensor]:
        """Return the tensors of `policy_file_entries`, live, by dotted names; all ranks must have the same."""
        entries = self.policy_file_entries()
        return {f"{entry}.{name}": tensor for entry in entries for name, tensor in entries[entry].items()}

    def state_dict(self) -> Dict[str, Any]:
        """Return its part of the training state; the statistics are in the policy file."""
        return {name: buffer.state_dict() for name, buffer in self.buffers.items()}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        for name, buffer in self.buffers.items():
            buffer.load_state_dict(state[name])


def style_reward(disc_logit: Tensor, scale: float) -> Tensor:
    """Return scale * -log(max(1 - sigmoid(logit), 1e-4)), the reward of IsaacGymEnvs, same shape as the logit.

    From Eq. 5 of GAIL as used in AMP (Peng et al. 2021, Sec. 4.1); written as min(softplus(logit), -log 1e-4), which is
    equal and keeps its precision where the sigmoid saturates.
    """
    return scale * softplus(disc_logit).clamp(max=-math.log(MIN_NOT_DEMO_PROBABILITY))


def lsgan_style_reward(disc_logit: Tensor, scale: float) -> Tensor:
    """Return scale * max(0, 1 - 0.25 (d - 1)^2), AMP's least-squares reward (Peng et al. 2021, Eq. 7)."""
    return scale * (1.0 - 0.25 * (disc_logit - 1.0).square()).clamp(min=0.0)


def combine_rewards(task_reward: Tensor, style: Tensor, task_reward_w: float, disc_reward_w: float) -> Tensor:
    """Return the reward PPO maximises, the weighted sum of task and style (Peng et al. 2021, Eq. 4)."""
    return task_reward_w * task_reward + disc_reward_w * style


def bce_prediction_loss(agent_logit: Tensor, demo_logit: Tensor) -> Tensor:
    """Return the mean of the binary cross-entropies of agent (label 0) and demonstration (label 1) rows.

    -log(1 - sigmoid(x)) = softplus(x) and -log(sigmoid(x)) = softplus(-x).
    """
    return 0.5 * (softplus(agent_logit).mean() + softplus(-demo_logit).mean())


def lsgan_prediction_loss(agent_logit: Tensor, demo_logit: Tensor) -> Tensor:
    """Return the least-squares loss with targets -1 (agent) and +1 (demonstration) (Peng et al. 2021, Eq. 6)."""
    return 0.5 * ((agent_logit + 1.0).square().mean() + (demo_logit - 1.0).square().mean())


class DiscObjective(NamedTuple):
    """A discriminator loss and its style reward."""

    prediction_loss: Callable[[Tensor, Tensor], Tensor]
    reward: Callable[[Tensor, float], Tensor]


DISC_OBJECTIVES = {
    "bce": DiscObjective(bce_prediction_loss, style_reward),
    "lsgan": DiscObjective(lsgan_prediction_loss, lsgan_style_reward),
}


def disc_objective(name: str) -> DiscObjective:
    """Look up the objective that `disc_loss` names.

    Raises:
        ConfigError: if there is none of that name.
    """
    if name not in DISC_OBJECTIVES:
        raise unknown_choice("disc_loss", name, DISC_OBJECTIVES)
    return DISC_OBJECTIVES[name]


def gradient_penalty(demo_logit: Tensor, amp_obs_demo: Tensor) -> Tensor:
    """Return the mean over rows of ||d logit / d amp_obs||^2 on demonstrations (Peng et al. 2021, Eq. 8).

    Args:
        demo_logit: (B, 1), computed from `amp_obs_demo`.
        amp_obs_demo: (B, amp_obs_dim), normalised, with requires_grad.
    """
    (grad,) = torch.autograd.grad(demo_logit.sum(), amp_obs_demo, create_graph=True)
    return grad.square().sum(dim=-1).mean()


def sum_of_squares(weights: Sequence[Tensor]) -> Tensor:
    """Return the squared L2 norm of all given weights: logit regularisation or weight decay, without coefficient."""
    return torch.stack([weight.square().sum() for weight in weights]).sum()


def disc_accuracies(agent_logit: Tensor, demo_logit: Tensor) -> Tuple[Tensor, Tensor]:
    """Return the fractions of agent rows judged "agent" and of demonstration rows judged "demonstration"."""
    return (agent_logit < 0).float().mean(), (demo_logit > 0).float().mean()
