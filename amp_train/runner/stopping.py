"""Stopping a training early without losing anything: signals and time limits become a reason to stop, which the
training loop checks after every iteration. The exit codes of the commands are here too."""

import contextlib
import os
import signal
import threading
import time
from types import FrameType
from typing import Any, Dict, Mapping, NamedTuple, Optional

EXIT_DONE = 0  # all iterations are done
EXIT_USER_ERROR = 2  # an error in the command; the same command fails again
EXIT_FAILED = 3  # numbers not finite, physics diverging, checkpoints that cannot be written: needs a change or a check
# EX_TEMPFAIL of sysexits.h, "try again later": a signal or a time limit came and everything is saved. The only code
# after which the same command with resume=auto continues, so a batch script requeues on this code only.
EXIT_STOPPED = 75
EXIT_INTERRUPTED = 130  # Ctrl-C while nothing was being trained; a second Ctrl-C kills by SIGINT, shells say 130

SAVING_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
IGNORED_BY_NOHUP = ("SIGINT", "SIGHUP")

BATCH_END_VARIABLE = "SLURM_JOB_END_TIME"  # s since 1970; newer versions of Slurm set it
# Time reserved for an iteration and saving at the end of a batch job: a minute, less for a short job.
MAX_MARGIN_S, MARGIN_SHARE = 60.0, 0.1


class Deadline(NamedTuple):
    """When to stop by `time.monotonic()`, and why."""

    at_s: float
    reason: str


class StopRequest:
    """Records a request to stop; as a context manager it handles signals, and restores their handlers afterwards.

    SIGTERM, SIGHUP, SIGUSR1 and the first Ctrl-C only record the request: the current iteration, 1 to 2 s, is finished
    and saved. A second Ctrl-C kills the process at once. Signals that `nohup` ignores stay ignored.

    Attributes:
        signal_name: of the first signal that came, e.g. "SIGTERM".
    """

    def __init__(self, max_time_s: Optional[float] = None, environ: Mapping[str, str] = os.environ) -> None:
        """Start the clock.

        Args:
            max_time_s: stop after this time; None: no limit.
            environ: where a batch job's end may be found.
        """
        self.signal_name: Optional[str] = None
        self._deadlines = [limit for limit in (_own_limit(max_time_s), _batch_limit(environ)) if limit is not None]
        self._former: Dict[int, Any] = {}

    def __call__(self) -> Optional[str]:
        """Return why to stop, None to continue."""
        if self.signal_name is not None:
            return self.signal_name
        now_s = time.monotonic()
        return next((limit.reason for limit in self._deadlines if now_s >= limit.at_s), None)

    @property
    def only_this_job(self) -> bool:
        """Whether only max_time_s stops the job, so that a sweep may continue with the next one."""
        return (self() or "").startswith("max_time_s")

    def __deepcopy__(self, memo: Any) -> "StopRequest":
        """Return itself: a copy, such as in a copied configuration, would receive no signal."""
        return self

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():  # only there may signals be set
            for name in SAVING_SIGNALS:
                self._listen(name)
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._former = {}

    def _listen(self, name: str) -> None:
        number = getattr(signal, name)
        former = signal.getsignal(number)
        if former is signal.SIG_IGN and name in IGNORED_BY_NOHUP:
            return
        # A handler that was not set from Python reads as None, and cannot be restored.
        self._former[number] = signal.SIG_DFL if former is None else former
        signal.signal(number, self._note)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})

    def _note(self, number: int, frame: Optional[FrameType]) -> None:
        again = self.signal_name == "SIGINT" and number == signal.SIGINT
        if again:
            _die_of(number)
        if self.signal_name is None or number == signal.SIGINT:
            self.signal_name = signal.Signals(number).name
            _say(f"{self.signal_name}: saving after this iteration.")
            if number == signal.SIGINT:
                _say(" Press Ctrl-C again to stop at once.")
            _say("\n")


def _own_limit(max_time_s: Optional[float]) -> Optional[Deadline]:
    if max_time_s is None:
        return None
    return Deadline(time.monotonic() + max_time_s, f"max_time_s={max_time_s:g}")


def _batch_limit(environ: Mapping[str, str]) -> Optional[Deadline]:
    """Return when to stop so that a batch job saves before its time is up."""
    try:
        left_s = float(environ[BATCH_END_VARIABLE]) - time.time()
    except (KeyError, ValueError):
        return None
    margin_s = min(MAX_MARGIN_S, MARGIN_SHARE * max(left_s, 0.0))
    return Deadline(time.monotonic() + left_s - margin_s, "the batch job's time limit")


def _die_of(number: int) -> None:
    """End the process with the signal's default action; a shell loop around it ends too."""
    _say("Stopped at once; the last checkpoint is intact.\n")
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _say(text: str) -> None:
    """Write to stderr in a way that is safe in a signal handler: a buffered stream may be in use."""
    with contextlib.suppress(OSError):  # after SIGHUP there may be no terminal
        os.write(2, text.encode())
