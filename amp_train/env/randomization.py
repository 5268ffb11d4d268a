"""Domain randomisation: noise on observations and actions, and physical parameters per environment.

The settings are those of IsaacGymEnvs' task files (config/schema.py). As there, the noise is on the policy's
observations and not on the discriminator's, and parameters are drawn when an episode begins. Differences from
IsaacGymEnvs are listed in docs/randomization.md."""

import math
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from amp_train.errors import ConfigError
from amp_train.sim import Simulator

if TYPE_CHECKING:
    from amp_train.config.schema import Config, RandomizationParams

# Of the nominal value; MuJoCo needs some mass, and the others cannot be negative.
LEAST_SHARE = {"mass": 0.01, "friction": 0.0, "stiffness": 0.0, "damping": 0.0}


class Source(NamedTuple):
    """Where random numbers come from."""

    generator: torch.Generator
    device: torch.device


def parameters_of(params: "RandomizationParams") -> Iterator[Tuple[str, Any]]:
    """List the physical parameters to draw, by their keys under `task.task.randomization_params`."""
    places: List[Tuple[str, Any]] = [("sim_params", params.sim_params)]
    for actor, config in params.actor_params.items():
        for name in ("rigid_body_properties", "rigid_shape_properties", "dof_properties"):
            places.append((f"actor_params.{actor}.{name}", getattr(config, name)))
    for place, group in places:
        for name in group:
            if group[name] is not None:
                yield f"{place}.{name}", group[name]


