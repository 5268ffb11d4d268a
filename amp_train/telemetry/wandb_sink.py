"""Logging to wandb, isolated: it can be missing, broken, slow or offline, and training continues."""

import atexit
import contextlib
import logging
import os
import queue
import signal
import threading
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Optional

from amp_train.telemetry.sinks import ScalarSink

logger = logging.getLogger(__name__)

SERVICE_NAME = "wandb-core"
MAX_WAITING = 1000  # calls; beyond it wandb hangs, and new ones are dropped
CLOSE_TIMEOUT_S, EXIT_TIMEOUT_S = 30.0, 2.0


class WandbSink(ScalarSink):
    """Every wandb call runs in one background thread; the first failure gives one warning and ends wandb."""

    def __init__(self, init_args: Dict[str, Any], wandb: Any = None, close_timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Start the run.

        Args:
            init_args: for `wandb.init`.
            wandb: the module, or a stand-in.
            close_timeout_s: how long `close` waits for wandb to finish.
        """
        self._wandb, self._init_args, self._close_timeout_s = wandb, init_args, close_timeout_s
        self._calls: "queue.Queue[Optional[Callable[[], Any]]]" = queue.Queue(MAX_WAITING)  # noqa: UP037 (Python 3.8)
        self._failed = False
        self._run: Any = None
        self._thread = threading.Thread(target=self._work, name="wandb", daemon=True)
        self._thread.start()
        self._put(self._init)

    def log(self, scalars: Dict[str, float], step: int) -> None:
        """Queue the scalars of one step."""
        self._put(lambda: self._run.log(scalars, step=step))

    def log_video(self, path: str, step: int) -> None:
        """Queue a video's file."""
        self._put(lambda: self._run.log({"video": self._wandb.Video(path)}, step=step))

    def close(self) -> None:
        """Finish the run, within a time limit."""
        if not self._thread.is_alive():
            return
        self._put(lambda: self._run.finish())
        self._put(None)
        self._thread.join(self._close_timeout_s)
        if self._thread.is_alive():
            self._give_up(f"it did not finish within {self._close_timeout_s:.0f} s")
            bound_exit()

    def _init(self) -> None:
        if self._wandb is None:
            import wandb

            self._wandb = wandb
        self._run = self._wandb.init(**self._init_args)

    def _put(self, call: Optional[Callable[[], Any]]) -> None:
        if self._failed and call is not None:
            return
        try:
            self._calls.put_nowait(call)
        except queue.Full:
            self._give_up("it does not keep up")

    def _work(self) -> None:
        while True:
            call = self._calls.get()
            if call is None:
                return
            if self._failed:
                continue
            try:
                call()
            except (Exception, SystemExit) as error:  # whatever a third-party service raises must not end the training
                self._give_up(str(error).split("\n")[0] or type(error).__name__)

    def _give_up(self, reason: str) -> None:
        if not self._failed:
            self._failed = True
            logger.warning("wandb stopped; training continues: %s", reason)


def bound_exit() -> None:
    """Prevent wandb from delaying the end of the program, by minutes without a network."""
    atexit.register(
        _kill_service_soon
    )  # runs before wandb's own, which was registered before and waits for the service


def _kill_service_soon() -> None:
    timer = threading.Timer(EXIT_TIMEOUT_S, _kill_service)
    timer.daemon = True
    timer.start()


def _kill_service() -> None:
    """Kill wandb's helper process, found among this one's children, since wandb does not expose it."""
    for pid in _children():
        with contextlib.suppress(OSError):
            if SERVICE_NAME in Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, signal.SIGKILL)


def _children() -> Iterator[int]:
    """List the processes that this one started; none without /proc."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            after_name = stat.read_text().rpartition(")")[2].split()
            if int(after_name[1]) == os.getpid():
                yield int(stat.parent.name)
