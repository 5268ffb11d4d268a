"""Random numbers of domain randomisation: what is to be drawn, distributions, schedules, and noise."""

import math
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Tuple

import torch
from torch import Tensor


class Source(NamedTuple):
    """Where random numbers come from."""

    generator: torch.Generator
    device: torch.device


def parameters_of(params: Any) -> Iterator[Tuple[str, Any]]:
    """List the physical parameters that are to be drawn, by their keys under `task.task.randomization_params`."""
    places: List[Tuple[str, Any]] = [("sim_params", params.sim_params)]
    for actor, config in params.actor_params.items():
        for name in ("rigid_body_properties", "rigid_shape_properties", "dof_properties"):
            places.append(("actor_params.{}.{}".format(actor, name), getattr(config, name)))
    for place, group in places:
        for name in group:
            if group[name] is not None:
                yield "{}.{}".format(place, name), group[name]


def drawn(distribution: str, bounds: Sequence[float], shape: Sequence[int], source: Source) -> Tensor:
    """Draw independent numbers: `gaussian` with bounds (mean, standard deviation), `uniform` or `loguniform` between
    bounds."""
    options: Dict[str, Any] = dict(generator=source.generator, device=source.device)
    low, high = bounds
    if distribution == "gaussian":
        return torch.randn(tuple(shape), **options).mul_(high).add_(low)
    unit = torch.rand(tuple(shape), **options)
    if distribution == "loguniform":
        return unit.mul_(math.log(high) - math.log(low)).add_(math.log(low)).exp_()
    return unit.mul_(high - low).add_(low)


def schedule_share(setting: Any, num_steps: int) -> float:
    """Return how much of a randomisation is applied after so many control steps, 0 to 1: `linear` grows until
    `schedule_steps`, `constant` sets in then, without a schedule it is all of it from the start."""
    if setting.schedule is None:
        return 1.0
    if setting.schedule == "linear":
        return min(num_steps / setting.schedule_steps, 1.0)
    return 0.0 if num_steps < setting.schedule_steps else 1.0


def scheduled(clean: Tensor, sample: Tensor, operation: str, share: float) -> Tensor:
    """Apply `share` of a sample to clean values: the sum (`additive`) or the product (`scaling`) at 1, nothing at 0."""
    if operation == "additive":
        return torch.add(clean, sample, alpha=share)
    return clean * (1.0 + share * (sample - 1.0))


class Noise:
    """White noise, and added to it a part that an environment keeps (IsaacGymEnvs' `range_correlated`).

    Attributes:
        correlated: (N, size) that part.
    """

    def __init__(self, setting: Any, num_envs: int, size: int, source: Source) -> None:
        self._setting, self._source = setting, source
        self.correlated = torch.zeros(num_envs, size, device=source.device)

    def begin(self, due: Tensor) -> None:
        """Draw the part that is kept anew in environments `due` (N,) bool."""
        setting = self._setting
        if setting.range_correlated is not None:
            fresh = drawn(setting.distribution, setting.range_correlated, self.correlated.shape, self._source)
            self.correlated = torch.where(due.unsqueeze(-1), fresh, self.correlated)

    def __call__(self, clean: Tensor, num_steps: int) -> Tensor:
        """Return clean values (N, size) with the noise of one control step."""
        setting = self._setting
        white = drawn(setting.distribution, setting.range, clean.shape, self._source)
        share = schedule_share(setting, num_steps)
        return scheduled(clean, white.add_(self.correlated), setting.operation, share)
