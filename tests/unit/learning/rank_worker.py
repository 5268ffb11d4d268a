"""What one rank does in test_ranks.py: everything in one process group, because starting a process takes seconds."""

import os
import sys
from pathlib import Path
from typing import Any, Dict

import torch
from fake_env import PointMassVecEnv
from make_agent import CONFIG, make_agent

from amp_train.distributed.ranks import JoinedRanks, Ranks
from amp_train.errors import ConfigError, UserError
from amp_train.learning.agent import AMPAgent

ENVS, HORIZON = CONFIG["num_actors"], CONFIG["horizon_length"]
ONE_MINIBATCH = {"minibatch_size": ENVS * HORIZON, "amp_minibatch_size": ENVS * HORIZON, "advantage_clip": 2.0}


def basics(ranks: Ranks) -> Dict[str, Any]:
    """Call each operation once, every rank with values of its own."""
    first, second = torch.full((3,), 1.0 + ranks.rank), torch.tensor(10.0 * ranks.rank)
    ranks.average_([first, second])
    told = torch.full((2,), float(ranks.rank))
    ranks.broadcast_([told])
    rows = torch.arange(8.0).view(4, 2) * (1 + ranks.rank)
    moments = ranks.joined_moments(4, rows.mean(0), rows.var(0, unbiased=False))
    called = []
    answer = ranks.run_on_rank0(lambda: called.append(ranks.rank) or {"folder": "runs/x"})
    return {
        "average": (first, second),
        "broadcast": told,
        "rows": rows,
        "moments": moments,
        "sum": ranks.sum([1.0, 0.5 + ranks.rank]),
        "agree": [ranks.agree(None), ranks.agree("SIGTERM" if ranks.rank == 1 else None), ranks.agree(str(ranks.rank))],
        "run_on_rank0": (answer, called),
        "error": error_of_the_first(ranks),
    }


def error_of_the_first(ranks: Ranks) -> str:
    def fail() -> None:
        raise ConfigError("no such folder")

    try:
        ranks.run_on_rank0(fail)
    except UserError as error:
        return str(error)
    return ""


def one_step(agent: AMPAgent, rollout: Dict[str, Any], demos: torch.Tensor) -> Dict[str, Any]:
    """Make one update with a whole rollout as the only minibatch, and given demonstrations."""
    agent.discriminator.sample_demos = lambda n: demos[:n].clone()  # type: ignore[method-assign]
    agent.set_train()
    agent.prepare_dataset({name: value.clone() for name, value in rollout.items()})
    kl = agent.update(agent.dataset[0])
    return {
        "gradients": {n: p.grad.clone() for n, p in agent.model.named_parameters() if p.grad is not None},
        "state": {n: v.clone() for n, v in agent.model.state_dict().items()},
        "amp_mean": agent.discriminator.normalizer.running_mean.clone(),
        "kl": kl.clone(),
    }


def rollout_of(agent: AMPAgent) -> Dict[str, torch.Tensor]:
    agent.set_eval()
    with torch.no_grad():
        return {name: value for name, value in agent.play_steps().items() if isinstance(value, torch.Tensor)}


def joined_update(ranks: Ranks, folder: Path) -> Dict[str, Any]:
    """Update on two ranks; the first one then does the same alone with the rollouts of both."""
    env = PointMassVecEnv(ENVS, seed=100 + ranks.rank)
    agent = make_agent(folder / "joined", env, ranks=ranks, **ONE_MINIBATCH)
    agent.init_tensors()
    agent.broadcast_initial_state()
    agent.obs = agent.env_reset()
    before = {n: v.clone() for n, v in agent.model.state_dict().items()}
    rollout, demos = rollout_of(agent), agent.discriminator.sample_demos(ENVS * HORIZON)
    torch.save((rollout, demos), folder / f"rollout{ranks.rank}.pt")
    result = {"joined": one_step(agent, rollout, demos)}
    ranks.wait()
    if ranks.is_first:
        parts = [torch.load(folder / f"rollout{rank}.pt", weights_only=True) for rank in range(2)]
        both = {name: torch.cat([part[0][name] for part in parts]) for name in rollout}
        double = dict(ONE_MINIBATCH, num_actors=2 * ENVS, minibatch_size=2 * ENVS * HORIZON)
        double["amp_minibatch_size"] = 2 * ENVS * HORIZON
        alone = make_agent(folder / "alone", PointMassVecEnv(2 * ENVS), **double)
        alone.init_tensors()
        alone.model.load_state_dict(before)
        result["alone"] = one_step(alone, both, torch.cat([part[1] for part in parts]))
    return result


def trained(ranks: Ranks, folder: Path, **config: Any) -> Dict[str, Any]:
    """Train a little and return everything that must be common, and what must not."""
    env = PointMassVecEnv(ENVS, seed=200 + ranks.rank)
    agent = make_agent(folder, env, ranks=ranks, **config)
    agent.train()
    optimizer = [v.clone() for s in agent.optimizer.state.values() for v in s.values() if isinstance(v, torch.Tensor)]
    return {
        "model": {n: v.clone() for n, v in agent.model.state_dict().items()},
        "optimizer": optimizer,
        "amp": {n: v.clone() for n, v in agent.discriminator.normalizer.state_dict().items()},
        "lr": agent.last_lr,
        "group_lr": [group["lr"] for group in agent.optimizer.param_groups],
        "frame": agent.frame,
        "epoch": agent.epoch_num,
        "stopped_by": agent.stopped_by,
        "mean_rewards": agent.mean_rewards,
        "best": agent.last_mean_rewards,
        "own_games": (int(agent.game_rewards.current_size), agent.game_rewards.mean.item()),
        "frames_told": list(env.train_info_frames),
        "epoch_stats": dict(agent.epoch_stats),
        "replay": agent.discriminator.state_dict()["replay"]["rows"].clone(),
        "has_writer": agent.writer is not None,
    }


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    with JoinedRanks(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), timeout_s=60.0) as ranks:
        torch.manual_seed(1 + ranks.rank)  # different initial weights too: the first rank's must win
        adaptive = {"lr_schedule": "adaptive", "kl_threshold": 1e-3, "max_epochs": 4, "save_best_after": 1}
        stop_at_2 = {"max_epochs": 9, "stop_reason": StopAfter(2, ranks.rank == 1)}
        results = {
            "basics": basics(ranks),
            "update": joined_update(ranks, folder),
            "standard": trained(ranks, folder / "standard", schedule_type="standard", **adaptive),
            "legacy": trained(ranks, folder / "legacy", schedule_type="legacy", **adaptive),
            "stopped": trained(ranks, folder / "stopped", **stop_at_2),
        }
        torch.save(results, folder / f"results{ranks.rank}.pt")


class StopAfter:
    """Gives a reason to stop at the n-th question, if this is the rank that has one."""

    def __init__(self, n: int, has_reason: bool) -> None:
        self.left, self.has_reason = n, has_reason

    def __call__(self) -> Any:
        self.left -= 1
        return "SIGTERM" if self.has_reason and self.left <= 0 else None


if __name__ == "__main__":
    main(Path(sys.argv[1]))
