"""Training in several processes ("ranks"), each with its own environments, replay and randomness.

Shared quantities are combined here: gradients are averaged, statistics cover the rows of all ranks, and a decision to
stop applies to all. Parameters are therefore equal on all ranks at all times, because every rank makes the same step
from the same state. `ALONE` is the single process, for which all of this does nothing.

A failed collective operation only knows that some connection closed. The ranks therefore keep a heartbeat in the
rendezvous' key-value store (`RankWatch`), and a rank that ends with an error leaves the reason there.
"""

import contextlib
import itertools
import json
import logging
import os
import socket
import sys
import threading
import time
from datetime import timedelta
from types import TracebackType
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple, Type, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from amp_train.errors import ConfigError, TrainingError, UserError

logger = logging.getLogger(__name__)

DEFAULT_TIMEOUT_S = 120.0
# Time for what the first rank does alone between two iterations: measuring, saving.
PATIENCE_S = 1800.0
BEAT_S = 1.0
ROLL_CALL_S = 4.0  # several beats: a rank that misses them all is lost
STOP_S = 5.0  # for the heartbeat to end; longer only if the store does not respond
EXIT_RANK_LOST = 3  # as for every failed training
_FAILED = "failed"

Result = TypeVar("Result")
_joins = itertools.count()  # a sweep meets again for every job, in the same store


class RankLostError(TrainingError):
    """Another rank ended or hangs, and this training cannot continue."""


