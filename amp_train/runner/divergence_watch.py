"""Diverging physics during training: the first cases are saved, and too many of them end the training."""

import logging
from pathlib import Path
from typing import Dict

from amp_train.env import AmpEnv
from amp_train.env.divergence import Divergences, save_dump
from amp_train.errors import SimulationError
from amp_train.runner.episodes import say_warnings

logger = logging.getLogger(__name__)

MAX_DUMPS = 3  # per run directory, so that a job that is requeued many times does not fill it
MIN_WINDOW_STEPS = 10_000  # over fewer environment steps a share means little


class DivergenceWatch:
    """Checks once an iteration how many environment steps diverged."""

    def __init__(self, env: AmpEnv, run_dir: Path, max_share: float) -> None:
        """Watch.

        Args:
            run_dir: where dumps go.
            max_share: of the environment steps, reset after each MIN_WINDOW_STEPS or each iteration.
        """
        self._env, self._run_dir, self._max_share = env, run_dir, max_share
        self._num_steps = self._num_diverged = self._iteration = 0

    def check(self, iteration: int) -> None:
        """Check the iteration that has just ended.

        Raises:
            SimulationError: physics diverges too often.
        """
        say_warnings(self._env.simulator)
        self._gather(iteration)
        if self._num_diverged > self._max_share * max(self._num_steps, MIN_WINDOW_STEPS):
            raise SimulationError(self._verdict(iteration))
        if self._num_steps >= MIN_WINDOW_STEPS:
            self._num_steps = self._num_diverged = 0

    def _gather(self, iteration: int) -> None:
        """Add what the environments have counted in an iteration."""
        found = self._env.pop_divergences()
        if found.num_diverged:
            self._dump(found, iteration)
        self._num_steps += found.num_steps
        self._num_diverged += found.num_diverged
        self._iteration = iteration

    def state_dict(self) -> Dict[str, int]:
        """Return the counts of the current window, including the iteration that is not checked yet."""
        self._gather(self._iteration + 1)
        return {"num_steps": self._num_steps, "num_diverged": self._num_diverged}

    def load_state_dict(self, state: Dict[str, int]) -> None:
        """Continue from `state_dict()`."""
        self._num_steps, self._num_diverged = int(state["num_steps"]), int(state["num_diverged"])

    def _dump(self, found: Divergences, iteration: int) -> None:
        """Write the states that diverged, if the run directory has few such files so far."""
        if len(self._dumps()) >= MAX_DUMPS:
            return
        path = self._run_dir / f"diverged_physics_ep_{iteration}.npz"
        try:
            save_dump(path, found, self._env.spec, iteration)
        except OSError as error:
            logger.warning("Physics diverged, and %s could not be written: %s.", path, error.strerror or error)
            return
        logger.warning(
            "Physics diverged in %d environment steps of iteration %d; training continues. States: %s",
            found.num_diverged,
            iteration,
            path,
        )

    def _dumps(self) -> "list[Path]":
        return sorted(self._run_dir.glob("diverged_physics_ep_*.npz"))

    def _verdict(self, iteration: int) -> str:
        dumps = self._dumps()
        return (
            f"Physics diverged in {self._num_diverged} of the last {self._num_steps} environment "
            f"steps, more than max_diverged_share={self._max_share:g}, at iteration "
            f"{iteration}. The states and actions before are in "
            f"{dumps[-1] if dumps else 'no file'}. Use smaller physics steps (sim.decimation=8), "
            "or check "
            "the character's masses, gains and limits; then continue from the last checkpoint."
        )
