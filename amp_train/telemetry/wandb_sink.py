"""wandb, held at arm's length: it can be missing, broken, slow or offline, and the training goes on."""

import logging
import queue
import threading
from typing import Any, Callable, Dict, Optional

from amp_train.telemetry.sinks import ScalarSink

logger = logging.getLogger(__name__)

MAX_WAITING = 1000  # calls; beyond it wandb hangs, and new ones are dropped
CLOSE_TIMEOUT_S = 30.0


class WandbSink(ScalarSink):
    """Every wandb call runs in one background thread; the first failure is one warning and the end of wandb."""

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

    def close(self) -> None:
        """Finish the run; after a while, leave it."""
        if not self._thread.is_alive():
            return
        self._put(lambda: self._run.finish())
        self._put(None)
        self._thread.join(self._close_timeout_s)
        if self._thread.is_alive():
            self._give_up("it did not finish within {:.0f} s".format(self._close_timeout_s))

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
            logger.warning("wandb stopped, the training goes on: %s", reason)
