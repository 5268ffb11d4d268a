"""`AmpEnv`: the vectorised environment. It only orchestrates; each rule is in its own file."""

import copy
import logging
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Dict, Optional, Tuple

import torch
from torch import Tensor

from amp_train.character import CharacterSpec, CharacterState, Kinematics, configured_character
from amp_train.env.actions import PdActionMap
from amp_train.env.amp_observations import AmpHistory, frame_size
from amp_train.env.divergence import DivergenceLog, Divergences
from amp_train.env.randomization import Source, make_randomization
from amp_train.env.resets import DemoSampler, ResetPlanner, Starts
from amp_train.env.task_meter import TaskMeter
from amp_train.env.tasks import TaskSetup, make_task, scene_of, task_settings
from amp_train.env.termination import make_clip_low_steps, make_termination
from amp_train.motion import MotionDataset, MotionLibrary, augmented, fill_in, load_motion, retime_flights
from amp_train.sim import Simulator, make_simulator

if TYPE_CHECKING:
    from amp_train.config.schema import Config

_LOG = logging.getLogger(__name__)
_CARRIED = ("_frame", "_goal_obs", "_progress", "_bins", "_clip_ids", "_clip_start_s", "_done", "_num_diverged")


class AmpEnv:
    """N characters on a simulator, with deferred resets: `step` leaves failed episodes as they ended, `reset_done`
    restarts them.

    Attributes:
        task: the task with its goals.
        frame_size: numbers in an observation frame of a character.
        obs_size: size of the policy's observation: a frame and the task's goal.
        amp_obs_size: size of the discriminator's observation: `num_amp_obs_steps` frames.
        character: its configuration, with the torque limits derived from the clips.
        cause_names: what each code of `infos["fall_cause"]` means.
        task_metrics: the task's measures of success (N,) in the last control step, by name; NaN where there is none.
    """

    def __init__(
        self, cfg: "Config", simulator: Simulator, motion_library: MotionLibrary, generator: torch.Generator
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
        self.character = cfg.character
        self.task = make_task(cfg.task, TaskSetup(simulator, generator))
        self.frame_size, self.num_actions = frame_size(spec), spec.num_dofs
        self.obs_size = self.frame_size + self.task.goal_size
        self.amp_obs_size = env.num_amp_obs_steps * self.frame_size
        self.episode_length = env.episode_length
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
        self._termination = make_termination(
            cfg, spec, motion_library, self.control_dt_s, self.num_envs, self.task.failure
        )
        self.cause_names = self._termination.cause_names
        self._clip_low_steps = make_clip_low_steps(cfg, motion_library, self.control_dt_s)
        self._history = AmpHistory(self.num_envs, env.num_amp_obs_steps, self.frame_size, device)
        self._frame = torch.zeros(self.num_envs, self.frame_size, device=device)
        self._goal_obs = torch.zeros(self.num_envs, self.task.goal_size, device=device)
        self._progress = torch.zeros(self.num_envs, dtype=torch.long, device=device)
        self._bins, self._clip_ids = torch.zeros_like(self._progress), torch.zeros_like(self._progress)
        self._clip_start_s = torch.zeros(self.num_envs, device=device)
        self._done = torch.ones(self.num_envs, dtype=torch.bool, device=device)
        self._going_on: Optional[Tensor] = None  # finished episodes whose successor starts where they ended
        self._num_diverged = torch.zeros((), dtype=torch.long, device=device)
        self._divergences = DivergenceLog(spec, self.num_envs, device)
        self._meter = TaskMeter(device)
        self.task_metrics: Dict[str, Tensor] = {}
        self._randomization = make_randomization(cfg, simulator, self.obs_size, Source(generator, device))

    @property
    def num_diverged(self) -> int:
        """How often a world diverged and was reset."""
        return int(self._num_diverged)

    def pop_divergences(self) -> Divergences:
        """Return the data on diverged physics since the last call; this waits for the device."""
        return self._divergences.pop()

    def pop_task_metrics(self) -> Dict[str, Optional[float]]:
        """Return the means of the task's measures of success since the last call; this waits for the device."""
        return self._meter.pop()

    @property
    def state(self) -> CharacterState:
        """The current state of all characters."""
        return self.simulator.state()

    @property
    def _obs(self) -> Tensor:
        """The policy's observation without noise (N, obs_size); without a goal, the frame itself."""
        return torch.cat((self._frame, self._goal_obs), dim=-1) if self.task.goal_size else self._frame

    def reset(self) -> Tensor:
        """Restart every episode; return obs (N, obs_size)."""
        self._done, self._going_on = torch.ones_like(self._done), None
        return self.reset_done()

    def spread_episodes(self) -> None:
        """Take the episodes that have just begun for older ones, evenly up to the time limit; for training.

        Otherwise all that last reach their limit in the same step, and rollouts have many starts or none (legged_gym's
        `init_at_random_ep_len`)."""
        self._progress = torch.arange(self.num_envs, device=self.device) * self.episode_length // self.num_envs
        self._clip_start_s = self._clip_start_s - self._progress * self.control_dt_s

    def reset_done(self) -> Tensor:
        """Restart the finished episodes; return obs (N, obs_size) of all environments."""
        begun, going_on = self._done, self._going_on
        restarted = begun if going_on is None else begun & ~going_on
        if self._randomization is not None:
            self._randomization.begin(begun)
        if self.simulator.masked_resets:
            state: Optional[CharacterState] = self._restart_where(restarted)
        else:
            state = self._restart(restarted.nonzero().squeeze(-1))
        if going_on is not None and (self.simulator.masked_resets or bool(going_on.any())):
            state = self._from_ground(self.simulator.state())
        self._progress = self._progress.masked_fill(begun, 0)
        self._begin_task(begun, state)
        return self._obs if self._randomization is None else self._randomization.noisy_obs_after_reset(self._obs, begun)

    def _plan(self, num: int) -> Starts:
        """Choose `num` starts, from the clips or by the task."""
        starts = self._resets.plan(num)
        put = self.task.put(starts.state)
        return starts if put is None else self._resets.replace(starts, *put)

    def _restart(self, env_ids: Tensor) -> Optional[CharacterState]:
        """Restart the environments `env_ids` (K,); return N states of which those rows are valid, None without any."""
        if not len(env_ids):
            return None
        starts = self._plan(len(env_ids))
        self._put(env_ids, starts)
        return _spread(starts.state, env_ids, self.num_envs) if self.task.goal_size else None

    def begin_at(self, env_ids: Tensor, clip_ids: Tensor, times_s: Tensor) -> None:
        """Restart the environments `env_ids` (K,) at `times_s` (K,) s in the clips `clip_ids` (K,), now; for a viewer.

        The policy sees it after the next `reset_done`."""
        state, history = self._demos.start_at(clip_ids, times_s)
        from_clip = torch.ones(len(env_ids), dtype=torch.bool, device=self.device)
        self._put(env_ids, Starts(state, history, clip_ids, times_s, from_clip, torch.zeros_like(clip_ids)))
        chosen = torch.zeros_like(self._done).index_fill(0, env_ids, True)
        self._progress, self._done = self._progress.masked_fill(chosen, 0), self._done & ~chosen
        if self.task.goal_size:
            now = self._from_ground(self.simulator.state())
            self.task.begin(chosen, now)
            self._goal_obs = torch.where(chosen.unsqueeze(-1), self.task.goal_obs(now), self._goal_obs)

    def _put(self, env_ids: Tensor, starts: Starts) -> None:
        """Start episodes in the environments `env_ids` (K,) from K starts."""
        self.simulator.set_state(env_ids, starts.state)
        self._divergences.begin(env_ids, starts.state)
        self._history.fill(env_ids, starts.history)
        self._frame = self._frame.index_copy(0, env_ids, starts.history[:, 0])
        self._termination.low_steps[env_ids] = self._low_steps_before(starts)
        self._bins[env_ids] = starts.bins
        self._clip_ids = self._clip_ids.index_copy(0, env_ids, starts.clip_ids)
        self._clip_start_s = self._clip_start_s.index_copy(0, env_ids, starts.times_s)

    def _restart_where(self, chosen: Tensor) -> CharacterState:
        """Restart the environments `chosen` (N,) bool; return N states of which those rows are valid. All N starts
        are planned, because counting those needed would wait for the device."""
        starts = self._plan(self.num_envs)
        self.simulator.set_state_where(chosen, starts.state)
        self._divergences.begin_where(chosen, starts.state)
        self._history.fill_where(chosen, starts.history)
        self._frame = torch.where(chosen.unsqueeze(-1), starts.history[:, 0], self._frame)
        low_steps = self._low_steps_before(starts)
        self._termination.low_steps = torch.where(chosen, low_steps, self._termination.low_steps)
        self._bins = torch.where(chosen, starts.bins, self._bins)
        self._clip_ids = torch.where(chosen, starts.clip_ids, self._clip_ids)
        self._clip_start_s = torch.where(chosen, starts.times_s, self._clip_start_s)
        return starts.state

    def _from_ground(self, state: CharacterState) -> CharacterState:
        """Return the characters with heights measured from the ground below them."""
        ground = self.task.ground_height(state)
        if ground is None:
            return state
        down = torch.stack((torch.zeros_like(ground), torch.zeros_like(ground), ground), dim=-1)
        return replace(state, root_pos=state.root_pos - down, body_pos=state.body_pos - down.unsqueeze(1))

    def _begin_task(self, chosen: Tensor, state: Optional[CharacterState]) -> None:
        """Start the task's part of the episodes `chosen` (N,) bool in their rows of N states; all continue."""
        if self.task.goal_size and state is not None:
            self.task.begin(chosen, state)
            self._goal_obs = torch.where(chosen.unsqueeze(-1), self.task.goal_obs(state), self._goal_obs)
        self._done, self._going_on = torch.zeros_like(self._done), None

    def _low_steps_before(self, starts: Starts) -> Tensor:
        """Return for how many control steps (K,) long the clips have been low at the start of each episode."""
        if self._clip_low_steps is None:
            return torch.zeros_like(starts.bins)
        return self._clip_low_steps.at(starts.clip_ids, starts.times_s) * starts.from_clip

    def step(self, action: Tensor) -> Tuple[Tensor, Tensor, Tensor, Dict[str, Tensor]]:
        """Apply actions (N, num_actions) for one control step.

        Returns:
            obs (N, obs_size) before any reset; task reward (N,); done (N,) bool; infos with `amp_obs`
            (N, amp_obs_size), `terminate` (N,) bool (failed: the next value is zero), `time_outs` (N,) bool,
            `fall_cause` (N,) long (0, or the index in `cause_names`), and the phase of an episode that follows the clip
            it started in: `clip_ids` (N,) long, `clip_times_s` (N,) s since the clip's first frame, possibly beyond its
            end. For an episode that started in the default pose these two are meaningless.
        """
        if self._randomization is not None:
            action = self._randomization.noisy_action(action)
        self.simulator.step(self._pd_target(action))
        self._progress += 1
        world_state, diverged = self.simulator.state(), self.simulator.diverged()
        state = self._from_ground(world_state)
        # A diverged character keeps its last finite frame; the episode ends below.
        self._frame = torch.where(diverged.unsqueeze(-1), self._frame, self._demos.observe(state))
        self._history.push(self._frame)
        task_reward = self._judge_task(state, diverged)
        cause = self._termination.cause(state, self._progress, diverged, self.task)
        self._change_goals(state, diverged)
        terminated = cause > 0
        timed_out = (self._progress >= self.episode_length - 1) & ~terminated
        self._done = terminated | timed_out
        self._going_on = self.task.goes_on(terminated & ~diverged)
        if self._resets.adaptive is not None:
            self._resets.adaptive.learn(self._bins, self._progress, terminated)
        self._num_diverged += diverged.sum()
        self._divergences.step(diverged, action, world_state)
        infos = {
            "amp_obs": self._history.amp_obs,
            "terminate": terminated,
            "time_outs": timed_out,
            "fall_cause": cause,
            "clip_ids": self._clip_ids,
            "clip_times_s": torch.add(self._clip_start_s, self._progress, alpha=self.control_dt_s),
        }
        obs = self._obs if self._randomization is None else self._randomization.noisy_obs(self._obs)
        return obs, task_reward, self._done, infos

    def _judge_task(self, state: CharacterState, diverged: Tensor) -> Tensor:
        """Return the task's reward (N,), 0 for diverged characters."""
        self.task.step(state)
        reward = self.task.reward(state).masked_fill(diverged, 0.0)
        if self.task.goal_size:
            self.task_metrics = self.task.metrics(state)
            self._meter.add(self.task_metrics, diverged)
        return reward

    def _change_goals(self, state: CharacterState, diverged: Tensor) -> None:
        self.task.change_goals(state)
        if self.task.goal_size:
            self._goal_obs = torch.where(diverged.unsqueeze(-1), self._goal_obs, self.task.goal_obs(state))

    def fetch_amp_obs_demo(self, n: int) -> Tensor:
        """Draw n demonstrations from the clips, (n, amp_obs_size), a fresh tensor."""
        return self._demos.sample(n)

    def fetch_amp_obs_at(self, clip_ids: Tensor, times_s: Tensor) -> Tensor:
        """Return the AMP observations (n, amp_obs_size) of the clips `clip_ids` (n,) at `times_s` (n,) s, as in
        `step`."""
        return self._demos.start_at(clip_ids, times_s)[1].flatten(1)

    def fetch_action_demo(self, n: int) -> Tuple[Tensor, Tensor]:
        """Draw n observations of the clips (n, obs_size), and actions (n, num_actions) that follow the clip: those of
        its pose in the middle of the control step. Goals of a task are such that the clip follows them."""
        state, later = self._demos.sample_with_next(n, 0.5 * self.control_dt_s)
        obs = self._demos.observe(state)
        if self.task.goal_size:
            obs = torch.cat((obs, self.task.demo_goal(state)), dim=-1)
        return obs, self._pd_target.following(later)

    def get_state(self) -> Dict[str, Any]:
        """Return everything that a bit-identical continuation needs, as plain containers of CPU tensors and numbers."""
        tensors = {name: getattr(self, name).cpu().clone() for name in _CARRIED}
        return {
            "simulator": self.simulator.get_full_state(),
            "history": self._history.frames.cpu().clone(),
            "low_steps": self._termination.low_steps.cpu().clone(),
            "generator": self._generator.get_state(),
            "randomization": {} if self._randomization is None else self._randomization.get_state(),
            "failure_rate": None if self._resets.adaptive is None else self._resets.adaptive.failure_rate.cpu().clone(),
            "task": self.task.get_state(),
            "going_on": None if self._going_on is None else self._going_on.cpu().clone(),
            "task_metrics": self._meter.get_state(),
            **tensors,
        }

    def set_state(self, saved: Dict[str, Any]) -> None:
        """Continue from `get_state`.

        Raises:
            ValueError, RuntimeError: it is of another environment.
        """
        self.simulator.set_full_state(saved["simulator"])
        self._history.frames = _like(saved["history"], self._history.frames)
        self._termination.low_steps = _like(saved["low_steps"], self._termination.low_steps)
        self._generator.set_state(saved["generator"])
        if self._randomization is not None and saved["randomization"]:
            self._randomization.set_state(saved["randomization"])
        self.task.set_state(saved["task"])
        self._going_on = None if saved["going_on"] is None else _like(saved["going_on"], self._done)
        self._meter.set_state(saved["task_metrics"])
        for name in _CARRIED:
            setattr(self, name, _like(saved[name], getattr(self, name)))
        # The clips may be others now.
        self._clip_ids = self._clip_ids.clamp(0, len(self.motion_library) - 1)
        rates, adaptive = saved["failure_rate"], self._resets.adaptive
        if adaptive is not None and rates is not None and len(rates) == len(adaptive.failure_rate):
            adaptive.failure_rate = _like(rates, adaptive.failure_rate)
            self._bins = self._bins.clamp(0, len(rates) - 1)
        else:
            self._bins = torch.zeros_like(self._bins)  # rates of other clips
        self._divergences.begin(torch.arange(self.num_envs, device=self.device), self.simulator.state())

    def close(self) -> None:
        """Release the simulator."""
        self.simulator.close()


def fitted_to_clips(cfg: "Config") -> Tuple["Config", CharacterSpec, MotionDataset]:
    """Return a copy of the configuration with open keys derived from its clips, the character, and the clips."""
    cfg, spec = copy.deepcopy(cfg), configured_character(cfg.character)
    clips, weights = load_motion(cfg.motion.file, spec)
    if cfg.motion.retime_flights:
        clips = tuple(retime_flights(clip, spec) for clip in clips)
    usual = replace(spec, contact_body_ids=spec.body_ids(cfg.character.contact_bodies))
    said = fill_in(cfg.motion, cfg.character, clips, usual)
    if said:
        say_once(f"{cfg.motion.file}: {'; '.join(said)}")
        spec = configured_character(cfg.character)
    return cfg, spec, MotionDataset(clips, weights)


@lru_cache(maxsize=None)
def say_once(text: str) -> None:
    """Log a line once: a training builds several environments."""
    _LOG.warning(text)


def _like(saved: Tensor, now: Tensor) -> Tensor:
    """Return a copy of a saved tensor as what it takes the place of is: on its device, of its type and shape."""
    return saved.to(now, copy=True).reshape(now.shape)


def _spread(state: CharacterState, env_ids: Tensor, num_envs: int) -> CharacterState:
    """Return N states of which the rows `env_ids` (K,) are K given ones; the others are meaningless."""
    rows = {name: tensor.new_zeros((num_envs, *tensor.shape[1:])) for name, tensor in state.tensors().items()}
    return CharacterState(**{name: row.index_copy(0, env_ids, getattr(state, name)) for name, row in rows.items()})


def make_env(cfg: "Config") -> AmpEnv:
    """Build the environment of a composed configuration.

    Raises:
        UserError: an unknown name, a bad clip or character, a missing package.
    """
    task_settings(cfg.task.name, cfg.task.goal)  # a bad task or clip is reported before a simulator is started
    cfg, spec, (clips, weights) = fitted_to_clips(cfg)
    clips, weights = augmented(clips, weights, cfg.motion.augment, spec)
    allowed = cfg.motion.contact_bodies or cfg.character.contact_bodies
    spec = replace(spec, contact_body_ids=spec.body_ids(spec.body_names if list(allowed) == ["all"] else allowed))
    simulator = make_simulator(cfg, spec, scene_of(cfg.task))
    history_s = (cfg.task.env.num_amp_obs_steps - 1) * simulator.control_dt_s
    generator = torch.Generator(device=simulator.device).manual_seed(cfg.seed)
    library = MotionLibrary(clips, weights, simulator.device, spec, history_s, generator)
    return AmpEnv(cfg, simulator, library, generator)
