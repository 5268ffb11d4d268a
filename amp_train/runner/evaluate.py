"""Evaluating a checkpoint: episodes with and without noise, seed by seed, and the discriminator's health on them."""

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence

import torch
from torch import Tensor

from amp_train.character import CharacterSpec
from amp_train.config import Config
from amp_train.env import make_env
from amp_train.evaluation.episodes import ClipReference, Episodes
from amp_train.runner.policy import Policy
from amp_train.runner.recording import clip_references, record_episodes, recorded_library, set_up_episodes
from amp_train.runner.vec_env import AMPVecEnv
from amp_train.telemetry.health import disc_health

DEMO_ROWS = 4096


@dataclass
class Evaluation:
    """The episodes of a policy.

    Attributes:
        deterministic, noisy: one run per seed, with the mean action and with the noise of training.
        clips: its reference.
        disc: the discriminator's health on the noisy runs, which match its training data.
    """

    spec: CharacterSpec
    deterministic: List[Episodes]
    noisy: List[Episodes]
    clips: List[ClipReference]
    disc: Dict[str, Optional[str]]


def evaluate(cfg: Config, checkpoint: str, episodes: int, episode_s: float, seeds: Sequence[int]) -> Evaluation:
    """Play `episodes` episodes for every seed, without and with noise.

    Args:
        cfg: resolved, the checkpoint's own; how episodes begin and how long they last is set here.
        checkpoint: a file of this project or of IsaacGymEnvs.
        episodes: for each seed.
        episode_s: s.
        seeds: of where the episodes begin, and of the noise.
    """
    runs: Dict[bool, List[Episodes]] = {True: [], False: []}
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
        finally:
            env.close()
    scale = seeded.train.params.config.disc_reward_scale
    return Evaluation(env.spec, runs[True], runs[False], clips, _health(runs[False], demo_logit, scale))


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
