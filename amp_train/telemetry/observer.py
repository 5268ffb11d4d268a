"""`TrainingObserver`: turns rl_games' hooks into one row per iteration."""

import time
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

import torch
from rl_games.common.algo_observer import AlgoObserver
from torch import Tensor

from amp_train.telemetry.files import event_file_instead_of, sizes_of_event_files
from amp_train.telemetry.health import HEALTHY, disc_health
from amp_train.telemetry.sinks import Row, RowSink, ScalarSink, ScalarTee


class TrainingObserver(AlgoObserver):
    """Follows a training.

    Args:
        sinks: receive each iteration's row.
        scalar_sink: receives the scalars that also go to tensorboard.
        extra: further columns, read once an iteration on the first process; None without a value.
        counts: further columns whose numbers are summed over all processes.
        stateful: further parts of the training state, each with `state_dict` and `load_state_dict`.
        reward_scale: the run's disc_reward_scale, for the discriminator's health.

    Attributes:
        agent: rl_games' agent, once it exists.
    """

    def __init__(
        self,
        sinks: Sequence[RowSink],
        scalar_sink: Optional[ScalarSink] = None,
        extra: Optional[Callable[[], Row]] = None,
        reward_scale: float = 1.0,
        counts: Optional[Callable[[], Dict[str, int]]] = None,
        stateful: Optional[Dict[str, Any]] = None,
    ) -> None:
        super().__init__()
        self.agent: Any = None
        self._sinks, self._scalar_sink, self._extra = sinks, scalar_sink, extra or dict
        self._counts, self._stateful = counts or dict, stateful or {}
        self._reward_scale = reward_scale
        self._started_s: Optional[float] = None
        self._former_s = 0.0

    def after_init(self, algo: Any) -> None:
        """Store the agent; its weights are not loaded yet."""
        self.agent = algo
        self._episodes = EpisodeMeter(algo.ppo_device)
        if algo.writer is not None:
            algo.writer = event_file_instead_of(algo.writer)
            if self._scalar_sink is not None:
                algo.writer = ScalarTee(algo.writer, self._scalar_sink)

    def process_infos(self, infos: Dict[str, Any], done: Tensor) -> None:
        """Count the episodes that ended in this step: `done` (N,) bool, where rl_games' own agent gives indices."""
        if self._started_s is None:
            self._start()
        self._episodes.add(done, self.agent.current_lengths, infos["terminate"])

    def _start(self) -> None:
        self._started_s = self._last_s = time.perf_counter()
        for sink in self._sinks:
            sink.start(self.agent.epoch_num - 1, self.agent.max_epochs)

    def after_steps(self) -> None:
        """Sum the counts of all processes; called on each of them, after every rollout."""
        ranks, own = self.agent.ranks, self._counts()
        self._episode_means = self._episodes.pop(ranks.sum)
        self._total_counts = dict(zip(own, (int(total) for total in ranks.sum(list(own.values())))))

    def after_print_stats(self, frame: int, epoch_num: int, total_time: float) -> None:
        """Write the iteration's row."""
        extra = {**self._total_counts, **self._extra()}
        row = self._row(epoch_num)
        row.update(extra)
        self._judge(row, frame)
        for name in ("episode_length", "termination_share", *extra):
            if row[name] is not None:
                self.agent.writer.add_scalar("info/" + name, row[name], frame)
        for sink in self._sinks:
            sink.write(row)

    def _judge(self, row: Row, frame: int) -> None:
        """Add the discriminator's health to the row; tensorboard has it as 1 or 0."""
        health = disc_health(row, self._reward_scale)
        row["disc_health"], row["disc_advice"] = (None, None) if health is None else health
        if health is not None:
            self.agent.writer.add_scalar("info/disc_healthy", float(health.verdict == HEALTHY), frame)

    def _row(self, epoch_num: int) -> Row:
        now_s = time.perf_counter()
        episodes, episode_length, termination_share = self._episode_means
        samples = self.agent.curr_frames * self.agent.ranks.world_size
        row: Row = {
            "iteration": epoch_num,
            "frames": int(self.agent.frame),
            "time_s": round(self._elapsed_s(now_s), 3),
            "samples_per_s": round(samples / max(now_s - self._last_s, 1e-9), 1),
            "episodes": episodes,
            "episode_length": episode_length,
            "termination_share": termination_share,
        }
        row.update(self.agent.epoch_stats)
        self._last_s = now_s
        return row

    def _elapsed_s(self, now_s: float) -> float:
        """Return how long the training has run, including earlier sessions."""
        return self._former_s + now_s - (self._started_s or now_s)

    def sync(self) -> Dict[str, int]:
        """Sync all rows and scalars to disk; return the sizes of tensorboard's files, by name."""
        for sink in self._sinks:
            sink.sync()
        self.agent.writer.flush()
        return sizes_of_event_files(self.agent.summaries_dir)

    def state_dict(self) -> Dict[str, Any]:
        """Return the state that a resumed training's rows depend on."""
        parts = {name: part.state_dict() for name, part in self._stateful.items()}
        return {"elapsed_s": self._elapsed_s(time.perf_counter()), **parts}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._former_s = float(state["elapsed_s"])
        for name, part in self._stateful.items():
            part.load_state_dict(state[name])

    def after_clear_stats(self) -> None:
        """Nothing to clear; rl_games 1.6.5 calls this without defining it."""

    def close(self) -> None:
        """Close the writer and every sink."""
        if self.agent is not None and self.agent.writer is not None:
            self.agent.writer.close()
        for sink in self._sinks:
            sink.close()
        if self._scalar_sink is not None:
            self._scalar_sink.close()


class EpisodeMeter:
    """Averages over the episodes that ended since the last reading; adding to it never waits for the device."""

    def __init__(self, device: Union[str, torch.device]) -> None:
        self._sums = torch.zeros(3, dtype=torch.double, device=device)

    def add(self, done: Tensor, lengths: Tensor, terminated: Tensor) -> None:
        """Count episodes.

        Args:
            done: (N,) bool, those that end now.
            lengths: (N,) steps.
            terminated: (N,) bool, those that failed; the others ran into the time limit.
        """
        self._sums += torch.stack([part.sum(dtype=torch.double) for part in (done, lengths * done, terminated)])

    def pop(
        self, total: Callable[[Sequence[float]], List[float]] = list
    ) -> Tuple[int, Optional[float], Optional[float]]:
        """Return the number of episodes, their mean length in steps and the share that failed, and reset.

        Args:
            total: sums numbers over the processes of a training.
        """
        count, steps, failures = total(self._sums.tolist())
        episodes = int(count)
        self._sums.zero_()
        if episodes == 0:
            return 0, None, None
        return episodes, steps / episodes, failures / episodes
