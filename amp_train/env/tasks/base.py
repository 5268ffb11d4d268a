"""`Task`: goals, rewards and failures of N episodes, computed in batches and without waiting for a GPU."""

import math
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterSpec, CharacterState
from amp_train.errors import ConfigError, unknown_choice
from amp_train.sim import Simulator
from amp_train.sim.scene import Scene

LEAST_M = 1e-4  # a shorter offset has no direction


class TaskSetup(NamedTuple):
    """The arguments of a task.

    Attributes:
        simulator: the worlds; with `spec`, `num_envs`, `device`, `control_dt_s`.
        generator: the environment's source of randomness, on the simulator's device. All draws must come from it.
    """

    simulator: Simulator
    generator: torch.Generator


class Marker(NamedTuple):
    """Something to draw that shows a goal.

    Attributes:
        kind: `arrow`, `ball` or `flag`.
        pos: (N, 3) m, world; an arrow's tail, a ball's middle, a flag's foot.
        direction: (N, 3) m, world, an arrow's tip seen from its tail; None for the others.
    """

    kind: str
    pos: Tensor
    direction: Optional[Tensor] = None


class Task:
    """The base class of all tasks, without a goal and with reward 1.

    In every control step the environment calls `step`, `reward`, `metrics`, `failed`, `forgives`, `change_goals` and
    `goal_obs`, in this order: the reward is for the goals that the policy has seen, and the observation shows those it
    is to follow next. When episodes have ended, it calls `goes_on`, `put`, `begin` and `goal_obs`.
    Diverged worlds are processed with the others; the results in their rows are not used.

    Every tensor that is an attribute is saved in training states and restored from them, so a task needs no code for
    exact resume. Assign new tensors instead of writing into old ones.

    Attributes:
        goal_size: numbers in the observation of a goal.
        failure: what `failed` means, in a few words.
        controls: what `set_goal` can set, with least and largest value.
    """

    goal_size: int = 0
    failure: str = "task failed"
    controls: Dict[str, Tuple[float, float]] = {}

    def __init__(self, settings: Any, setup: TaskSetup) -> None:
        """Prepare for N episodes; `begin` is called before anything else.

        Args:
            settings: an instance of the dataclass that the task was registered with.
            setup: the worlds and the source of randomness.
        """
        simulator = setup.simulator
        self.settings, self.simulator, self.generator = settings, simulator, setup.generator
        self.spec: CharacterSpec = simulator.spec
        self.num_envs, self.device, self.control_dt_s = simulator.num_envs, simulator.device, simulator.control_dt_s

    @classmethod
    def scene(cls, settings: Any) -> Scene:
        """Return the objects and the terrain besides the character, before the simulator is built."""
        return Scene()

    def ground_height(self, state: CharacterState) -> Optional[Tensor]:
        """Return the height (N,) m of the ground that N characters stand on; None: it is level, at 0.

        Observations and the states passed to all other methods have heights measured from there."""
        return None

    def put(self, state: CharacterState) -> Optional[Tuple[CharacterState, Tensor]]:
        """Return states (n) that replace the starts chosen from the clips, and where (n,) bool they do; None:
        nowhere."""
        return None

    def begin(self, chosen: Tensor, state: CharacterState) -> None:
        """Begin episodes, those `chosen` (N,) bool, of characters in N states. Others do not change."""

    def step(self, state: CharacterState) -> None:
        """Process a control step that led to N states."""

    def reward(self, state: CharacterState) -> Tensor:
        """Return the rewards (N,), from 0 to 1, of the control step that led to N states."""
        return torch.ones(self.num_envs, device=self.device)

    def failed(self, state: CharacterState) -> Optional[Tensor]:
        """Return which episodes (N,) bool have failed at the task; None: none ever does."""
        return None

    def forgives(self, state: CharacterState, fallen: Tensor) -> Optional[Tensor]:
        """Return in which episodes (N,) bool a fall, of `fallen` (N,) bool, is not a failure; None: in none."""
        return None

    def goes_on(self, terminated: Tensor) -> Optional[Tensor]:
        """Return which of the failed episodes (N,) bool, without diverged ones, are followed by one that starts where
        they ended; None: none."""
        return None

    def change_goals(self, state: CharacterState) -> None:
        """Set new goals where they are due."""

    def goal_obs(self, state: CharacterState) -> Tensor:
        """Return the observation of the goals, (N, goal_size), in the characters' own frames."""
        return torch.zeros(self.num_envs, 0, device=self.device)

    def demo_goal(self, state: CharacterState) -> Tensor:
        """Return goals (n, goal_size), in the form of `goal_obs`, that n states of the clips fulfil.

        The policy's warm start imitates the clips under these."""
        return torch.zeros(len(state), self.goal_size, device=self.device)

    def metrics(self, state: CharacterState) -> Dict[str, Tensor]:
        """Return readable measures of success, each (N,), of the control step; NaN where there is
        none."""
        return {}

    def markers(self) -> List[Marker]:
        """Return the markers of the goals in a picture."""
        return []

    def set_goal(self, **values: float) -> None:
        """Set goals of all episodes by hand; from then on they change by hand only.

        Args:
            values: some of `controls`.

        Raises:
            ConfigError: another name, or a value out of its range.
        """
        for name, value in values.items():
            if name not in self.controls:
                raise unknown_choice(f"goal of {type(self).__name__}", name, self.controls)
            low, high = self.controls[name]
            if not low <= value <= high:
                raise ConfigError(f"The goal {name} must be from {low:g} to {high:g}, not {value:g}.")
        self._steer(values)

    def _steer(self, values: Dict[str, float]) -> None:
        """Set the goals of `set_goal`, whose values have been checked."""

    def get_state(self) -> Dict[str, Tensor]:
        """Return the tensors of the task, on the CPU."""
        return {name: value.cpu().clone() for name, value in vars(self).items() if isinstance(value, Tensor)}

    def set_state(self, saved: Dict[str, Tensor]) -> None:
        """Continue from `get_state`.

        Raises:
            ValueError: it is of another task.
        """
        for name, value in saved.items():
            now = getattr(self, name, value)
            if not isinstance(now, Tensor) or now.shape != value.shape:
                raise ValueError(f"the {name} of its task is another one")
            setattr(self, name, value.to(self.device, now.dtype, copy=True))

    def uniform(self, low: float, high: float, n: Optional[int] = None) -> Tensor:
        """Draw n numbers (n,), by default N, evenly from low to high."""
        n = self.num_envs if n is None else n
        return low + (high - low) * torch.rand(n, device=self.device, generator=self.generator)

    def normal(self, std: float) -> Tensor:
        """Draw (N,) numbers around 0 with a standard deviation."""
        return std * torch.randn(self.num_envs, device=self.device, generator=self.generator)


