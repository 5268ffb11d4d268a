"""`HumanoidAMPDribble`: bring a ball to a place on the ground (Peng et al. 2021, appendix A).

    r = 0.1 r_cv + 0.1 r_cp + 0.3 r_bv + 0.5 r_bp
    r_cv = exp(-1.5 max(0, v* - d_ball . v)^2)       the character moves towards the ball,
    r_cp = exp(-0.5 |x_ball - x|^2)                  is near it,
    r_bv = exp(-max(0, v* - d* . v_ball)^2)          the ball moves towards the place,
    r_bp = exp(-0.5 |x* - x_ball|)                   is near it;

r = 1 where the ball is within 0.5 m of the place and the character within 2 m of the ball. x and v are of the centre of
mass, v* = 1 m/s. This is the author's code (`reward: code`); the paper has r_bp = exp(-0.5 |x* - x|^2), of the
character's own distance to the place (`reward: paper`).
"""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple

import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import CharacterState
from amp_train.env.tasks.base import (
    PlaceTask,
    TaskSetup,
    check_choice,
    check_range,
    direction_and_distance,
    to_heading_frame,
    unit,
)
from amp_train.env.tasks.registry import register_task
from amp_train.sim.scene import ObjectState, Scene, SceneObject

DONE_M, WITH_IT_M = 0.5, 2.0  # ball from the place, character from the ball


@dataclass
class DribbleSettings:
    """Settings of the ball and the places."""

    reward: str = "code"  # paper | code
    speed_m_s: float = 1.0  # v*; faster is as good
    ball_distance_m: List[float] = field(default_factory=lambda: [0.5, 10.0])  # from the character at the beginning
    place_distance_m: List[float] = field(default_factory=lambda: [0.2, 10.0])  # of a new place from the ball
    interval_s: List[float] = field(default_factory=lambda: [50.0, 100.0])  # between two places
    lost_m: float = 20.0  # ball from the place, or character from the ball: an episode fails beyond this
    radius_m: float = 0.2
    mass_kg: float = 0.43
    friction: float = 0.4
    damping: float = 0.4  # 1/s

    def __post_init__(self) -> None:
        check_choice("reward", self.reward, ("paper", "code"))
        for key in ("ball_distance_m", "place_distance_m", "interval_s"):
            check_range(key, getattr(self, key), least=0.0)


