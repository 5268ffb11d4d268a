"""The training loop: iterations until the end, a reason to stop, or an error.

It replaces rl_games' `train()`, which forgets the best reward at a resume, counts frames on one process only,
and cannot be stopped. Files and scalars have rl_games' names.
"""

import time
from pathlib import Path
from typing import Any, Callable, Dict, Optional, Tuple

import numpy as np

from amp_train.checkpoint.atomic import Digest, SaveFaults, digest_of, failure_of
from amp_train.checkpoint.store import POLICY_SUFFIX, CheckpointStore, load_state, save_file, state_name
from amp_train.learning.training_state import continue_from, training_state

KEEP_CHECKPOINTS = 2
NEGLIGIBLE_S = 0.1  # a save that takes less is never put off


class TrainingLoop:
    """Trains an agent and saves it. Reads from the agent's `config`, beyond rl_games' keys:

    `save_interval_s`, `save_max_share`, `keep_checkpoints`; `training_state`, a file to continue from, whose policy has
    been restored; `stop_reason`, a function that returns None, or in a few words why to stop, asked after every
    iteration.

    Attributes:
        stopped_by: why the training stopped early, None if it did not.
    """

    def __init__(self, agent: Any) -> None:
        """Take an `AMPAgent`, or what has its `train_epoch`, counters, meters and files."""
        self.stopped_by: Optional[str] = None
        self._agent, self._ranks, self._config = agent, agent.ranks, agent.config
        self._folder = Path(agent.nn_dir)
        self._store = CheckpointStore(agent.nn_dir, self._config.get("keep_checkpoints", KEEP_CHECKPOINTS))
        self._save_faults, self._best_faults = SaveFaults("checkpoint"), SaveFaults("best policy", max_in_a_row=None)

    def run(self) -> Tuple[float, int]:
        """Train until the end or a reason to stop; return the best mean reward and the iterations."""
        agent, config = self._agent, self._config
        stop_reason: Callable[[], Optional[str]] = config.get("stop_reason") or (lambda: None)
        agent.init_tensors()
        self._start()
        schedule = SaveSchedule(agent.save_freq, config.get("save_interval_s", 0.0), config.get("save_max_share", 1.0))
        while True:
            self._iterate()
            finished = self._is_finished()
            self.stopped_by = None if finished else self._ranks.agree(stop_reason())
            is_due = schedule.is_due(agent.epoch_num) or finished or self.stopped_by is not None
            if self._ranks.agree("save" if is_due else None):
                started_s = time.monotonic()
                self._save_checkpoint(last=finished)
                schedule.saved(time.monotonic() - started_s)
            if finished or self.stopped_by is not None:
                self._save_faults.check_end()
                return agent.last_mean_rewards, agent.epoch_num

    def _start(self) -> None:
        """Begin at the first step of new episodes, or where a training state was left; all ranks with one policy."""
        self._agent.broadcast_initial_state()
        if self._config.get("training_state"):
            continue_from(self._agent, load_state(self._config["training_state"]))
        else:
            self._agent.obs = self._agent.env_reset()

    def _iterate(self) -> None:
        """Train one epoch, report it, and keep its policy if it is the best so far."""
        agent = self._agent
        agent.update_epoch()
        times, frame = agent.train_epoch(), agent.frame
        agent.total_time_s += times.total_s
        agent.dataset.update_values_dict(None)  # frees the rollout
        agent.curr_frames = agent.batch_size
        played = agent.batch_size * self._ranks.world_size
        agent.frame = frame + played
        means = self._episode_means()
        if self._ranks.is_first:
            agent.report(times, frame, played, agent.tagged_stats())
            self._write_means(means, frame)
        self._keep_best(bool(means))

    def _episode_means(self) -> Dict[str, float]:
        """Return the mean reward of the last episodes of all ranks; nothing before the first one has ended."""
        agent = self._agent
        meters = {
            "rewards": agent.game_rewards,
            "shaped_rewards": agent.game_shaped_rewards,
            "episode_lengths": agent.game_lengths,
        }
        episodes = agent.game_rewards.current_size
        (of_all,) = self._ranks.sum([episodes])
        if of_all == 0:
            return {}
        shares = self._ranks.sum([episodes / of_all * meter.mean.item() for meter in meters.values()])
        means = dict(zip(meters, shares))
        agent.mean_rewards = means["rewards"]
        return means

    def _write_means(self, means: Dict[str, float], frame: int) -> None:
        axes = (("step", frame), ("iter", self._agent.epoch_num), ("time", self._agent.total_time_s))
        for name, mean in means.items():
            for axis, step in axes:
                self._agent.writer.add_scalar(f"{name}/{axis}", mean, step)

    def _keep_best(self, has_games: bool) -> None:
        """Save the policy alone if the mean reward of the last episodes is a new maximum."""
        agent = self._agent
        if has_games and agent.mean_rewards > agent.last_mean_rewards and agent.epoch_num >= agent.save_best_after:
            former, agent.last_mean_rewards = agent.last_mean_rewards, agent.mean_rewards
            store, content = self._store, agent.get_full_state_weights
            failure = self._tried(lambda: store.save_policy(self._config["name"], content(), agent.epoch_num))
            self._best_faults.note(failure)
            if failure is not None:
                agent.last_mean_rewards = former  # the next iteration tries again

    def _is_finished(self) -> bool:
        agent = self._agent
        has_won = agent.last_mean_rewards > self._config.get("score_to_win", float("inf"))
        done_epochs = agent.max_epochs != -1 and agent.epoch_num >= agent.max_epochs
        done_frames = agent.max_frames != -1 and agent.frame >= agent.max_frames
        return bool(has_won or done_epochs or done_frames)

    def _save_checkpoint(self, last: bool) -> None:
        """Save policy and training state; the metrics so far are on disk before they are."""
        agent = self._agent
        has_games = self._ranks.sum([agent.game_rewards.current_size]) != [0.0]
        reward = str(np.float32(agent.mean_rewards if has_games else -float("inf")))
        name = f"last_{self._config['name']}_ep_{agent.epoch_num}_rew_{reward}"
        name, event_files = self._ranks.run_on_rank0(lambda: self._begin_checkpoint(name))
        files: Dict[str, Digest] = {}
        failure = self._ranks.agree(failure_of(lambda: self._save_state(name, files)))
        if failure is None:
            failure = self._tried(lambda: self._complete_checkpoint(name, files, last, event_files))
        if failure is not None and self._ranks.is_first:
            self._store.discard(name)
        self._save_faults.note(failure)

    def _tried(self, save: Callable[[], None]) -> Optional[str]:
        """Save something on the first rank; return on every rank why that failed, None if it did not."""
        reason: Optional[str] = self._ranks.agree(failure_of(save) if self._ranks.is_first else None)
        return reason

    def _begin_checkpoint(self, name: str) -> Tuple[str, Dict[str, int]]:
        """Flush the metrics to disk; return the checkpoint's name, which all ranks use, and tensorboard's position."""
        failure_of(lambda: self._store.begin(name))  # if that fails, so does the writing
        sync = getattr(self._agent.algo_observer, "sync", dict)
        return name, sync()

    def _save_state(self, name: str, files: Dict[str, Digest]) -> None:
        """Write this rank's training state, and store its digest."""
        file = state_name(name, self._ranks.rank)
        files[file] = save_file(self._folder / file, training_state(self._agent))

    def _complete_checkpoint(
        self, name: str, files: Dict[str, Digest], last: bool, event_files: Dict[str, int]
    ) -> None:
        """Write the policy next to the training states of all ranks, and make the checkpoint valid."""
        for rank in range(1, self._ranks.world_size):
            files[state_name(name, rank)] = digest_of(self._folder / state_name(name, rank))
        policy = name + POLICY_SUFFIX
        files[policy] = save_file(self._folder / policy, self._agent.get_full_state_weights())
        self._store.complete(name, self._agent.epoch_num, files, self._ranks.world_size, last, event_files)


