"""`MotionLibrary`: all clips packed in flat tensors on the device; N poses cost a few gathers and one slerp."""

from typing import List, Optional, Sequence, Tuple

import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterSpec, CharacterState, Kinematics
from amp_train.errors import MotionError
from amp_train.motion.clip import MotionClip
from amp_train.motion.fit import bundled_humanoid, match_joints
from amp_train.motion.velocities import cycle_of, frame_velocities, turn_about_z

_LEAST_TURN_RAD = 0.01  # of a cycle; a clip that turns less is straight


class MotionLibrary:
    """Weighted clips of one character, sampled and interpolated in batches.

    A wrap clip repeats endlessly in both directions: every cycle is moved along the ground and turned about the
    vertical so that it starts where the previous one ended. A clamp clip stays at its first and last frame, at rest.

    Attributes:
        clip_names: one per clip.
        durations_s: (num_clips,) s.
        weights: (num_clips,) sampling probabilities, sum 1.
        mean_root_speed: (num_clips,) m/s, horizontal path length of the root over the duration.
        min_body_height: (num_clips, num_bodies) m, lowest height of each body's origin over the clip's frames.
    """

    def __init__(
        self,
        clips: Sequence[MotionClip],
        weights: Optional[Sequence[float]] = None,
        device: "torch.device | str" = "cpu",
        spec: Optional[CharacterSpec] = None,
        history_s: float = 0.0,
        generator: Optional[torch.Generator] = None,
    ) -> None:
        """Pack the clips.

        Args:
            clips: at least one; their joints are mapped to the character by name.
            weights: relative sampling frequencies, all equal by default.
            device: of the tensors and look-ups.
            spec: the character; without one, the bundled humanoid.
            history_s: how far before a sampled time a clip is looked up too: (num_amp_obs_steps - 1) * control_dt_s.
            generator: source of randomness, on the same device; the global one by default.

        Raises:
            MotionError: no clip, bad weights, a clip for another character or shorter than the history.
        """
        self.spec = spec or bundled_humanoid()
        self.history_s = float(history_s)
        self._generator = generator
        clips = [match_joints(clip, self.spec) for clip in clips]
        _check(clips, self.history_s)
        self.clip_names = tuple(clip.name for clip in clips)
        self._kinematics = Kinematics(self.spec, device)
        self._pack(clips, torch.device(device))
        self._set_weights(weights)
        self.mean_root_speed = torch.tensor([_root_speed(clip) for clip in clips]).to(device)
        self.min_body_height = torch.stack([_min_body_height(clip, self.spec) for clip in clips]).to(device)

    def __len__(self) -> int:
        return len(self.clip_names)

    @property
    def device(self) -> torch.device:
        return self._rows.device

    def sample_clips(self, n: int) -> Tensor:
        """Draw n clip ids (n,) long, by weight."""
        u = torch.rand(n, device=self.device, generator=self._generator)
        return torch.searchsorted(self._cumulative, u, right=True).clamp_(max=len(self) - 1)

    def sample_times(self, clip_ids: Tensor, any_cycle: bool = False) -> Tensor:
        """Draw a time (N,) s for each clip id (N,), uniform over the clip.

        Where the clip does not wrap, it is at least `history_s`, so that the history is within the clip.

        Args:
            clip_ids: (N,) long.
            any_cycle: draw from as many cycles of a wrap clip that turns as take it once around, so that all headings
                of the endless motion are drawn; otherwise from the first cycle.
        """
        u = torch.rand(clip_ids.shape, device=self.device, generator=self._generator)
        earliest = self.earliest_s[clip_ids]
        times = earliest + u * (self.durations_s[clip_ids] - earliest)
        if any_cycle and self._any_turn:
            u = torch.rand(clip_ids.shape, device=self.device, generator=self._generator)
            times = times + torch.floor(u * self._cycles_around[clip_ids]) * self.durations_s[clip_ids]
        return times

    def state_at(self, clip_ids: Tensor, times_s: Tensor) -> CharacterState:
        """Look up the motion.

        Args:
            clip_ids: (N,) long.
            times_s: (N,) s since the clip's first frame; any number, negative ones too.

        Returns:
            The state of every (clip, time), contact_force excepted. Positions and rotations are interpolated between
            frames (slerp), velocities between the central differences at them; body_pos follows from the interpolated
            pose.
        """
        frame, blend, cycles, inside = self._locate(clip_ids, times_s)
        before, after = self._rows[frame], self._rows[frame + 1]
        num_rot = 4 * (self.spec.num_joints + 1)
        shape = (-1, self.spec.num_joints + 1, 4)
        rot = rotations.slerp(before[:, :num_rot].view(shape), after[:, :num_rot].view(shape), blend.view(-1, 1, 1))
        linear = torch.lerp(before[:, num_rot:], after[:, num_rot:], blend.unsqueeze(-1))
        root_pos, root_vel, root_ang_vel, dof_vel = linear.split((3, 3, 3, self.spec.num_dofs), dim=-1)
        root_rot, joint_rot = rot[:, 0], rot[:, 1:]
        if self._any_wrap:
            root_pos, root_rot, root_vel, root_ang_vel = self._to_cycle(
                clip_ids, cycles, (root_pos, root_rot, root_vel, root_ang_vel)
            )
        if not self._all_wrap:
            root_vel, root_ang_vel, dof_vel = root_vel * inside, root_ang_vel * inside, dof_vel * inside
        body_pos, body_rot = self._kinematics.forward(root_pos, root_rot, joint_rot)
        dof_pos = self._kinematics.dof_pos(joint_rot)
        return CharacterState(
            root_pos, root_rot, root_vel, root_ang_vel, dof_pos, dof_vel, joint_rot, body_pos, body_rot
        )

    def cycle_at(self, clip_ids: Tensor, times_s: Tensor) -> Tuple[Tensor, Tensor]:
        """Return the cycles (N,) that the times (N,) s of the clips (N,) are in, and the times within them."""
        duration = self.durations_s[clip_ids]
        cycles = torch.floor(times_s / duration) * self._wraps[clip_ids]
        return cycles, torch.minimum((times_s - cycles * duration).clamp(min=0.0), duration)

    def _locate(self, clip_ids: Tensor, times_s: Tensor) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return each time's row (frame before it), blend to the next (0 to 1), cycle, and (N, 1) 0 beyond the ends."""
        duration, wraps = self.durations_s[clip_ids], self._wraps[clip_ids]
        cycles, local = self.cycle_at(clip_ids, times_s)
        position = local * self._fps[clip_ids]
        before = torch.minimum(position.long(), self._last_interval[clip_ids])
        inside = (wraps > 0) | ((times_s >= 0) & (times_s <= duration))
        return (
            self._first_row[clip_ids] + before,
            (position - before).clamp(max=1.0),
            cycles,
            inside.unsqueeze(-1).to(duration.dtype),
        )

    def _to_cycle(
        self, clip_ids: Tensor, cycles: Tensor, root: Tuple[Tensor, Tensor, Tensor, Tensor]
    ) -> Tuple[Tensor, ...]:
        """Carry the root from the clip's own cycle to cycle n.

        n times p -> R(a) p + s is p -> R(n a) p + (1 + R(a) + ... + R((n - 1) a)) s, and that sum of rotations (a
        geometric series) is sin(n a / 2) / sin(a / 2) times the rotation by (n - 1) a / 2."""
        root_pos, root_rot, root_vel, root_ang_vel = root
        turn = self._turn[clip_ids]
        angle, half = cycles * turn, torch.sin(0.5 * turn)
        straight = half.abs() < 1e-5
        count = torch.where(
            straight, cycles, torch.sin(0.5 * angle) / torch.where(straight, torch.ones_like(half), half)
        )
        shift = turn_about_z(self._shift[clip_ids], 0.5 * (angle - turn)) * count.unsqueeze(-1)
        return (
            turn_about_z(root_pos, angle) + shift,
            rotations.quat_mul(rotations.yaw_quat(angle), root_rot),
            turn_about_z(root_vel, angle),
            turn_about_z(root_ang_vel, angle),
        )

    def _pack(self, clips: List[MotionClip], device: torch.device) -> None:
        cycles = [cycle_of(clip) for clip in clips]
        frames = torch.tensor([clip.num_frames for clip in clips])
        self._rows = torch.cat([_rows(clip, self.spec) for clip in clips]).to(device)
        self._first_row = (torch.cumsum(frames, 0) - frames).to(device)
        self._last_interval = (frames - 2).to(device)
        self._fps = torch.tensor([clip.fps for clip in clips]).to(device)
        self.durations_s = torch.tensor([clip.duration_s for clip in clips]).to(device)
        wraps = torch.tensor([float(clip.loop == "wrap") for clip in clips])
        self._any_wrap, self._all_wrap = bool(wraps.any()), bool(wraps.all())
        self._wraps = wraps.to(device)
        self.earliest_s = ((1.0 - wraps) * self.history_s).to(device)
        turn = torch.stack([cycle.turn for cycle in cycles])
        cycles_around = torch.ceil(2.0 * torch.pi / turn.abs().clamp(min=_LEAST_TURN_RAD))
        self._cycles_around = torch.where(turn.abs() < _LEAST_TURN_RAD, torch.ones_like(turn), cycles_around).to(device)
        self._any_turn = bool((self._cycles_around > 1.0).any())
        self._turn = turn.to(device)
        self._shift = torch.stack([torch.cat((cycle.shift, torch.zeros(1))) for cycle in cycles]).to(device)

    def _set_weights(self, weights: Optional[Sequence[float]]) -> None:
        given = torch.as_tensor([1.0] * len(self) if weights is None else weights, dtype=torch.float64).flatten()
        if len(given) != len(self) or not bool(torch.isfinite(given).all()) or not bool((given > 0).all()):
            raise MotionError(f"{len(self)} motion clips need {len(self)} weights, each positive and finite.")
        share = given / given.sum()
        self.weights = share.float().to(self.device)
        self._cumulative = torch.cumsum(share, 0).float().to(self.device)