@register_task("HumanoidAMPDribble", DribbleSettings)
class Dribble(PlaceTask):
    """Goal, in the heading frame: direction and distance of the ball (3), and of the place from the ball (3); the
    ball's height above the ground, rotation (6), velocity (3) and angular velocity (3)."""

    goal_size = 19
    failure = "ball lost"

    def __init__(self, settings: DribbleSettings, setup: TaskSetup) -> None:
        super().__init__(settings, setup)
        self._until_new_s = torch.zeros(self.num_envs, device=self.device)
        self._ball = self.simulator.object_state()

    @classmethod
    def scene(cls, settings: Any) -> Scene:
        ball = SceneObject(
            "ball", "sphere", (settings.radius_m,), mass=settings.mass_kg, friction=settings.friction,
            damping=settings.damping, pos=(1.0, 1.0, settings.radius_m), rgba=(0.9, 0.9, 0.9, 1.0),
        )  # fmt: skip
        return Scene(objects=(ball,))

    def begin(self, chosen: Tensor, state: CharacterState) -> None:
        super().begin(chosen, state)
        ball = ObjectState.default(self.simulator.scene, self.num_envs, self.device)
        ball.pos[:, 0, :2] = state.root_pos[:, :2] + self.any_offset(self.settings.ball_distance_m)
        turned = torch.randn(self.num_envs, 1, 4, device=self.device, generator=self.generator)
        ball.rot = rotations.normalize(turned)
        self.simulator.set_object_state_where(chosen, ball)
        self._ball = self.simulator.object_state()
        self._draw(chosen)

    def _draw(self, chosen: Tensor) -> None:
        """Set a new place where `chosen` (N,) bool."""
        away = self.any_offset(self.settings.place_distance_m)
        free = (chosen & ~self.steered).unsqueeze(-1)
        self.place = torch.where(free, self._ball.pos[:, 0, :2] + away, self.place)
        self._until_new_s = torch.where(chosen, self.uniform(*self.settings.interval_s), self._until_new_s)

    def step(self, state: CharacterState) -> None:
        super().step(state)
        self._ball = self.simulator.object_state()
        self._until_new_s = self._until_new_s - self.control_dt_s

    def _offsets(self) -> Tuple[Tensor, Tensor]:
        """Return the offsets from character to ball and from ball to place, (N, 2) m, world."""
        ball = self._ball.pos[:, 0, :2]
        return ball - self.centre[:, :2], self.place - ball

    def reward(self, state: CharacterState) -> Tensor:
        wanted, (to_ball, to_place) = self.settings.speed_m_s, self._offsets()
        towards_ball = (unit(to_ball) * self.centre_vel).sum(-1)
        towards_place = (unit(to_place) * self._ball.vel[:, 0, :2]).sum(-1)
        ball_m, place_m = to_ball.norm(dim=-1), to_place.norm(dim=-1)
        near_place = torch.exp(-0.5 * place_m)
        if self.settings.reward == "paper":
            near_place = torch.exp(-0.5 * (self.place - self.centre[:, :2]).square().sum(-1))
        reward = (
            0.1 * torch.exp(-1.5 * (wanted - towards_ball).clamp(min=0.0).square())
            + 0.1 * torch.exp(-0.5 * ball_m.square())
            + 0.3 * torch.exp(-(wanted - towards_place).clamp(min=0.0).square())
            + 0.5 * near_place
        )
        return torch.where((place_m < DONE_M) & (ball_m < WITH_IT_M), torch.ones_like(reward), reward)

    def failed(self, state: CharacterState) -> Tensor:
        to_ball, to_place = self._offsets()
        return (to_ball.norm(dim=-1) > self.settings.lost_m) | (to_place.norm(dim=-1) > self.settings.lost_m)

    def change_goals(self, state: CharacterState) -> None:
        self._draw(self._until_new_s <= 0.0)

    def goal_obs(self, state: CharacterState) -> Tensor:
        ball, (_, to_place) = self._ball, self._offsets()
        to_ball = ball.pos[:, 0, :2] - state.root_pos[:, :2]
        where = [direction_and_distance(to_heading_frame(state, offset)) for offset in (to_ball, to_place)]
        axes = rotations.quat_to_tan_norm(ball.rot[:, 0]).unflatten(-1, (2, 3))
        vectors = torch.cat((axes, ball.vel, ball.ang_vel), dim=1)
        seen = rotations.rotate_to_heading(state.root_rot, vectors).flatten(1)
        return torch.cat((*where, ball.pos[:, 0, 2:], seen), dim=-1)

    def demo_goal(self, state: CharacterState) -> Tensor:
        """Return balls in the clips' direction, at rest, and places beyond them."""
        n, settings = len(state), self.settings
        velocity = to_heading_frame(state, state.root_vel[:, :2])
        ahead = torch.zeros_like(velocity)
        ahead[:, 0] = 1.0
        direction = torch.where(velocity.norm(dim=-1, keepdim=True) > 0.1, unit(velocity), ahead)
        (ball_low, ball_high), (place_low, place_high) = settings.ball_distance_m, settings.place_distance_m
        ball_m = self.uniform(ball_low, ball_high, n).unsqueeze(-1)
        place_m = self.uniform(place_low, place_high, n).unsqueeze(-1)
        height = torch.full_like(ball_m, settings.radius_m)
        rot = rotations.normalize(torch.randn(n, 4, device=self.device, generator=self.generator))
        still = torch.zeros(n, 6, device=self.device)
        return torch.cat(
            (direction, ball_m, direction, place_m, height, rotations.quat_to_tan_norm(rot), still), dim=-1
        )

    def metrics(self, state: CharacterState) -> Dict[str, Tensor]:
        """Return the distances of the ball to the place and of the character to the ball, and the share of the time in
        which the ball is there."""
        to_ball, to_place = self._offsets()
        place_m = to_place.norm(dim=-1)
        return {
            "ball_to_place_m": place_m,
            "distance_to_ball_m": to_ball.norm(dim=-1),
            "ball_there_share": (place_m < DONE_M).to(place_m.dtype),
        }
