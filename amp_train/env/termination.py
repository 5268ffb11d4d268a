"""When an episode has failed. A time limit is not a failure and is not decided here."""

import torch
from torch import Tensor

from amp_train.character import CharacterSpec, CharacterState

# N; below this a contact sensor reads noise (IsaacGymEnvs).
CONTACT_THRESHOLD_N = 0.1
NEVER = 2**62  # steps


class FallDetector:
    """Decides which characters have fallen."""

    def __init__(
        self,
        spec: CharacterSpec,
        termination_height: float,
        min_trunk_height: Tensor,
        device: torch.device,
        rise_height: float = 0.0,
        max_low_steps: int = NEVER,
    ) -> None:
        """Prepare the rules.

        Args:
            spec: `contact_body_ids` may touch the ground.
            termination_height: m; an episode ends when a forbidden body feels a contact while a forbidden body is
                lower than this (IsaacGymEnvs `compute_humanoid_reset`).
            min_trunk_height: (num_bodies,) m; an episode also ends when a body sinks below its figure; 0 switches a
                body off.
            device: where states live.
            rise_height: m, which the clip's root rises above again and again.
            max_low_steps: an episode also ends when the root has been lower than `rise_height` for more control steps
                than this on end. To lie where the clip rolls, or to stand where it leaps, is safer than to follow it,
                and the style reward alone does not forbid it.
        """
        self._rise_height, self._max_low_steps = rise_height, max_low_steps
        forbidden = [b for b in range(spec.num_bodies) if b not in spec.contact_body_ids]
        self._forbidden = torch.tensor(forbidden, dtype=torch.long, device=device)
        self._height = termination_height
        trunk = torch.nonzero(min_trunk_height > 0).reshape(-1)
        self._trunk, self._trunk_height = trunk.to(device), min_trunk_height[trunk].to(device)

    def low_steps(self, state: CharacterState, so_far: Tensor) -> Tensor:
        """Return for how many control steps on end (N,) long the characters have been low, this one included."""
        return (so_far + 1) * (state.root_pos[:, 2] < self._rise_height)

    def fallen(self, state: CharacterState, progress: Tensor, low_steps: Tensor) -> Tensor:
        """Return (N,) bool. In the first step after a reset contacts are not judged, as IsaacGymEnvs does: they may
        be stale.

        Args:
            state: with body_pos and contact_force.
            progress: (N,) long, steps since the reset.
            low_steps: (N,) long, from `low_steps`.
        """
        height = state.body_pos[..., 2]
        force = state.contact_force
        assert force is not None
        touches = (force[:, self._forbidden].abs() > CONTACT_THRESHOLD_N).flatten(1).any(-1)
        low = (height[:, self._forbidden] < self._height).any(-1)
        sunk = (height[:, self._trunk] < self._trunk_height).any(-1)
        return (touches & low & (progress > 1)) | sunk | (low_steps > self._max_low_steps)