def _check(clips: Sequence[MotionClip], history_s: float) -> None:
    if not clips:
        raise MotionError("A motion library needs at least one clip.")
    for clip in clips:
        if clip.loop != "wrap" and clip.duration_s < history_s:
            raise MotionError(
                f"Motion clip '{clip.name}' lasts {clip.duration_s:.3f} s, less than the "
                f"{history_s:.3f} s of the AMP observation history; "
                "use a longer clip or a smaller num_amp_obs_steps."
            )


def _rows(clip: MotionClip, spec: CharacterSpec) -> Tensor:
    """Lay out one row a frame: root and joint rotations, root_pos, root_vel, root_ang_vel, dof_vel."""
    root_vel, root_ang_vel, joint_ang_vel = frame_velocities(clip, cycle_of(clip))
    rot = torch.cat((clip.root_rot.unsqueeze(1), clip.joint_rot), dim=1).flatten(1)
    return torch.cat((rot, clip.root_pos, root_vel, root_ang_vel, Kinematics(spec).dof_vel(joint_ang_vel)), dim=1)


def _root_speed(clip: MotionClip) -> float:
    steps = (clip.root_pos[1:, :2] - clip.root_pos[:-1, :2]).norm(dim=-1)
    return float(steps.sum()) / clip.duration_s


def _min_body_height(clip: MotionClip, spec: CharacterSpec) -> Tensor:
    body_pos, _ = Kinematics(spec).forward(clip.root_pos, clip.root_rot, clip.joint_rot)
    return body_pos[..., 2].min(dim=0)[0]
