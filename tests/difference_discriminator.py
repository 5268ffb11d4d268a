"""A second algorithm, made without a change to the package: ADD (Peng et al. 2025), registered as `add`.

It judges the difference between the clip's frames and the character's at the same time of the same clip. The only
positive example is no difference, the zero vector; the gradient penalty is on the negative ones.
"""

from dataclasses import dataclass

import torch
from torch.nn.functional import softplus

from amp_train.learning import Discriminator, register_discriminator
from amp_train.learning.discriminator import DiscBatch, gradient_penalty


@dataclass
class AddSettings:
    """Its keys under `discriminator_settings`."""

    max_abs: float = 10.0  # normalised differences are clipped there


@register_discriminator("add")
class DifferenceDiscriminator(Discriminator):
    infos_needed = ("amp_obs", "clip_ids", "clip_times_s")
    vec_env_methods = ("fetch_amp_obs_at",)
    tensorboard_tags = {"add_loss": "losses/add_loss", "add_logit": "info/add_logit", "add_error": "info/add_error"}
    normalizer_entry = "add_difference_std"
    settings_class = AddSettings

    def observe(self, infos):
        clip = self.vec_env.fetch_amp_obs_at(infos["clip_ids"], infos["clip_times_s"])
        return clip.to(self.device) - super().observe(infos)

    def demo_logit(self, n):
        return self.logit(torch.zeros(n, self.obs_size, device=self.device))

    def start_training(self):
        self.allocate("replay", self.settings.amp_replay_buffer_size)

    def begin_update(self, disc_obs, rows):
        self.normalizer.update(disc_obs, self.ranks)

    def normalize(self, disc_obs):
        """Divide by the root mean square: zero must stay zero."""
        square = self.normalizer.running_mean.square() + self.normalizer.running_var
        limit = self.own_settings.max_abs
        return (disc_obs / square.float().sqrt().clamp(min=1e-4)).clamp(-limit, limit)

    def batch(self, disc_obs):
        agent, replay = self.normalize(disc_obs), self.normalize(self.sample_replay(disc_obs))
        return DiscBatch(agent.requires_grad_(True), replay, torch.zeros_like(agent[:1]))

    def loss(self, batch):
        agent_logit, replay_logit, same_logit = (self.network.eval_disc(rows) for rows in batch)
        negative = softplus(torch.cat((agent_logit, replay_logit))).mean()
        loss = 0.5 * (negative + softplus(-same_logit).mean())
        loss = loss + self.settings.disc_grad_penalty * gradient_penalty(agent_logit, batch.agent)
        error = batch.agent.detach().square().mean()
        return loss, {"add_loss": loss, "add_logit": agent_logit.mean(), "add_error": error}