class Ranks:
    """The only process of a training; base class of `JoinedRanks`, and the documentation of its methods."""

    rank: int = 0
    world_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this rank writes, prints and evaluates."""
        return self.rank == 0

    def average_(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of one dtype, equally shaped on all ranks, by their means over the ranks."""

    def broadcast_(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by those of the first rank."""

    def sum(self, values: Sequence[float]) -> List[float]:
        """Return the sums of plain numbers over the ranks."""
        return [float(value) for value in values]

    def joined_moments(self, count: int, mean: Tensor, var: Tensor) -> Tuple[int, Tensor, Tensor]:
        """Return rows, mean and (biased) variance of all ranks' rows together, given those of this one's.

        Every rank has the same number of rows.
        """
        return count, mean, var

    def agree(self, reason: Optional[str]) -> Optional[str]:
        """Return the reason to stop of the lowest rank that has one, None if none has."""
        return reason

    def run_on_rank0(self, function: Callable[[], Result]) -> Result:
        """Call a function on the first rank only; every rank gets its result (plain JSON), or its UserError."""
        return function()

    def wait(self) -> None:
        """Wait until every rank is here."""

    def __enter__(self) -> "Ranks":
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], traceback: Optional[TracebackType]
    ) -> None:
        """Leave; in case of an error, tell the other ranks why."""


ALONE = Ranks()


class JoinedRanks(Ranks):
    """The processes that train together. Every rank must call the same methods in the same order.

    Tensors on the CPU go by gloo, those on CUDA by NCCL.
    """

    def __init__(
        self,
        rank: int,
        world_size: int,
        uses_cuda: bool = False,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        join_timeout_s: Optional[float] = None,
    ) -> None:
        """Meet the other ranks at MASTER_ADDR and MASTER_PORT.

        Args:
            uses_cuda: whether the learner is on CUDA; its device must be set already.
            timeout_s: how long to wait for the others in every operation.
            join_timeout_s: how long to wait for them here; None: as long.

        Raises:
            RankLostError: not all came.
        """
        self.rank, self.world_size = rank, world_size
        meeting = next(_joins)
        patience_s = timeout_s if join_timeout_s is None else join_timeout_s
        store = _store(meeting, self.is_first, patience_s)
        store.set(place_key(self.rank), this_process())
        missing = missing_ranks(store, self.world_size, patience_s)
        if missing is not None:
            raise RankLostError(
                f"Of {self.world_size} processes, rank {', '.join(map(str, missing))} did not connect within "
                f"{patience_s:.0f} s."
            )
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if uses_cuda else "gloo",
            store=dist.PrefixStore("group", store),
            rank=self.rank,
            world_size=self.world_size,
            timeout=timedelta(seconds=timeout_s),
        )
        self._patient = dist.new_group(backend="gloo", timeout=timedelta(seconds=max(PATIENCE_S, timeout_s)))
        # Later than an operation's own timeout, which shuts down more cleanly.
        silence_s = timeout_s + 2.0 * ROLL_CALL_S
        self._watch = RankWatch(_store(meeting, False, timeout_s), self.rank, self.world_size, silence_s)
        self._watch.start()

    def average_(self, tensors: Sequence[Tensor]) -> None:
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with self._lost_are_named():
            dist.all_reduce(flat)
        flat /= self.world_size
        for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors])):
            tensor.copy_(mean.view_as(tensor))

    def broadcast_(self, tensors: Sequence[Tensor]) -> None:
        with self._lost_are_named():
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def sum(self, values: Sequence[float]) -> List[float]:
        total = torch.tensor([float(value) for value in values], dtype=torch.float64)
        with self._lost_are_named():
            dist.all_reduce(total)
        return list(total.tolist())

    def joined_moments(self, count: int, mean: Tensor, var: Tensor) -> Tuple[int, Tensor, Tensor]:
        """Merge by the formula for the variance of a union of samples (Chan et al. 1983), in double precision.

        Every rank adds up in the order of the ranks, so that all get the same bits.
        """
        mine = torch.stack((mean.double(), var.double()))
        gathered = [torch.empty_like(mine) for _ in range(self.world_size)]
        with self._lost_are_named():
            dist.all_gather(gathered, mine)
        means, variances = torch.stack(gathered, dim=1)
        joined = means.mean(dim=0)
        joined_var = (variances + (means - joined).square()).mean(dim=0)
        return count * self.world_size, joined, joined_var

    def agree(self, reason: Optional[str]) -> Optional[str]:
        """As in `Ranks`. Waits patiently: the first rank may have been measuring or saving."""
        speaker = torch.tensor(self.world_size if reason is None else self.rank)
        with self._lost_are_named():
            dist.all_reduce(speaker, dist.ReduceOp.MIN, group=self._patient)
        return None if speaker == self.world_size else str(self._tell(reason, int(speaker)))

    def run_on_rank0(self, function: Callable[[], Result]) -> Result:
        """As in `Ranks`. Waits patiently."""
        answer: Any = None
        if self.is_first:
            try:
                answer = {"result": function()}
            except UserError as error:
                self._tell({"error": str(error)}, 0)
                raise
        answer = self._tell(answer, 0)
        if "error" in answer:
            raise ConfigError(answer["error"])
        return answer["result"]  # type: ignore[no-any-return]

    def _tell(self, message: Any, speaker: int) -> Any:
        """Return the speaker's message, plain JSON: what comes from elsewhere must not be able to run."""
        text = json.dumps(message).encode() if self.rank == speaker else b""
        length = torch.tensor(len(text))
        with self._lost_are_named():
            dist.broadcast(length, speaker, group=self._patient)
            content = torch.empty(int(length), dtype=torch.uint8)
            if self.rank == speaker:
                content.copy_(torch.frombuffer(bytearray(text), dtype=torch.uint8))
            dist.broadcast(content, speaker, group=self._patient)
        return json.loads(bytes(content.tolist()).decode())

    def wait(self) -> None:
        self.agree(None)

    @contextlib.contextmanager
    def _lost_are_named(self) -> Iterator[None]:
        """Turn a broken connection or a timeout into an error that names the lost rank."""
        try:
            yield
        except RuntimeError as error:
            who = self._watch.who_is_lost()
            raise RankLostError(f"Rank {self.rank} cannot continue: {who.rstrip('.')}.") from error

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], traceback: Optional[TracebackType]
    ) -> None:
        if error is None:
            self.wait()
            self._watch.stop()
            dist.destroy_process_group()
            return
        if not isinstance(error, RankLostError):
            self._watch.report_failure(" ".join(f"{type(error).__name__}: {error}".split()))
        # A thread that is inside the store when the interpreter ends would abort the process.
        self._watch.stop()
        # The connections close with the process; an orderly shutdown would need the other ranks.


def _store(meeting: int, keeps_it: bool, timeout_s: float) -> dist.Store:
    """Connect to the key-value store of the rendezvous; torchrun keeps one, else the first rank must."""
    is_server = keeps_it and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    store = dist.TCPStore(
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        is_master=is_server,
        timeout=timedelta(seconds=timeout_s),
        wait_for_workers=False,
        multi_tenant=True,
    )
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return dist.PrefixStore(f"amp_train/{attempt}/{meeting}", store)


def state_tensors(module: nn.Module) -> List[Tensor]:
    """Return the parameters and buffers of a module, in one order on all ranks."""
    return [tensor.detach() for tensor in module.state_dict().values()]


