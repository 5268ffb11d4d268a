"""The actions of a live viewer's user, with the same keys in every viewer."""

import time
from collections import deque
from typing import Callable, Deque, Dict, Optional, Protocol, Sequence

import torch

from amp_train.env import AmpEnv
from amp_train.runner.steering import KeyGoals, Steering

# Key, as the web viewer names it, and what it does.
KEYS: Dict[str, str] = {
    "space": "play or pause",
    "N": "next step",
    "R": "restart",
    "P": "push",
    "G": "ghost",
    "F": "follow",
    "arrowleft": "turn left",
    "arrowright": "turn right",
    "arrowup": "faster",
    "arrowdown": "slower",
}
MIN_SPEED, MAX_SPEED = 0.05, 4.0
_LAG_S = 0.25  # a larger delay behind real time is not caught up


class Live:
    """Playing, pausing and disturbing; requested by a viewer's thread, done by the loop's thread between two steps."""

    def __init__(self, env: AmpEnv) -> None:
        """Begin playing, at real time."""
        self.env, self.goals = env, KeyGoals(env.task.controls)
        self._steering = Steering(self.goals)
        self.paused, self.speed, self.follow, self.ghosts = False, 1.0, True, True
        self.restarted = torch.ones(env.num_envs, dtype=torch.bool)
        self._single_steps, self._due_s = 0, time.perf_counter()
        self._requests: Deque[Callable[[], None]] = deque()

    def ask(self, request: Callable[[], None]) -> None:
        """Queue something for the loop's thread."""
        self._requests.append(request)

    def do_requests(self) -> None:
        """Do what was requested."""
        while self._requests:
            self._requests.popleft()()
        self._steering.apply(self.env, 0.0)

    def wait(self, control_dt_s: float, is_running: Callable[[], bool], idle: Callable[[], None]) -> None:
        """Wait for real time, or while paused.

        Args:
            control_dt_s: s of the completed step.
            is_running: whether to continue.
            idle: called about twenty times a second while paused.
        """
        self._due_s = max(self._due_s + control_dt_s / self.speed, time.perf_counter() - _LAG_S)
        while True:
            self.do_requests()
            if not is_running():
                return
            left_s = self._due_s - time.perf_counter()
            if self.paused and not self._single_steps:
                idle()
                time.sleep(0.05)
                self._due_s = time.perf_counter()
            elif left_s > 0:
                time.sleep(min(left_s, 0.02))
            else:
                break
        self._single_steps = max(0, self._single_steps - 1)

    def press(self, key: str) -> None:
        """Do the action of a key of `KEYS`."""
        actions: Dict[str, Callable[[], None]] = {
            "space": self.toggle,
            "N": self.step_once,
            "R": self.restart,
            "P": self.push_somewhere,
            "G": self._toggle_ghosts,
            "F": self._toggle_follow,
        }
        if key.startswith("arrow"):
            self.steer(**self.goals.arrow(key[len("arrow") :]))
        else:
            actions[key]()

    def toggle(self) -> None:
        """Play or pause."""
        self.paused, self._single_steps = not self.paused, 0

    def step_once(self) -> None:
        """Pause, and do one more step."""
        self.paused, self._single_steps = True, self._single_steps + 1

    def _toggle_ghosts(self) -> None:
        self.ghosts = not self.ghosts

    def _toggle_follow(self) -> None:
        self.follow = not self.follow

    def restart(self, clip: Optional[int] = None, time_s: Optional[float] = None) -> None:
        """Restart all episodes: as the task does, or at a time in a clip."""
        self.ask(lambda: self._restart(clip, time_s))

    def _restart(self, clip: Optional[int], time_s: Optional[float]) -> None:
        env, everyone = self.env, torch.arange(self.env.num_envs, device=self.env.device)
        library = env.motion_library
        if clip is None:
            clip_ids = library.sample_clips(env.num_envs)
            times_s = library.sample_times(clip_ids)
        else:
            clip_ids = torch.full_like(everyone, clip)
            times_s = torch.full((env.num_envs,), float(time_s or 0.0), device=env.device)
        env.begin_at(everyone, clip_ids, torch.maximum(times_s, library.earliest_s[clip_ids]))
        self.restarted = torch.ones(env.num_envs, dtype=torch.bool)

    def push(self, velocity_m_s: Sequence[float], n: Optional[int] = None) -> None:
        """Change the velocity of character n, or of all, by (x, y, z) m/s in its world."""
        self.ask(lambda: self._push(torch.tensor([float(v) for v in velocity_m_s]), n))

    def push_somewhere(self, speed_m_s: float = 1.0) -> None:
        """Push all characters, from the side."""
        self.ask(lambda: self._push_aside(speed_m_s))

    def _push_aside(self, speed_m_s: float) -> None:
        angle = torch.rand(()) * 2.0 * torch.pi
        self._push(speed_m_s * torch.stack((torch.cos(angle), torch.sin(angle), 0.0 * angle)), None)

    def _push(self, velocity: torch.Tensor, n: Optional[int]) -> None:
        env = self.env
        chosen = torch.arange(env.num_envs, device=env.device) if n is None else torch.tensor([n], device=env.device)
        state = env.state[chosen].clone()
        state.root_vel = state.root_vel + velocity.to(env.device)
        env.simulator.set_state(chosen, state)

    def steer(self, **values: float) -> None:
        """Set goals of the task; without goals, do nothing."""
        if values:
            self.goals.values.update(values)
            self.ask(lambda: self.goals.set(values))


class Checkpoints(Protocol):
    """The interface of a viewer's checkpoint menu; `runner.live_policy.LivePolicy` is one."""

    current: str

    def names(self) -> Sequence[str]:
        """Return the checkpoints to choose from, oldest first."""

    def load(self, name: str) -> None:
        """Continue with another checkpoint.

        Raises:
            UserError: it cannot be used.
        """

    def follow(self) -> Optional[str]:
        """Go on with the newest checkpoint of a running training; return what to say of it, if it is another."""