def sample_of(distribution: str, bounds: Sequence[float], shape: Sequence[int], source: Source) -> Tensor:
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
    `schedule_steps`, `constant` switches on then, without a schedule it is 1 from the start."""
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
    """White noise plus a part that an environment keeps (IsaacGymEnvs' `range_correlated`).

    Attributes:
        correlated: (N, size) the part that is kept.
    """

    def __init__(self, setting: Any, num_envs: int, size: int, source: Source) -> None:
        self._setting, self._source = setting, source
        self.correlated = torch.zeros(num_envs, size, device=source.device)

    def begin(self, due: Tensor) -> None:
        """Redraw the part that is kept in environments `due` (N,) bool."""
        setting = self._setting
        if setting.range_correlated is not None:
            fresh = sample_of(setting.distribution, setting.range_correlated, self.correlated.shape, self._source)
            self.correlated = torch.where(due.unsqueeze(-1), fresh, self.correlated)

    def __call__(self, clean: Tensor, num_steps: int) -> Tensor:
        """Return clean values (N, size) with the noise of one control step."""
        setting = self._setting
        white = sample_of(setting.distribution, setting.range, clean.shape, self._source)
        share = schedule_share(setting, num_steps)
        return scheduled(clean, white.add_(self.correlated), setting.operation, share)


class Parameter(NamedTuple):
    """One physical parameter that is drawn: its name in `Simulator.parameters`, its setting, its value before."""

    name: str
    setting: Any
    nominal: Tensor


class Randomization:
    """Draws for N environments, without a loop over them."""

    def __init__(
        self,
        settings: "RandomizationParams",
        parameters: Sequence[Parameter],
        simulator: Simulator,
        sizes: Tuple[int, int],
        source: Source,
    ) -> None:
        """Prepare.

        Args:
            settings: `task.task.randomization_params`.
            parameters: those of the simulator that are drawn.
            simulator: it has them.
            sizes: of an observation and of an action.
            source: where random numbers come from.
        """
        num_envs = simulator.num_envs
        self._simulator, self._source, self._frequency = simulator, source, settings.frequency
        self._parameters = list(parameters)
        self._obs_noise = _noise(settings.observations, num_envs, sizes[0], source)
        self._action_noise = _noise(settings.actions, num_envs, sizes[1], source)
        self._num_steps = 0
        self._age = torch.full((num_envs,), self._frequency, dtype=torch.long, device=source.device)
        self._is_new = torch.ones(num_envs, dtype=torch.bool, device=source.device)
        self._values = {p.name: p.nominal.expand(num_envs, -1).clone() for p in self._parameters}
        self._noisy_obs = torch.zeros(num_envs, sizes[0], device=source.device)
        possible = simulator.parameters()
        if "lower" in possible and "upper" in possible:
            self._middle = (0.5 * (possible["lower"] + possible["upper"])).to(source.device)

    def noisy_action(self, action: Tensor) -> Tensor:
        """Return noisy actions (N, num_actions), not yet clamped; a control step begins."""
        self._num_steps += 1
        self._age += 1
        return action if self._action_noise is None else self._action_noise(action, self._num_steps)

    def noisy_obs(self, obs: Tensor) -> Tensor:
        """Return obs (N, obs_size) with the noise of this control step."""
        self._noisy_obs = obs if self._obs_noise is None else self._obs_noise(obs, self._num_steps)
        return self._noisy_obs

    def begin(self, done: Tensor) -> None:
        """Draw for the episodes that begin (N,) bool, where `frequency` steps have passed since the last draw."""
        due = done & (self._age >= self._frequency)
        if not self._simulator.masked_resets and not due.any():
            return
        self._age.masked_fill_(due, 0)
        for noise in (self._obs_noise, self._action_noise):
            if noise is not None:
                noise.begin(due)
        for parameter in self._parameters:
            # Drawn in any case, so that later draws do not depend on it.
            value = self._draw(parameter)
            changing = due & self._is_new if parameter.setting.setup_only else due
            self._values[parameter.name] = torch.where(changing.unsqueeze(-1), value, self._values[parameter.name])
        self._is_new = self._is_new & ~due
        if self._values:
            self._simulator.set_parameters(due, self._values)

    def noisy_obs_after_reset(self, obs: Tensor, begun: Tensor) -> Tensor:
        """Return noisy obs (N, obs_size) as in `noisy_obs`, redrawn for the episodes that began."""
        if self._obs_noise is None:
            self._noisy_obs = obs
        else:
            noisy = self._obs_noise(obs, self._num_steps)
            self._noisy_obs = torch.where(begun.unsqueeze(-1), noisy, self._noisy_obs)
        return self._noisy_obs

    def get_state(self) -> Dict[str, Any]:
        """Return what a bit-identical continuation needs besides the random generator."""
        tensors = dict(self._values, age=self._age, is_new=self._is_new, noisy_obs=self._noisy_obs)
        for name, noise in (("obs", self._obs_noise), ("action", self._action_noise)):
            if noise is not None:
                tensors[name + "_noise"] = noise.correlated
        return dict({name: tensor.cpu().clone() for name, tensor in tensors.items()}, num_steps=self._num_steps)

    def set_state(self, saved: Dict[str, Any]) -> None:
        """Continue from `get_state`; what it lacks is not drawn until the next episodes."""
        device = self._source.device
        self._num_steps = saved["num_steps"]
        self._age, self._is_new, self._noisy_obs = (saved[n].to(device) for n in ("age", "is_new", "noisy_obs"))
        for name, noise in (("obs_noise", self._obs_noise), ("action_noise", self._action_noise)):
            if noise is not None and name in saved:
                noise.correlated = saved[name].to(device)
        self._values.update({name: saved[name].to(device) for name in self._values if name in saved})
        if self._values:
            self._simulator.set_parameters(torch.ones_like(self._is_new), self._values)

    def _draw(self, parameter: Parameter) -> Tensor:
        setting, nominal = parameter.setting, parameter.nominal
        sample = sample_of(setting.distribution, setting.range, self._values[parameter.name].shape, self._source)
        if setting.num_buckets:
            sample = bucketed(sample, setting)
        share = schedule_share(setting, self._num_steps)
        value = scheduled(nominal.expand_as(sample), sample, setting.operation, share)
        return self._possible(parameter.name, value, nominal)

    def _possible(self, name: str, value: Tensor, nominal: Tensor) -> Tensor:
        if name in LEAST_SHARE:
            return torch.maximum(value, LEAST_SHARE[name] * nominal)
        if name not in ("lower", "upper"):
            return value
        return torch.minimum(value, self._middle) if name == "lower" else torch.maximum(value, self._middle)


def bucketed(sample: Tensor, setting: Any) -> Tensor:
    """Round samples down to the lower edges of `num_buckets` equal intervals: of the range, or for a gaussian of two
    standard deviations around the mean."""
    low, high = setting.range
    if setting.distribution == "gaussian":
        low, high = low - 2.0 * high, low + 2.0 * high
    width = (high - low) / setting.num_buckets
    if width == 0.0:
        return torch.full_like(sample, low)
    return low + width * ((sample - low) / width).floor().clamp(0, setting.num_buckets - 1)


def make_randomization(cfg: "Config", simulator: Simulator, obs_size: int, source: Source) -> Optional[Randomization]:
    """Build the randomisation of `task.task`, None if it is off.

    Raises:
        ConfigError: a parameter that the simulator cannot change.
    """
    if not cfg.task.task.randomize:
        return None
    settings = cfg.task.task.randomization_params
    parameters = chosen_parameters(settings, simulator, cfg.sim.name)
    return Randomization(settings, parameters, simulator, (obs_size, simulator.spec.num_dofs), source)


def chosen_parameters(settings: "RandomizationParams", simulator: Simulator, simulator_name: str) -> List[Parameter]:
    """List the physical parameters of the settings.

    Raises:
        ConfigError: a parameter that the simulator cannot change.
    """
    possible = simulator.parameters()
    wanted = [(key, key.split(".")[-1], setting) for key, setting in parameters_of(settings)]
    refused = [key for key, name, _ in wanted if name not in possible]
    if refused:
        raise ConfigError(
            f"sim={simulator_name} cannot randomize {', '.join(refused)}: set these to null under "
            "task.task.randomization_params. It can randomize "
            f"{', '.join(['observations', 'actions', *sorted(possible)])}."
        )
    return [Parameter(name, setting, possible[name].to(simulator.device)) for _, name, setting in wanted]


def _noise(setting: Any, num_envs: int, size: int, source: Source) -> Optional[Noise]:
    return None if setting is None else Noise(setting, num_envs, size, source)
