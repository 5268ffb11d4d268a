"""Recording episodes for evaluation, all in parallel, and the clips they are compared with."""

from typing import Dict, List, Sequence

import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import Kinematics
from amp_train.config import Config
from amp_train.env import AmpEnv
from amp_train.env.actions import PdActionMap, pd_torque
from amp_train.env.termination import CONTACT_THRESHOLD_N
from amp_train.evaluation.episodes import TIME_LIMIT, ClipReference, Episodes
from amp_train.evaluation.feet import FootPoints
from amp_train.motion import MotionLibrary, load_motion
from amp_train.runner.episodes import ActingPolicy, EpisodeCallback, EpisodeStep, run_episodes
from amp_train.runner.vec_env import AMPVecEnv

CLIP_FRAMES_AT_LEAST = 2


def set_up_episodes(cfg: Config, num_episodes: int, episode_s: float, seed: int) -> Config:
    """Return the configuration with `num_episodes` environments, each for one episode from a random phase of a clip."""
    cfg = cfg.copy()  # type: ignore[attr-defined]
    cfg.num_envs, cfg.seed = num_episodes, seed
    cfg.task.env.state_init, cfg.motion.state_init = "Random", None
    # The last step of an episode is the one before episode_length, as in IsaacGymEnvs.
    cfg.task.env.episode_length = max(1, round(episode_s * cfg.task.env.control_frequency_hz)) + 1
    return cfg


def record_episodes(
    cfg: Config,
    vec_env: AMPVecEnv,
    policy: ActingPolicy,
    deterministic: bool = True,
    callbacks: Sequence[EpisodeCallback] = (),
) -> Episodes:
    """Play one episode in every environment, until the last has ended.

    Args:
        cfg: from `set_up_episodes`.
        vec_env: environments built from it.
        policy: what acts.
        deterministic: act by the policy's mean, without noise.
        callbacks: act after a step is recorded.
    """
    recorder = Recorder(cfg, vec_env.env)
    run_episodes(vec_env, policy, [recorder, *callbacks], episodes=vec_env.num_envs, deterministic=deterministic)
    return recorder.episodes()


class Recorder(EpisodeCallback):
    """Rows of all environments, kept until the first end in each."""

    def __init__(self, cfg: Config, env: AmpEnv) -> None:
        self._env, self._spec = env, env.spec
        self._feet = list(env.spec.body_ids(list(cfg.character.contact_bodies)))
        self._foot_points = FootPoints(env.spec, self._feet, env.device)
        self._kinematics = Kinematics(env.spec, env.device)
        self._pd_target = PdActionMap(env.spec, env.device)
        self._rows: Dict[str, List[Tensor]] = {}
        self._task_rows: Dict[str, List[Tensor]] = {}
        self._lengths = torch.zeros(env.num_envs, dtype=torch.long, device=env.device)
        self._causes = torch.zeros(env.num_envs, dtype=torch.long, device=env.device)
        self._ended = torch.zeros(env.num_envs, dtype=torch.bool, device=env.device)

    def on_step(self, step: EpisodeStep) -> None:
        """Add a row."""
        state = step.state
        force = state.contact_force
        assert force is not None
        _, body_rot = self._kinematics.forward(state.root_pos, state.root_rot, state.joint_rot)
        torque = pd_torque(self._spec, state, self._pd_target(step.action))
        row = {
            "body_pos": state.body_pos,
            "root_rot": state.root_rot,
            "root_vel": state.root_vel,
            "dof_pos": state.dof_pos,
            "foot_contact": (force[:, self._feet].abs() > CONTACT_THRESHOLD_N).any(-1),
            "foot_points": self._foot_points(state.body_pos, body_rot),
            "power_w": (torque * state.dof_vel).abs().sum(-1),
            "style_reward": step.style_reward,
            "disc_logit": step.disc_logit,
        }
        if self._env.task.goal_size:
            row["task_reward"] = step.task_reward
        for name, tensor in row.items():
            self._rows.setdefault(name, []).append(tensor.clone().cpu())
        for name, tensor in self._env.task_metrics.items():
            self._task_rows.setdefault(name, []).append(tensor.clone().cpu())
        running = ~self._ended
        self._lengths += running
        self._causes = torch.where(running & step.done, step.cause, self._causes)
        self._ended = self._ended | step.done

    def episodes(self) -> Episodes:
        """Return what was recorded."""
        rows = {name: torch.stack(values) for name, values in self._rows.items()}
        # A diverged world's last row is not finite; the episode ends before it, if there is a row before it.
        lengths = self._lengths.cpu()
        last = rows["body_pos"][lengths - 1, torch.arange(len(lengths))]
        lengths = torch.where(torch.isfinite(last).flatten(1).all(-1), lengths, (lengths - 1).clamp(min=1))
        rows = {name: torch.nan_to_num(tensor) for name, tensor in rows.items()}
        return Episodes(
            control_dt_s=self._env.control_dt_s,
            lengths=lengths,
            ends=tuple(self._env.cause_names[cause] or TIME_LIMIT for cause in self._causes.tolist()),
            full_length=self._env.episode_length - 1,
            task_metrics={name: torch.stack(values) for name, values in self._task_rows.items()},
            **rows,
        )


def recorded_library(cfg: Config, env: AmpEnv) -> MotionLibrary:
    """Return the clips as recorded, before retiming: the reference of the evaluation."""
    if not cfg.motion.retime_flights:
        return env.motion_library
    clips, weights = load_motion(cfg.motion.file, env.spec)
    return MotionLibrary(clips, weights, env.device, env.spec)


def clip_references(library: MotionLibrary, control_dt_s: float) -> List[ClipReference]:
    """Return one pass of every clip of a library at the control rate."""
    return [_clip_reference(library, number, control_dt_s) for number in range(len(library))]


def _clip_reference(library: MotionLibrary, number: int, control_dt_s: float) -> ClipReference:
    """Sample a clip evenly at about the control step, and the start of its second pass."""
    duration_s = float(library.durations_s[number])
    frames = max(CLIP_FRAMES_AT_LEAST, round(duration_s / control_dt_s))
    times_s = torch.arange(frames + 1, device=library.device) * (duration_s / frames)
    state = library.state_at(torch.full_like(times_s, number, dtype=torch.long), times_s)
    headings = rotations.heading(state.root_rot[[0, frames]])
    turn = torch.remainder(headings[1] - headings[0] + torch.pi, 2 * torch.pi) - torch.pi
    goes_on = torch.allclose(state.dof_pos[0], state.dof_pos[frames], atol=1e-4)
    return ClipReference(
        name=library.clip_names[number],
        weight=float(library.weights[number]),
        speed_m_s=float(library.mean_root_speed[number]),
        body_pos=state.body_pos[:frames].cpu(),
        root_rot=state.root_rot[:frames].cpu(),
        dof_pos=state.dof_pos[:frames].cpu(),
        turn_rad=float(turn) if goes_on else 0.0,
    )