class GoalTask(Task):
    """A task that depends on how the characters move.

    The centre of mass is taken as the mean of the bodies' origins by mass, which is within centimetres of it and
    moves with it. Its velocity is the mean over the control step, as in the author's code.

    Attributes:
        centre: (N, 3) m, world.
        centre_vel: (N, 2) m/s, world, on the ground.
    """

    def __init__(self, settings: Any, setup: TaskSetup) -> None:
        super().__init__(settings, setup)
        self._mass_share = (self.spec.body_mass / self.spec.body_mass.sum()).to(self.device)
        self.centre = torch.zeros(self.num_envs, 3, device=self.device)
        self.centre_vel = torch.zeros(self.num_envs, 2, device=self.device)

    def begin(self, chosen: Tensor, state: CharacterState) -> None:
        self.centre = torch.where(chosen.unsqueeze(-1), self._centre_of(state), self.centre)
        self.centre_vel = torch.where(chosen.unsqueeze(-1), state.root_vel[:, :2], self.centre_vel)

    def step(self, state: CharacterState) -> None:
        centre = self._centre_of(state)
        self.centre_vel = (centre - self.centre)[:, :2] / self.control_dt_s
        self.centre = centre

    def _centre_of(self, state: CharacterState) -> Tensor:
        return torch.einsum("nbx,b->nx", state.body_pos, self._mass_share)