class SaveSchedule:
    """Due every so many iterations and every so many seconds, whichever comes first; put off while saving is expensive.

    A training state can be a gigabyte, and an iteration on a GPU take a fifth of a second: a number of iterations alone
    would either save all the time or lose an hour. When a checkpoint is due does not affect what is computed, so the
    clock cannot make a training irreproducible.
    """

    def __init__(
        self,
        every_iterations: int,
        every_s: float,
        max_share: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the clock.

        Args:
            every_iterations: 0: the number of iterations does not matter.
            every_s: 0: the time does not matter.
            max_share: of the time may go into checkpoints; 1: none is ever put off.
        """
        self._every_iterations, self._every_s, self._clock = every_iterations, every_s, clock
        self._max_share = max_share
        self._last_end_s, self._last_cost_s = clock(), 0.0
        self._owed = False

    def is_due(self, iteration: int) -> bool:
        """Say whether to save after this iteration; asked once an iteration."""
        since_s = self._clock() - self._last_end_s
        by_count = self._every_iterations > 0 and iteration % self._every_iterations == 0
        by_time = 0 < self._every_s <= since_s
        self._owed = self._owed or by_count or by_time
        too_expensive = (
            self._max_share < 1.0 and self._last_cost_s > NEGLIGIBLE_S and self._last_cost_s > self._max_share * since_s
        )
        return self._owed and not too_expensive

    def saved(self, cost_s: float) -> None:
        """Record that writing a checkpoint, successfully or not, took so many seconds."""
        self._last_end_s, self._last_cost_s, self._owed = self._clock(), cost_s, False
