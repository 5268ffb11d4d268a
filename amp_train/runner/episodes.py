"""Recording a policy's episodes for evaluation, all of them side by side."""

import logging
from typing import Callable, Dict, List, Optional, Tuple

import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterSpec, CharacterState, Kinematics
from amp_train.config import Config
from amp_train.env import AmpEnv
from amp_train.env.actions import PdActionMap
from amp_train.env.termination import CONTACT_THRESHOLD_N
from amp_train.evaluation.episodes import TIME_LIMIT, ClipReference, Episodes
from amp_train.evaluation.feet import FootPoints
from amp_train.motion import MotionLibrary, load_motion
from amp_train.runner.vec_env import AMPVecEnv
from amp_train.sim import Simulator

logger = logging.getLogger(__name__)

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
    act: Callable[[Tensor], Tensor],
    disc: Optional[Callable[[Dict[str, Tensor]], Tuple[Tensor, Tensor]]] = None,
) -> Episodes:
    """Play one episode in every environment, until the last has ended.

    Args:
        cfg: from `set_up_episodes`.
        vec_env: environments built from it.
        act: obs to actions.
        disc: a step's infos to logits (N,) and style rewards (N,); without it both are recorded as zero.
    """
    env = vec_env.env
    recorder, obs = _Recorder(cfg, env), vec_env.reset()
    with torch.no_grad():
        for _ in range(cfg.task.env.episode_length):
            action = act(obs)
            _, _, done, infos = vec_env.step(action)
            state = env.state
            judged = (state.root_pos.new_zeros(env.num_envs),) * 2 if disc is None else disc(infos)
            recorder.add(state, action.to(env.device), judged, done.to(env.device), infos["terminate"])
            if recorder.all_ended:
                break
            obs = vec_env.reset_done()
    say_warnings(env.simulator)
    return recorder.episodes()


def say_warnings(simulator: Simulator) -> None:
    """Log what a simulator says has gone wrong."""
    for line in simulator.pop_warnings():
        logger.warning("%s", line)


class _Recorder:
    """Rows of all environments, kept until the first end in each."""

    def __init__(self, cfg: Config, env: AmpEnv) -> None:
        self._cfg, self._env, self._spec = cfg, env, env.spec
        self._feet = list(env.spec.body_ids(list(cfg.character.contact_bodies)))
        self._foot_points = FootPoints(env.spec, self._feet, env.device)
        self._kinematics = Kinematics(env.spec, env.device)
        self._pd_target = PdActionMap(env.spec, env.device)
        self._rows: Dict[str, List[Tensor]] = {}
        self._lengths = torch.zeros(env.num_envs, dtype=torch.long, device=env.device)
        self._causes: List[str] = [TIME_LIMIT] * env.num_envs
        self._ended = torch.zeros(env.num_envs, dtype=torch.bool, device=env.device)
        self.all_ended = False

    def add(
        self, state: CharacterState, action: Tensor, judged: Tuple[Tensor, Tensor], done: Tensor, terminated: Tensor
    ) -> None:
        force = state.contact_force
        assert force is not None
        logit, style_reward = judged
        _, body_rot = self._kinematics.forward(state.root_pos, state.root_rot, state.joint_rot)
        row = {
            "body_pos": state.body_pos,
            "root_rot": state.root_rot,
            "root_vel": state.root_vel,
            "dof_pos": state.dof_pos,
            "foot_contact": (force[:, self._feet].abs() > CONTACT_THRESHOLD_N).any(-1),
            "foot_points": self._foot_points(state.body_pos, body_rot),
            "power_w": power_w(state, self._pd_target(action), self._spec),
            "style_reward": style_reward,
            "disc_logit": logit,
        }
        for name, tensor in row.items():
            self._rows.setdefault(name, []).append(tensor.clone().cpu())
        running = ~self._ended
        self._lengths += running
        for n in (running & terminated.to(running.device)).nonzero().flatten().tolist():
            self._causes[n] = fall_cause(self._cfg, self._env, state, n)
        self._ended |= done.bool()
        self.all_ended = bool(self._ended.all())

    def episodes(self) -> Episodes:
        rows = {name: torch.stack(values) for name, values in self._rows.items()}
        # A diverged world's last row is not finite; the episode ends before it, if there is anything before it.
        lengths = self._lengths.cpu()
        last = rows["body_pos"][lengths - 1, torch.arange(len(lengths))]
        lengths = torch.where(torch.isfinite(last).flatten(1).all(-1), lengths, (lengths - 1).clamp(min=1))
        rows = {name: torch.nan_to_num(tensor) for name, tensor in rows.items()}
        return Episodes(
            control_dt_s=self._env.control_dt_s,
            lengths=lengths,
            ends=tuple(self._causes),
            **rows,
        )


def power_w(state: CharacterState, pd_target: Tensor, spec: CharacterSpec) -> Tensor:
    """Return the sum over dofs of |torque * dof_vel| (N,) W; torque as the drive gives it:
    clamp(stiffness * (target - dof_pos) - damping * dof_vel, +-effort)."""
    stiffness, damping, effort = (
        gain.to(pd_target.device) for gain in (spec.dof_stiffness, spec.dof_damping, spec.dof_effort)
    )
    drive = stiffness * (pd_target - state.dof_pos) - damping * state.dof_vel
    torque = torch.minimum(torch.maximum(drive, -effort), effort)
    return (torque * state.dof_vel).abs().sum(-1)


def fall_cause(cfg: Config, env: AmpEnv, state: CharacterState, n: int) -> str:
    """Say what ended the episode of environment n: a body sank or touched the ground, it stayed low, or
    divergence."""
    spec, height = env.spec, state.body_pos[n, :, 2]
    if not bool(torch.isfinite(height).all()):
        return "diverged"
    trunk = list(spec.body_ids(list(cfg.character.fall_bodies)))
    lowest = env.motion_library.min_body_height.amin(0).to(height.device)[trunk]
    ratio = height[trunk] / lowest
    worst = int(ratio.argmin())
    if float(ratio[worst]) < cfg.task.env.fall_height_ratio:
        return "{} sank".format(spec.body_names[trunk[worst]])
    force = state.contact_force
    assert force is not None
    forbidden = torch.tensor([b for b in range(spec.num_bodies) if b not in spec.contact_body_ids], dtype=torch.long)
    touching = forbidden[(force[n, forbidden].abs() > CONTACT_THRESHOLD_N).any(-1).cpu()]
    if len(touching) == 0:
        rise_height = cfg.motion.rise_height
        return "stayed low" if rise_height and float(state.root_pos[n, 2]) < rise_height else "diverged"
    return "{} touched".format(spec.body_names[int(touching[height[touching].argmin()])])


def recorded_library(cfg: Config, env: AmpEnv) -> MotionLibrary:
    """Return the clips as they were recorded, which a policy is measured by, retimed or not."""
    if not cfg.motion.retime_flights:
        return env.motion_library
    clips, weights = load_motion(cfg.motion.file, env.spec)
    return MotionLibrary(clips, weights, env.device, env.spec)


def clip_references(library: MotionLibrary, control_dt_s: float) -> List[ClipReference]:
    """Return one pass of every clip of a library at the control rate."""
    return [_clip_reference(library, number, control_dt_s) for number in range(len(library))]


def _clip_reference(library: MotionLibrary, number: int, control_dt_s: float) -> ClipReference:
    """Look a clip up at steps as near to the control step as divide it evenly, and where its second pass begins."""
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
