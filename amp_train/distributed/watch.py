"""Who is still there: every rank says so once a second, so that the others can name the one that is not.

A collective operation that fails only knows that some connection closed. The ranks therefore keep a heartbeat in the
rendezvous' key-value store, and one that ends with an error leaves the reason there.
"""

import logging
import os
import socket
import sys
import threading
import time
from typing import Dict, List, Optional

from torch.distributed import Store

logger = logging.getLogger(__name__)

BEAT_S = 1.0
ROLL_CALL_S = 4.0  # several beats: a rank that misses them all is gone
EXIT_RANK_LOST = 3  # as of every training that broke down
_FAILED = "failed"


class RankWatch:
    """This rank's heartbeat, and a look at the others'.

    Args:
        store: of the rendezvous; used by a thread of its own, so it must be this object's own connection.
        silence_s: another rank that is silent for so long ends this process, even from within an operation that waits.
    """

    def __init__(self, store: Store, rank: int, world_size: int, silence_s: float) -> None:
        self._store, self._rank, self._world_size, self._silence_s = store, rank, world_size, silence_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rank-watch", daemon=True)

    def start(self) -> None:
        """Begin; every rank must have called `introduce` first."""
        self._thread.start()

    def stop(self) -> None:
        """End the heartbeat: from now on nobody misses this rank."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def report_failure(self, reason: str) -> None:
        """Leave the reason why this rank ends; the first one to come counts."""
        try:
            self._store.compare_set(_FAILED, "", "rank {} ({}): {}".format(self._rank, this_process(), reason))
        except RuntimeError:
            logger.debug("The store is gone, nobody can be told.", exc_info=True)

    def who_is_lost(self) -> str:
        """Say which rank brought the others down, after looking for a few seconds.

        Returns:
            Such as "rank 1 (node7, process 4711) is gone" or "rank 1 (node7, process 4711): ValueError ...".
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
            return "rank 0 or its launcher is gone"

    def _beats(self) -> Dict[int, bytes]:
        """Return every other rank's last beat; b'' before the first."""
        keys = {rank: "beat/{}".format(rank) for rank in range(self._world_size)}
        return {rank: self._store.get(key) if self._store.check([key]) else b"" for rank, key in keys.items()}

    def _name(self, ranks: List[int]) -> str:
        names = ["rank {} ({})".format(rank, self._store.get(place_key(rank)).decode()) for rank in ranks]
        return "{} {} gone".format(" and ".join(names), "is" if len(names) == 1 else "are")

    def _run(self) -> None:
        beat, seen, since_s = 0, {}, {}  # type: ignore[var-annotated]
        while not self._stopped.wait(BEAT_S):
            beat += 1
            now_s = time.monotonic()
            try:
                self._store.set("beat/{}".format(self._rank), str(beat))
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
        """End this process from the outside: its main thread waits in an operation that nobody will complete."""
        try:
            what = self._name(silent)
        except RuntimeError:
            what = "rank 0 or its launcher is gone"
        sys.stderr.write("\nError: {}, unheard of for {:.0f} s. Rank {} ends too.\n".format(
            what, self._silence_s, self._rank
        ))  # fmt: skip
        sys.stderr.flush()
        os._exit(EXIT_RANK_LOST)


def place_key(rank: int) -> str:
    """Return the store's key under which a rank says where it runs."""
    return "place/{}".format(rank)


def this_process() -> str:
    """Return where this process runs."""
    return "{}, process {}".format(socket.gethostname(), os.getpid())


def missing_ranks(store: Store, world_size: int, within_s: float) -> Optional[List[int]]:
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
