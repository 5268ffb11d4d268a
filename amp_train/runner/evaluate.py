"""Evaluating a checkpoint: episodes with and without noise, seed by seed, and the discriminator's health on them."""

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence

import torch
from torch import Tensor

from amp_train.character import CharacterSpec
from amp_train.config import Config
from amp_train.env import AmpEnv, make_env
from amp_train.evaluation.episodes import ClipReference, Episodes
from amp_train.runner.episodes import EpisodeCallback, EpisodeStep
from amp_train.runner.policy import Policy
from amp_train.runner.recording import clip_references, record_episodes, recorded_library, set_up_episodes
from amp_train.runner.vec_env import AMPVecEnv
from amp_train.telemetry.health import disc_health

DEMO_ROWS = 4096
PUSH_S, PUSH_INTERVAL_S = 0.2, 5.0
_PUSH_TURN = 5.0  # rad from the side of one push to that of the next


@dataclass
class Evaluation:
    """The episodes of a policy.

    Attributes:
        deterministic, noisy: one run per seed, with the mean action and with the noise of training.
        pushed: one run per seed with the mean action and pushes, if asked for.
        clips: its reference.
        disc: the discriminator's health on the noisy runs, which match its training data.
    """

    spec: CharacterSpec
    deterministic: List[Episodes]
    noisy: List[Episodes]
    pushed: List[Episodes]
    clips: List[ClipReference]
    disc: Dict[str, Optional[str]]


class Pushes(EpisodeCallback):
    """Pushes every character from a random side for 0.2 s, every 5 s, by a force on its whole body.

    All bodies get the acceleration force / mass. The first push comes after 2.5 to 5 s.
    """

    def __init__(self, force_n: float, seed: int) -> None:
        self._force_n, self._seed = force_n, seed

    def on_start(self, env: AmpEnv) -> None:
        """Draw when and from where."""
        generator = torch.Generator().manual_seed(self._seed)
        self._wait_s = PUSH_INTERVAL_S * (1.0 - 0.5 * torch.rand(env.num_envs, generator=generator))
        self._from = 2.0 * torch.pi * torch.rand(env.num_envs, generator=generator)
        self._steps = max(1, round(PUSH_S / env.control_dt_s))
        self._change_m_s = self._force_n * PUSH_S / float(env.spec.body_mass.sum()) / self._steps

    def on_step(self, step: EpisodeStep) -> None:
        """Accelerate for the next control step, where it is time."""
        env, dt_s = step.env, step.env.control_dt_s
        since_s = step.time_s - self._wait_s
        # Half a control step against rounding.
        into_s = (since_s + 0.5 * dt_s) % PUSH_INTERVAL_S
        is_pushed = (since_s > -0.5 * dt_s) & (into_s < self._steps * dt_s)
        ids = is_pushed.to(env.device).nonzero()[:, 0]
        if len(ids) == 0:
            return
        angle = self._from + _PUSH_TURN * (since_s / PUSH_INTERVAL_S).round()
        velocity = self._change_m_s * torch.stack((angle.cos(), angle.sin(), 0.0 * angle), dim=-1)
        state = env.state[ids].clone()
        state.root_vel = state.root_vel + velocity.to(env.device)[ids]
        env.simulator.set_state(ids, state)


def evaluate(
    cfg: Config, checkpoint: str, episodes: int, episode_s: float, seeds: Sequence[int], push_n: float = 0.0
) -> Evaluation:
    """Play `episodes` episodes for every seed, without and with noise, and without noise but with pushes.

    Args:
        cfg: resolved, the checkpoint's own; how episodes begin and how long they last is set here.
        checkpoint: a file of this project or of IsaacGymEnvs.
        episodes: for each seed.
        episode_s: s.
        seeds: of where the episodes begin, of the noise and of the pushes.
        push_n: force of the pushes, N; 0: no pushed episodes.
    """
    runs: Dict[bool, List[Episodes]] = {True: [], False: []}
    pushed: List[Episodes] = []
    for seed in seeds:
        seeded = set_up_episodes(cfg, episodes, episode_s, seed)
        env = make_env(seeded)
        try:
            vec_env = AMPVecEnv(env, str(cfg.rl_device))
            policy = Policy(seeded, vec_env, checkpoint)
            for deterministic, of_kind in runs.items():
                of_kind.append(record_episodes(seeded, vec_env, policy, deterministic))
            clips = clip_references(recorded_library(seeded, env), env.control_dt_s)
            demo_logit = policy.demo_logit(DEMO_ROWS).cpu()
            if push_n:
                pushed.append(record_episodes(seeded, vec_env, policy, callbacks=[Pushes(push_n, seed)]))
        finally:
            env.close()
    scale = seeded.train.params.config.disc_reward_scale
    return Evaluation(env.spec, runs[True], runs[False], pushed, clips, _health(runs[False], demo_logit, scale))


def _health(runs: Sequence[Episodes], demo_logit: Tensor, reward_scale: float) -> Dict[str, Any]:
    """Judge the discriminator by all steps of the runs."""
    agent_logit = torch.cat([run.disc_logit[run.valid] for run in runs])
    style_reward = torch.cat([run.style_reward[run.valid] for run in runs])
    stats = {
        "disc_agent_acc": float((agent_logit < 0).float().mean()),
        "disc_demo_acc": float((demo_logit > 0).float().mean()),
        "disc_agent_logit": float(agent_logit.mean()),
        "disc_demo_logit": float(demo_logit.mean()),
        "style_reward_std": float(style_reward.std(unbiased=False)),
    }
    health = disc_health(stats, reward_scale)
    verdict, advice = (None, None) if health is None else health
    return {**stats, "disc_health": verdict, "disc_advice": advice}
