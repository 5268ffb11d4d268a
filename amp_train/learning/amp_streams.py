"""The three streams of AMP observations the discriminator learns from: agent, replay and demonstration."""

from typing import Any, Callable, Dict, NamedTuple, Union

import torch
from torch import Tensor

from amp_train.distributed.ranks import ALONE, Ranks
from amp_train.learning.normalizer import AmpObsNormalizer
from amp_train.learning.replay_buffer import ReplayBuffer
from amp_train.learning.settings import AmpSettings

DEMO_FETCH_ROWS = 16384  # bounds the memory of filling the demonstration buffer


class DiscBatch(NamedTuple):
    """Normalised AMP observations (B, amp_obs_dim) of each stream; `demo` requires a gradient, for the penalty."""

    agent: Tensor
    replay: Tensor
    demo: Tensor


class AmpStreams:
    """Hold demonstrations, past agent observations and the normaliser they share.

    Args:
        fetch_demo: gives n fresh demonstrations (n, amp_obs_dim).
        ranks: each holds rows of its own; the normaliser's statistics are of all ranks' rows.
    """

    def __init__(
        self,
        settings: AmpSettings,
        amp_obs_dim: int,
        device: Union[str, torch.device],
        fetch_demo: Callable[[int], Tensor],
        ranks: Ranks = ALONE,
    ) -> None:
        self._settings, self._ranks = settings, ranks
        self._device = device
        self._fetch_demo = fetch_demo
        self._demo = ReplayBuffer(settings.amp_obs_demo_buffer_size, (amp_obs_dim,), device)
        self._replay = ReplayBuffer(settings.amp_replay_buffer_size, (amp_obs_dim,), device)
        self.normalizer = AmpObsNormalizer(amp_obs_dim).to(device)

    def fill_demos(self) -> None:
        """Fill the demonstration buffer."""
        while not self._demo.is_full:
            self.add_demos(min(DEMO_FETCH_ROWS, self._demo.capacity - len(self._demo)))

    def add_demos(self, n: int) -> None:
        """Put n fresh demonstrations in the place of the oldest."""
        self._demo.store(torch.as_tensor(self._fetch_demo(n), device=self._device))

    def normalize(self, amp_obs: Tensor) -> Tensor:
        """Return normalised observations, by statistics that only `update_normalizer` moves."""
        return self.normalizer(amp_obs) if self._settings.normalize_amp_input else amp_obs

    def update_normalizer(self, agent_amp_obs: Tensor) -> None:
        """Take agent rows (n, amp_obs_dim) and as many of each other stream into the statistics."""
        if self._settings.normalize_amp_input:
            n = len(agent_amp_obs)
            for stream in (agent_amp_obs, self._sample_replay(agent_amp_obs), self._demo.sample(n)):
                self.normalizer.update(stream, self._ranks)

    def disc_batch(self, agent_amp_obs: Tensor) -> DiscBatch:
        """Join agent rows of a minibatch (B, amp_obs_dim) with as many replayed and demonstrated ones."""
        replay = self._sample_replay(agent_amp_obs)
        demo = self.normalize(self._demo.sample(len(agent_amp_obs)))
        return DiscBatch(self.normalize(agent_amp_obs), self.normalize(replay), demo.requires_grad_(True))

    def _sample_replay(self, agent_amp_obs: Tensor) -> Tensor:
        """Draw past rows; in the first epoch there are none, and the agent's present ones stand in."""
        return self._replay.sample(len(agent_amp_obs)) if len(self._replay) else agent_amp_obs

    def remember(self, agent_amp_obs: Tensor) -> None:
        """Store a rollout (B, amp_obs_dim) for replay; once the buffer is full, each row with amp_replay_keep_prob."""
        if self._replay.is_full:
            keep = torch.rand(len(agent_amp_obs), device=agent_amp_obs.device) < self._settings.amp_replay_keep_prob
            agent_amp_obs = agent_amp_obs[keep]
        self._replay.store(agent_amp_obs)

    def state_dict(self) -> Dict[str, Any]:
        """Return replay and demonstrations; the normaliser is in the policy file."""
        return {"replay": self._replay.state_dict(), "demo": self._demo.state_dict()}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._replay.load_state_dict(state["replay"])
        self._demo.load_state_dict(state["demo"])
