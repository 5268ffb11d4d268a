"""A policy that can be replaced while it acts: by another checkpoint, or the newest of a running training."""

from pathlib import Path
from typing import Any, List, Mapping, Optional, Tuple

from torch import Tensor

from amp_train.checkpoint.store import policies, read_manifests
from amp_train.config import Config
from amp_train.errors import UserError
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
        self._refused: Optional[str] = None

    def names(self) -> List[str]:
        """Return the checkpoints in the folder of the first, oldest first; the acting one even if it was removed."""
        names = [path.name for path in policies(self._folder)]
        return names if self.current in names else [self.current, *names]

    def load(self, name: str) -> None:
        """Continue with another checkpoint.

        Raises:
            UserError: it cannot be read or does not fit; the policy does not change.
        """
        self._policy = Policy(self._cfg, self._vec_env, str(self._folder / name))
        self.current = name

    def follow(self) -> Optional[str]:
        """Go on with the newest checkpoint that the training has completed, if that is another; return what to say of
        it. One that cannot be used, or that the training has just removed, is tried once."""
        found, _ = read_manifests(self._folder)
        name = found[0].policy.name if found else self.current
        if name in (self.current, self._refused):
            return None
        try:
            self.load(name)
        except (UserError, OSError) as error:
            self._refused = name
            return f"{name}: {error}"
        return f"Acting: {name}"

    def start(self, vec_env: AMPVecEnv) -> Tensor:
        """Restart every episode; return obs."""
        return self._policy.start(vec_env)

    def act(self, obs: Tensor, deterministic: bool) -> Tensor:
        """Return actions (N, num_actions) in -1..1."""
        return self._policy.act(obs, deterministic)

    def judge(self, infos: Mapping[str, Any]) -> Tuple[Tensor, Tensor]:
        """Return logit and style reward (N,) of a step."""
        return self._policy.judge(infos)