class RankWatch:
    """This rank's heartbeat, and a check of the others'.

    Args:
        store: of the rendezvous; a separate thread uses it, so the connection must belong to this object alone.
        silence_s: a rank that is silent for this long ends this process, even inside a waiting operation.
    """

    def __init__(self, store: dist.Store, rank: int, world_size: int, silence_s: float) -> None:
        self._store, self._rank, self._world_size, self._silence_s = store, rank, world_size, silence_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rank-watch", daemon=True)

    def start(self) -> None:
        """Begin; every rank must have called `introduce` first."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the heartbeat and the checks; do not wait long for a store that does not respond."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def report_failure(self, reason: str) -> None:
        """Store the reason why this rank ends; the first reason counts."""
        try:
            self._store.compare_set(_FAILED, "", f"rank {self._rank} ({this_process()}): {reason}")
        except RuntimeError:
            logger.debug("The store does not respond; the other ranks cannot be told.", exc_info=True)

    def who_is_lost(self) -> str:
        """Return which rank ended the training, after checking for a few seconds.

        Returns:
            Such as "rank 1 (node7, process 4711) does not respond" or "rank 1 (node7, process 4711): ValueError ...".
        """
        try:
            started, before = time.monotonic(), self._beats()
            while time.monotonic() - started < ROLL_CALL_S:
                if self._store.check([_FAILED]):
                    return str(self._store.get(_FAILED).decode())
                time.sleep(0.25 * BEAT_S)
            now = self._beats()
            silent = [rank for rank in before if rank != self._rank and before[rank] == now[rank]]
            return self._name(silent) if silent else "a connection between ranks broke, although all of them run"
        except RuntimeError:
            return "rank 0 or its launcher does not respond"

    def _beats(self) -> Dict[int, bytes]:
        """Return every other rank's last beat; b'' before the first."""
        keys = {rank: f"beat/{rank}" for rank in range(self._world_size)}
        return {rank: self._store.get(key) if self._store.check([key]) else b"" for rank, key in keys.items()}

    def _name(self, ranks: List[int]) -> str:
        names = [f"rank {rank} ({self._store.get(place_key(rank)).decode()})" for rank in ranks]
        return f"{' and '.join(names)} {'does' if len(names) == 1 else 'do'} not respond"

    def _run(self) -> None:
        beat, seen, since_s = 0, {}, {}  # type: ignore[var-annotated]
        while not self._stopped.wait(BEAT_S):
            beat += 1
            now_s = time.monotonic()
            try:
                self._store.set(f"beat/{self._rank}", str(beat))
                beats = self._beats()
            except RuntimeError:
                beats = dict(seen)  # nothing can be heard
            for rank, last in beats.items():
                if seen.get(rank) != last:
                    seen[rank], since_s[rank] = last, now_s
            overdue = [rank for rank, heard_s in since_s.items() if now_s - heard_s > self._silence_s]
            if overdue and not self._stopped.is_set():
                self._end(overdue)

    def _end(self, silent: List[int]) -> None:
        """End this process from the heartbeat's thread: the main thread waits in an operation that cannot complete."""
        try:
            what = self._name(silent)
        except RuntimeError:
            what = "rank 0 or its launcher does not respond"
        sys.stderr.write(f"\nError: {what} (silent for {self._silence_s:.0f} s). Rank {self._rank} stops too.\n")
        sys.stderr.flush()
        os._exit(EXIT_RANK_LOST)


def place_key(rank: int) -> str:
    """Return the store's key under which a rank says where it runs."""
    return f"place/{rank}"


def this_process() -> str:
    """Return where this process runs."""
    return f"{socket.gethostname()}, process {os.getpid()}"


def missing_ranks(store: dist.Store, world_size: int, within_s: float) -> Optional[List[int]]:
    """Wait for every rank to have introduced itself; return those that have not, None if all have."""
    deadline = time.monotonic() + within_s
    missing = list(range(world_size))
    while True:
        missing = [rank for rank in missing if not store.check([place_key(rank)])]
        if not missing:
            return None
        if time.monotonic() > deadline:
            return missing
        time.sleep(0.05)


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """Let torch work on the calling thread only.

    In a step on the CPU the tensors are small: distributing them to several threads costs more than it saves, and
    waiting threads take cores from the physics. The rewards of a whole rollout and the update use all threads.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
