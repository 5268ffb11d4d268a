"""`AmpEnv`: the vectorised humanoid environment. It only orchestrates; each rule lives in its own file."""

from dataclasses import replace
from typing import Any, Dict, Optional, Tuple

import torch
from torch import Tensor

from amp_train.character import CharacterState, Kinematics, configured_character
from amp_train.env.actions import PdActionMap
from amp_train.env.amp_history import AmpHistory
from amp_train.env.clip_low_steps import ClipLowSteps
from amp_train.env.divergence import DivergenceLog, Divergences
from amp_train.env.random_draws import Source
from amp_train.env.randomization import make_randomization
from amp_train.env.resets import DemoSampler, ResetPlanner, Starts
from amp_train.env.termination import FallDetector
from amp_train.errors import MotionError
from amp_train.motion import MotionLibrary, load_motion, retime_flights
from amp_train.sim import Simulator, make_simulator

_CARRIED = ("_obs", "_progress", "_low_steps", "_places", "_done", "_num_diverged")


class AmpEnv:
    """N humanoids on a simulator, with deferred resets: `step` leaves failed episodes as they ended, `reset_done`
    restarts them."""

    def __init__(
        self, cfg: Any, simulator: Simulator, motion_library: MotionLibrary, generator: torch.Generator
    ) -> None:
        """Assemble the environment.

        Args:
            cfg: `task` (see conf/task), `motion`, `character`, `sim.name`.
            simulator: the worlds.
            motion_library: the clips, on the simulator's device.
            generator: the library's source of randomness, and the environment's.
        """
        env, spec, device = cfg.task.env, simulator.spec, simulator.device
        self.simulator, self.motion_library, self.spec, self.device = simulator, motion_library, spec, device
        self.num_envs, self.control_dt_s = simulator.num_envs, simulator.control_dt_s
        self.obs_size, self.num_actions = spec.obs_size, spec.num_dofs
        self.amp_obs_size = env.num_amp_obs_steps * spec.obs_size
        self._num_diverged = torch.zeros((), dtype=torch.long, device=device)
        self._episode_length = env.episode_length
        self._generator = generator
        self._demos = DemoSampler(motion_library, spec, env.num_amp_obs_steps, self.control_dt_s, env.local_root_obs)
        self._resets = ResetPlanner(
            self._demos,
            cfg.motion.state_init or env.state_init,
            env.hybrid_init_prob,
            Kinematics(spec, device),
            self._generator,
        )
        self._pd_target = PdActionMap(spec, device)
        self._falls = make_fall_detector(cfg, simulator, motion_library) if env.early_termination else None
        self._history = AmpHistory(self.num_envs, env.num_amp_obs_steps, spec.obs_size, device)
        self._obs = torch.zeros(self.num_envs, self.obs_size, device=device)
        self._progress = torch.zeros(self.num_envs, dtype=torch.long, device=device)
        self._low_steps, self._places = torch.zeros_like(self._progress), torch.zeros_like(self._progress)
        self._clip_low_steps = make_clip_low_steps(cfg, motion_library, self.control_dt_s)
        self._done = torch.ones(self.num_envs, dtype=torch.bool, device=device)
        self._task_reward = torch.ones(self.num_envs, device=device)
        self._divergences = DivergenceLog(spec, self.num_envs, device)
        self._randomization = make_randomization(cfg, simulator, self.obs_size, Source(generator, device))

    @property
    def num_diverged(self) -> int:
        """How often a world left the finite numbers and was reset."""
        return int(self._num_diverged)

    def pop_divergences(self) -> Divergences:
        """Return what is known of diverged physics since the last call; this waits for the device."""
        return self._divergences.pop()

    @property
    def state(self) -> CharacterState:
        """All characters now."""
        return self.simulator.state()

    def reset(self) -> Tensor:
        """Restart every episode; return obs (N, obs_size)."""
        self._done.fill_(True)
        return self.reset_done()

    def reset_done(self) -> Tensor:
        """Restart the finished episodes; return obs (N, obs_size) of all environments."""
        begun = self._done
        if self._randomization is not None:
            self._randomization.begin(begun)
        if self.simulator.masked_resets:
            self._restart_where(begun)
        else:
            self._restart(begun.nonzero().squeeze(-1))
        return self._obs if self._randomization is None else self._randomization.shown_after_reset(self._obs, begun)

    def _restart(self, env_ids: Tensor) -> None:
        """Restart the environments `env_ids` (K,)."""
        if not len(env_ids):
            return
        starts = self._resets.plan(len(env_ids))
        self.simulator.set_state(env_ids, starts.state)
        self._divergences.begin(env_ids, starts.state)
        self._history.fill(env_ids, starts.history)
        self._obs = self._obs.index_copy(0, env_ids, starts.history[:, 0])
        self._progress[env_ids] = 0
        self._low_steps[env_ids] = self._low_steps_before(starts)
        self._places[env_ids] = starts.places
        self._done = torch.zeros_like(self._done)

    def _restart_where(self, chosen: Tensor) -> None:
        """Restart the environments `chosen` (N,) bool. All N starts are planned, as nobody waits to hear how many are
        needed."""
        starts = self._resets.plan(self.num_envs)
        self.simulator.set_state_where(chosen, starts.state)
        self._divergences.begin_where(chosen, starts.state)
        self._history.fill_where(chosen, starts.history)
        self._obs = torch.where(chosen.unsqueeze(-1), starts.history[:, 0], self._obs)
        self._progress = self._progress.masked_fill(chosen, 0)
        self._low_steps = torch.where(chosen, self._low_steps_before(starts), self._low_steps)
        self._places = torch.where(chosen, starts.places, self._places)
        self._done = torch.zeros_like(self._done)

    def _low_steps_before(self, starts: Starts) -> Tensor:
        """Return for how many control steps (K,) long the clips have been low where episodes begin."""
        if self._clip_low_steps is None:
            return torch.zeros_like(starts.places)
        return self._clip_low_steps.at(starts.clip_ids, starts.times_s) * starts.from_clip

    def step(self, action: Tensor) -> Tuple[Tensor, Tensor, Tensor, Dict[str, Tensor]]:
        """Apply actions (N, num_actions) for one control step.

        Returns:
            obs (N, obs_size) before any reset; task reward (N,), 1 a step as in IsaacGymEnvs; done (N,) bool; infos
            with `amp_obs` (N, amp_obs_size), `terminate` (N,) bool (failed: the next value is zero) and `time_outs`
            (N,) bool.
        """
        if self._randomization is not None:
            action = self._randomization.noisy_action(action)
        self.simulator.step(self._pd_target(action))
        self._progress += 1
        state, diverged = self.simulator.state(), self.simulator.diverged()
        # A diverged character keeps its last finite frame; the episode ends below.
        self._obs = torch.where(diverged.unsqueeze(-1), self._obs, self._demos.observe(state))
        self._history.push(self._obs)
        terminated = diverged if self._falls is None else diverged | self._fallen(self._falls, state)
        timed_out = (self._progress >= self._episode_length - 1) & ~terminated
        self._done = terminated | timed_out
        if self._resets.adaptive is not None:
            self._resets.adaptive.learn(self._places, self._progress, terminated)
        self._num_diverged += diverged.sum()
        self._divergences.step(diverged, action, state)
        infos = {"amp_obs": self._history.amp_obs, "terminate": terminated, "time_outs": timed_out}
        shown = self._obs if self._randomization is None else self._randomization.shown(self._obs)
        return shown, self._task_reward, self._done, infos

    def _fallen(self, rules: FallDetector, state: CharacterState) -> Tensor:
        self._low_steps = rules.low_steps(state, self._low_steps)
        return rules.fallen(state, self._progress, self._low_steps)

    def fetch_amp_obs_demo(self, n: int) -> Tensor:
        """Draw n demonstrations from the clips, (n, amp_obs_size), a fresh tensor."""
        return self._demos.sample(n)

    def fetch_action_demo(self, n: int) -> Tuple[Tensor, Tensor]:
        """Draw n observations of the clips (n, obs_size), and actions (n, num_actions) that go on along the clip: those
        of its pose in the middle of the control step."""
        obs, state = self._demos.sample_with_next(n, 0.5 * self.control_dt_s)
        return obs, self._pd_target.following(state)

    def get_state(self) -> Dict[str, Any]:
        """Return everything that a bit-identical continuation needs, as plain containers of CPU tensors and numbers."""
        tensors = {name: getattr(self, name).cpu().clone() for name in _CARRIED}
        return {
            "simulator": self.simulator.get_full_state(),
            "history": self._history.frames.cpu().clone(),
            "generator": self._generator.get_state(),
            "randomization": {} if self._randomization is None else self._randomization.get_state(),
            "failure_rate": None if self._resets.adaptive is None else self._resets.adaptive.failure_rate.cpu().clone(),
            **tensors,
        }

    def set_state(self, saved: Dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self.simulator.set_full_state(saved["simulator"])
        self._history.frames = saved["history"].to(self.device)
        self._generator.set_state(saved["generator"])
        if self._randomization is not None and saved.get("randomization"):
            self._randomization.set_state(saved["randomization"])
        none = torch.zeros_like(saved["_progress"])
        saved = {"_low_steps": none, **saved}  # states of former versions lack it
        rates, adaptive = saved.get("failure_rate"), self._resets.adaptive
        if adaptive is not None and rates is not None and len(rates) == len(adaptive.failure_rate):
            adaptive.failure_rate = rates.to(self.device)
        else:
            saved["_places"] = none  # a former version's state, or places of other clips
        for name in _CARRIED:
            setattr(self, name, saved[name].to(self.device))
        self._divergences.begin(torch.arange(self.num_envs, device=self.device), self.simulator.state())

    def close(self) -> None:
        """Release the simulator."""
        self.simulator.close()


def make_fall_detector(cfg: Any, simulator: Simulator, motion_library: MotionLibrary) -> FallDetector:
    """Build the rule from the task's settings; a clip's own preset goes first."""
    env, motion, spec = cfg.task.env, cfg.motion, simulator.spec
    height = env.termination_height if motion.termination_height is None else motion.termination_height
    min_height = torch.zeros(spec.num_bodies)
    trunk = list(spec.body_ids(cfg.character.fall_bodies))
    min_height[trunk] = env.fall_height_ratio * motion_library.min_body_height.amin(0).cpu()[trunk]
    if motion.max_low_s is None:
        return FallDetector(spec, height, min_height, simulator.device)
    low_steps = round(motion.max_low_s / simulator.control_dt_s)
    return FallDetector(spec, height, min_height, simulator.device, motion.rise_height, low_steps)


def make_clip_low_steps(cfg: Any, library: MotionLibrary, control_dt_s: float) -> Optional[ClipLowSteps]:
    """Look up how long the clips stay low, if there is a rule about that.

    Raises:
        MotionError: a clip breaks the rule itself.
    """
    motion = cfg.motion
    if motion.max_low_s is None:
        return None
    clips = ClipLowSteps(library, motion.rise_height, control_dt_s)
    if clips.longest >= round(motion.max_low_s / control_dt_s):
        raise MotionError(
            "{} stays below motion.rise_height={:g} m for {:.1f} s, and motion.max_low_s={:g} ends such episodes. "
            "Raise motion.max_low_s, or set both to null.".format(
                motion.file, motion.rise_height, clips.longest * control_dt_s, motion.max_low_s
            )
        )
    return clips


def make_env(cfg: Any) -> AmpEnv:
    """Build the environment of a composed configuration.

    Raises:
        UserError: an unknown name, a bad clip or character, a missing package.
    """
    allowed = cfg.motion.contact_bodies or cfg.character.contact_bodies
    spec = configured_character(cfg.character)
    spec = replace(spec, contact_body_ids=spec.body_ids(spec.body_names if list(allowed) == ["all"] else allowed))
    clips, weights = load_motion(cfg.motion.file, spec)  # a bad clip is told before a simulator is started
    if cfg.motion.retime_flights:
        clips = tuple(retime_flights(clip, spec) for clip in clips)
    simulator = make_simulator(cfg, spec)
    history_s = (cfg.task.env.num_amp_obs_steps - 1) * simulator.control_dt_s
    generator = torch.Generator(device=simulator.device).manual_seed(cfg.seed)
    library = MotionLibrary(clips, weights, simulator.device, spec, history_s, generator)
    return AmpEnv(cfg, simulator, library, generator)
