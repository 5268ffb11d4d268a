"""This project's agent, trained as `amp-train` does with the same overrides.

Its own, beyond what `Shared` names: behaviour cloning of the clip before the first rollout, an adaptive learning rate
per mini epoch, a learning rate of the discriminator's own, bf16 for critic and discriminator. Behaviour cloning counts
as training time. Checkpoints and the pose error during the training are off, as they are in the others; TensorBoard is
on.
"""

import tempfile
from typing import Any, Dict, Optional

from common import Clock
from rl_games.common.algo_observer import AlgoObserver

from amp_train.config import Config, rl_games_params
from amp_train.runner.episodes import ActingPolicy
from amp_train.runner.rl_games import load_runner
from amp_train.runner.training_eval import AgentPolicy
from amp_train.runner.vec_env import AMPVecEnv

ENDLESS = {"max_epochs": -1, "max_frames": -1}
NO_FILES = {"save_frequency": 0, "save_interval_s": 0.0, "save_best_after": 10**9, "print_stats": False}


class Start(AlgoObserver):
    """Keeps rl_games' agent, and starts the clock when it exists."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def after_init(self, algo: Any) -> None:
        self.agent = algo
        self.clock.start()

    def after_clear_stats(self) -> None:
        """Do nothing; rl_games 1.6.5 calls this without defining it."""


def train(cfg: Config, vec_env: AMPVecEnv, clock: Clock, options: Dict[str, Any]) -> ActingPolicy:
    """Train until the clock is over; return the trained policy."""

    def stop_reason() -> Optional[str]:
        return "the time limit" if clock.is_over() else None

    params, start = rl_games_params(cfg), Start(clock)
    with tempfile.TemporaryDirectory() as folder:
        params["config"].update(train_dir=folder, full_experiment_name="compare", **ENDLESS, **NO_FILES)
        runner = load_runner(params, vec_env, start)
        runner.params["config"]["stop_reason"] = stop_reason
        runner.run({"train": True, "play": False})
        start.agent.writer.close()
    start.agent.model.eval()
    return AgentPolicy(start.agent)