class PlaceTask(GoalTask):
    """A task whose goal is a place on the ground.

    Attributes:
        place: (N, 2) m, world.
        steered: () bool, the place is set by hand.
    """

    controls = {"x_m": (-1000.0, 1000.0), "y_m": (-1000.0, 1000.0)}

    def __init__(self, settings: Any, setup: TaskSetup) -> None:
        super().__init__(settings, setup)
        self.place = torch.zeros(self.num_envs, 2, device=self.device)
        self.steered = torch.zeros((), dtype=torch.bool, device=self.device)

    def any_offset(self, distance_m: Sequence[float]) -> Tensor:
        """Draw offsets (N, 2) m in any direction, as long as a range (least, most) says."""
        low, high = distance_m
        return direction_of(self.uniform(-math.pi, math.pi)) * self.uniform(low, high).unsqueeze(-1)

    def markers(self) -> List[Marker]:
        return [Marker("flag", torch.cat((self.place, torch.zeros_like(self.place[:, :1])), dim=-1))]

    def _steer(self, values: Dict[str, float]) -> None:
        """Take `x_m` and `y_m` of the place in the world."""
        self.steered = torch.ones_like(self.steered)
        x = torch.full_like(self.place[:, 0], values["x_m"]) if "x_m" in values else self.place[:, 0]
        y = torch.full_like(self.place[:, 1], values["y_m"]) if "y_m" in values else self.place[:, 1]
        self.place = torch.stack((x, y), dim=-1)


def to_heading_frame(state: CharacterState, vectors: Tensor) -> Tensor:
    """Turn world vectors (N, 2) or (N, 3) into the characters' heading frames: x ahead, y to the left."""
    if vectors.shape[-1] == 2:
        vectors = torch.cat((vectors, torch.zeros_like(vectors[:, :1])), dim=-1)
        return rotations.rotate_to_heading(state.root_rot, vectors.unsqueeze(1))[:, 0, :2]
    return rotations.rotate_to_heading(state.root_rot, vectors.unsqueeze(1))[:, 0]


def direction_of(angle: Tensor) -> Tensor:
    """Return unit vectors (..., 2) on the ground at angles (...,) rad from the x axis, counter-clockwise."""
    return torch.stack((torch.cos(angle), torch.sin(angle)), dim=-1)


def direction_and_distance(offset: Tensor) -> Tensor:
    """Describe offsets (N, 2) m by their unit direction, ahead (1, 0) where they are 0, and their length, (N, 3).

    The goals of heading, location, strike and dribble begin like this with where to go, so that the policy of one walks
    there in the others (`checkpoint=`)."""
    distance = offset.norm(dim=-1, keepdim=True)
    ahead = torch.zeros_like(offset)
    ahead[:, 0] = 1.0
    return torch.cat((torch.where(distance > LEAST_M, unit(offset), ahead), distance), dim=-1)


def unit(vector: Tensor) -> Tensor:
    """Scale vectors (..., 2) to length 1; vectors below 0.1 mm have no direction and stay short."""
    return vector / vector.norm(dim=-1, keepdim=True).clamp(min=LEAST_M)


def check_choice(key: str, given: str, allowed: Sequence[str]) -> None:
    """Refuse a setting of `task.goal` that is not among the allowed ones."""
    if given not in allowed:
        raise unknown_choice(f"task.goal.{key}", given, allowed)


def check_range(key: str, bounds: Sequence[float], least: float = -math.inf) -> None:
    """Refuse a setting of `task.goal` that is not [least, largest]."""
    if len(bounds) != 2 or not all(math.isfinite(bound) for bound in bounds) or not least <= bounds[0] <= bounds[1]:
        at_least = f", at least {least:g}" if math.isfinite(least) else ""
        raise ConfigError(f"task.goal.{key} must be [least, largest]{at_least}, not {list(bounds)}.")
