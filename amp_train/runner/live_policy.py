"""A policy that can be replaced while it acts: by another checkpoint, or the newest of a running training."""

from pathlib import Path
from typing import Any, List, Mapping, Tuple

from torch import Tensor

from amp_train.checkpoint.store import read_manifests
from amp_train.config import Config
from amp_train.runner.policy import Policy
from amp_train.runner.vec_env import AMPVecEnv


class LivePolicy:
    """Acts as the checkpoint that was loaded last.

    Attributes:
        current: its name.
    """

    def __init__(self, cfg: Config, vec_env: AMPVecEnv, checkpoint: str) -> None:
        """Load a checkpoint; the others to choose from are in the same folder."""
        self._cfg, self._vec_env, self._folder = cfg, vec_env, Path(checkpoint).parent
        self._policy, self.current = Policy(cfg, vec_env, checkpoint), Path(checkpoint).name

    def names(self) -> List[str]:
        """Return the checkpoints in the folder of the first: policies alone, then by iteration."""
        iterations = {checkpoint.policy.name: checkpoint.iteration for checkpoint in read_manifests(self._folder)[0]}
        found = [path.name for path in self._folder.glob("*.pth") if path.is_file()]
        return sorted(found, key=lambda name: (iterations.get(name, -1), name))

    def load(self, name: str) -> None:
        """Continue with another checkpoint.

        Raises:
            UserError: it cannot be read or does not fit; the policy does not change.
        """
        self._policy = Policy(self._cfg, self._vec_env, str(self._folder / name))
        self.current = name

    def start(self, vec_env: AMPVecEnv) -> Tensor:
        """Restart every episode; return obs."""
        return self._policy.start(vec_env)

    def act(self, obs: Tensor, deterministic: bool) -> Tensor:
        """Return actions (N, num_actions) in -1..1."""
        return self._policy.act(obs, deterministic)

    def judge(self, infos: Mapping[str, Any]) -> Tuple[Tensor, Tensor]:
        """Return logit and style reward (N,) of a step."""
        return self._policy.judge(infos)
