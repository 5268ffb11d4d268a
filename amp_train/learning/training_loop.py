"""The training loop: iteration after iteration until there is an end, a reason to stop, or an error.

It takes the place of rl_games' `train()`, which forgets the best reward at a resume, counts frames on one process only,
and cannot be stopped. Files and scalars have rl_games' names.
"""

import time
from pathlib import Path
from typing import Any, Callable, Dict, Optional, Tuple

import numpy as np
from rl_games.algos_torch import torch_ext
from rl_games.algos_torch.a2c_continuous import A2CAgent
from rl_games.common.a2c_common import print_statistics
from torch import Tensor

from amp_train.checkpoint.atomic import Digest, SaveFaults, digest_of, failure_of
from amp_train.checkpoint.store import POLICY_SUFFIX, CheckpointStore, load_state, save_file, state_name
from amp_train.distributed.ranks import ALONE, Ranks, state_tensors
from amp_train.learning.save_schedule import SaveSchedule
from amp_train.learning.training_state import continue_from, training_state

KEEP_CHECKPOINTS = 2
SUM_TIME = 3  # place in what rl_games' train_epoch returns


class TrainingLoop(A2CAgent):
    """A2CAgent with a loop of its own. Read from `params.config`, beyond rl_games' keys:

    `save_interval_s`, `save_max_share`, `keep_checkpoints`; `training_state`, a file to continue from, whose policy has
    been restored; `stop_reason`, a function that returns None to go on or in a few words why to stop, asked after every
    iteration.

    Attributes:
        stopped_by: why the training ended before its end, None if it did not.
        total_time_s: time spent in iterations, of former sessions of this training too.
        stateful: parts with `state_dict` and `load_state_dict` that belong to the training state.
    """

    ranks: Ranks = ALONE
    frame: int
    last_mean_rewards: float

    def __init__(self, base_name: str, params: Dict[str, Any]) -> None:
        self.stateful: Dict[str, Any] = {}
        self.total_time_s = 0.0
        self.stopped_by: Optional[str] = None
        super().__init__(base_name, params)
        self._stop_reason: Callable[[], Optional[str]] = self.config.get("stop_reason") or (lambda: None)
        self._store = CheckpointStore(self.nn_dir, self.config.get("keep_checkpoints", KEEP_CHECKPOINTS))
        self._save_faults, self._best_faults = SaveFaults("checkpoint"), SaveFaults("best policy", max_in_a_row=None)
        if hasattr(self.algo_observer, "load_state_dict"):
            self.stateful["observer"] = self.algo_observer

    def train(self) -> Tuple[float, int]:
        """Train until an end is reached or a reason to stop comes; return the best mean reward and the iterations."""
        self.init_tensors()
        self._start()
        interval_s, max_share = self.config.get("save_interval_s", 0.0), self.config.get("save_max_share", 1.0)
        schedule = SaveSchedule(self.save_freq, interval_s, max_share)
        while True:
            self._iterate()
            finished = self._is_finished()
            self.stopped_by = None if finished else self.ranks.agree(self._stop_reason())
            is_due = schedule.is_due(self.epoch_num) or finished or self.stopped_by is not None
            if self.ranks.agree("save" if is_due else None):
                started_s = time.monotonic()
                self._save_checkpoint(last=finished)
                schedule.saved(time.monotonic() - started_s)
            if finished or self.stopped_by is not None:
                self._save_faults.check_end()
                return self.last_mean_rewards, self.epoch_num

    def _start(self) -> None:
        """Begin at the first step of new episodes, or where a training state was left; all ranks with one policy."""
        self.start_alike()
        if self.config.get("training_state"):
            continue_from(self, load_state(self.config["training_state"]))
        else:
            self.obs = self.env_reset()

    def _iterate(self) -> None:
        """Train one epoch, report it, and keep its policy if it is the best so far."""
        epoch_num, frame = self.update_epoch(), self.frame
        times_and_losses = self.train_epoch()
        self.total_time_s += times_and_losses[SUM_TIME]
        self.dataset.update_values_dict(None)  # frees the rollout
        played = self.curr_frames * self.ranks.world_size
        self.frame = frame + played
        means = self._episode_means()
        if self.ranks.is_first:
            self._report(times_and_losses, epoch_num, frame, played, means)
        self._keep_best(epoch_num, bool(means))

    def start_alike(self) -> None:
        """Give every rank the parameters, statistics and optimizer state of the first."""
        optimizer_state = [value for state in self.optimizer.state.values() for value in state.values()]
        self.ranks.broadcast_(state_tensors(self.model) + [v for v in optimizer_state if isinstance(v, Tensor)])

    def _episode_means(self) -> Dict[str, float]:
        """Return what the last episodes of all ranks were worth on average; nothing before the first one has ended."""
        meters = {
            "rewards": self.game_rewards,
            "shaped_rewards": self.game_shaped_rewards,
            "episode_lengths": self.game_lengths,
        }
        episodes = self.game_rewards.current_size
        (of_all,) = self.ranks.sum([episodes])
        if of_all == 0:
            return {}
        shares = self.ranks.sum([episodes / of_all * meter.mean.item() for meter in meters.values()])
        means = dict(zip(meters, shares))
        self.mean_rewards = means["rewards"]
        return means

    def _report(self, times_and_losses: Any, epoch_num: int, frame: int, played: int, means: Dict[str, float]) -> None:
        """Write the epoch's scalars; as in rl_games, at the number of frames before it."""
        step_s, play_s, update_s, sum_s, a_losses, c_losses, b_losses, entropies, kls, lr, lr_mul = times_and_losses
        self.diagnostics.epoch(self, current_epoch=epoch_num)
        print_statistics(
            self.print_stats, played, step_s, play_s, sum_s, epoch_num, self.max_epochs, frame, self.max_frames
        )
        self.write_stats(
            self.total_time_s, epoch_num, step_s, play_s, update_s, a_losses, c_losses, entropies, kls, lr, lr_mul,
            frame, sum_s, play_s, played,
        )  # fmt: skip
        if b_losses:
            self.writer.add_scalar("losses/bounds_loss", torch_ext.mean_list(b_losses).item(), frame)
        for name, mean in means.items():
            for axis, step in (("step", frame), ("iter", epoch_num), ("time", self.total_time_s)):
                self.writer.add_scalar("{}/{}".format(name, axis), mean, step)

    def _keep_best(self, epoch_num: int, has_games: bool) -> None:
        """Save the policy alone if the last episodes were worth more than ever before."""
        if has_games and self.mean_rewards > self.last_mean_rewards and epoch_num >= self.save_best_after:
            former, self.last_mean_rewards = self.last_mean_rewards, self.mean_rewards
            failure = self._tried(lambda: self._store.save_policy(self.config["name"], self.get_full_state_weights()))
            self._best_faults.note(failure)
            if failure is not None:
                self.last_mean_rewards = former  # the next iteration tries again

    def _is_finished(self) -> bool:
        has_won = self.last_mean_rewards > self.config.get("score_to_win", float("inf"))
        done_epochs = self.max_epochs != -1 and self.epoch_num >= self.max_epochs
        done_frames = self.max_frames != -1 and self.frame >= self.max_frames
        return bool(has_won or done_epochs or done_frames)

    def _save_checkpoint(self, last: bool) -> None:
        """Save policy and training state; the metrics so far are on disk before they are."""
        has_games = self.ranks.sum([self.game_rewards.current_size]) != [0.0]
        reward = self.mean_rewards if has_games else -float("inf")
        name = "last_{}_ep_{}_rew_{}".format(self.config["name"], self.epoch_num, str(np.float32(reward)))
        name, event_files = self.ranks.first_does(lambda: self._begin_checkpoint(name))
        files: Dict[str, Digest] = {}
        failure = self.ranks.agree(failure_of(lambda: self._save_state(name, files)))
        if failure is None:
            failure = self._tried(lambda: self._complete_checkpoint(name, files, last, event_files))
        if failure is not None and self.ranks.is_first:
            self._store.discard(name)
        self._save_faults.note(failure)

    def _tried(self, save: Callable[[], None]) -> Optional[str]:
        """Save something on the first rank; return on every rank why its disk refused it, None if it did not."""
        return self.ranks.agree(failure_of(save) if self.ranks.is_first else None)

    def _save_state(self, name: str, files: Dict[str, Digest]) -> None:
        """Write this rank's training state, and note its digest."""
        file = state_name(name, self.ranks.rank)
        files[file] = save_file(Path(self.nn_dir) / file, training_state(self))

    def _complete_checkpoint(
        self, name: str, files: Dict[str, Digest], last: bool, event_files: Dict[str, int]
    ) -> None:
        """Write the policy beside the training states of all ranks, and make the checkpoint valid."""
        folder = Path(self.nn_dir)
        for rank in range(1, self.ranks.world_size):
            files[state_name(name, rank)] = digest_of(folder / state_name(name, rank))
        files[name + POLICY_SUFFIX] = save_file(folder / (name + POLICY_SUFFIX), self.get_full_state_weights())
        self._store.complete(name, self.epoch_num, files, self.ranks.world_size, last, event_files)

    def _begin_checkpoint(self, name: str) -> Tuple[str, Dict[str, int]]:
        """Have the metrics on disk; return the checkpoint's name, which all ranks use, and how far tensorboard is."""
        failure_of(lambda: self._store.begin(name))  # if that fails, so does the writing
        sync = getattr(self.algo_observer, "sync", dict)
        return name, sync()

    def save(self, fn: str) -> None:
        """Write the policy to `fn`.pth; a crash meanwhile leaves the former file whole."""
        save_file(fn + POLICY_SUFFIX, self.get_full_state_weights())
