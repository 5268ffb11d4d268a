"""Inverse kinematics (mink): planted feet in place, hands and pelvis near their goals, hinges within their limits, and
the orientation of every part as far as that allows."""

from typing import Any, Dict, List, Tuple

import numpy as np
import torch
from torch import Tensor

from amp_train import rotations
from amp_train.character import Kinematics
from amp_train.errors import MissingPackageError, MotionError
from amp_train.motion.clip import continuous
from amp_train.motion.retarget.roles import SIDES
from amp_train.motion.retarget.target import Target
from amp_train.motion.retarget.transfer import Goals
from amp_train.motion.strength import pose_qpos

# Costs of a metre and of a radian: a foot error of 1 cm counts as much as a thigh error of 9 degrees.
_FOOT_COST, _HAND_COST, _HIPS_COST = 10.0, 1.0, 3.0
_TURN_COST = {"pelvis": 1.0, "chest": 1.0, "head": 0.5, "foot": 1.0}
_LIMB_COST = 0.6
_POSTURE_COST = 0.02
_DAMPING = 1e-4
_SOLVED = 2e-3  # rad or m of the last step
_STEPS, _STEPS_AT_FIRST = 8, 80
_SOLVER = "daqp"


def import_mink() -> Any:
    """Import mink, or raise an error that says how to install it."""
    try:
        import daqp  # noqa: F401
        import mink
    except ImportError:
        raise MissingPackageError(
            "Retargeting needs mink: pip install 'amp_train[motion]' (Python 3.10 or newer)."
        ) from None
    return mink


def solve(goals: Goals, target: Target, start: Tuple[Tensor, Tensor, Tensor]) -> Tuple[Tensor, Tensor, Tensor]:
    """Follow the goals frame by frame.

    Args:
        goals: where bodies should be.
        target: the character.
        start: root_pos (F, 3), root_rot (F, 4), joint_rot (F, J, 4) to start each frame from, if the character's
            joints can represent them.

    Returns:
        root_pos, root_rot and joint_rot like `start`.
    """
    solver = _Solver(goals, target, start)
    poses = [solver.frame(index) for index in range(len(start[0]))]
    body_pos, body_rot = (torch.from_numpy(np.stack(part)) for part in zip(*poses))
    return body_pos[:, 0], continuous(body_rot[:, 0]), continuous(_joint_rot(target, body_rot))


def _joint_rot(target: Target, body_rot: Tensor) -> Tensor:
    """Return joint rotations (F, J, 4) of bodies in the world (F, B, 4)."""
    spec = target.spec
    bodies = list(spec.joint_body_ids)
    parents = [spec.parent_ids[b] for b in bodies]
    rest = rotations.quat_mul(body_rot[:, parents], spec.body_offset_rot[bodies].double().expand(len(body_rot), -1, 4))
    return rotations.quat_mul(rotations.quat_conjugate(rest), body_rot[:, bodies])


class _Solver:
    """The tasks of one character, and its current pose."""

    def __init__(self, goals: Goals, target: Target, start: Tuple[Tensor, Tensor, Tensor]) -> None:
        import mujoco

        self._mink = mink = import_mink()
        self._goals, self._target, self._start = goals, target, start
        spec = target.spec
        self._model = mujoco.MjModel.from_xml_path(spec.mjcf_path)
        self._ids = [self._model.body(name).id for name in spec.body_names]
        self._configuration = mink.Configuration(self._model)
        self._limits = [mink.ConfigurationLimit(self._model)]
        self._turns = {part: self._task(target.bodies[part], 0.0, _turn_cost(part)) for part in goals.body_rot}
        self._places = {f"{side}_foot": self._task(target.bodies[f"{side}_foot"], _FOOT_COST, 0.0) for side in SIDES}
        self._hands = {side: self._task(target.bodies[f"{side}_hand"], _HAND_COST, 0.0) for side in goals.reach}
        self._root = self._task(0, _HIPS_COST, 0.0)
        self._posture = mink.PostureTask(self._model, cost=_POSTURE_COST)
        self._tasks: List[Any] = [self._root, self._posture, *self._turns.values(), *self._places.values(),
                                  *self._hands.values()]  # fmt: skip
        self._rot = {part: _wxyz(rot) for part, rot in goals.body_rot.items()}
        self._root_pos = start[0].numpy()
        self._hand_pos = _hand_goals(goals, target, start)
        self._qpos = _start_qpos(self._model, target, start)

    def frame(self, index: int) -> Tuple[np.ndarray, np.ndarray]:
        """Solve one frame; returns body_pos (B, 3) and body_rot (B, 4) xyzw."""
        first = index == 0
        if self._qpos is not None:
            self._configuration.update(self._qpos[index])
        elif first:
            qpos = self._configuration.q.copy()
            qpos[:3], qpos[3:7] = self._root_pos[0], _wxyz(self._start[1][:1])[0]
            self._configuration.update(qpos)
        self._set_targets(index)
        for _ in range(_STEPS_AT_FIRST if first and self._qpos is None else _STEPS):
            velocity = self._step(index)
            self._configuration.integrate_inplace(velocity, 1.0)
            if float(np.abs(velocity).max()) < _SOLVED:
                break
        data = self._configuration.data
        return data.xpos[self._ids].copy(), data.xquat[self._ids][:, [1, 2, 3, 0]]

    def _step(self, index: int) -> np.ndarray:
        try:
            return self._mink.solve_ik(
                self._configuration, self._tasks, 1.0, _SOLVER, damping=_DAMPING, limits=self._limits
            )
        except (self._mink.NoSolutionFound, ValueError, ArithmeticError):
            raise MotionError(
                f"Frame {index} cannot be retargeted to '{self._target.spec.name}': inverse kinematics finds no "
                "pose. Crop the clip, or set ik=False."
            ) from None

    def _task(self, body: int, place: float, turn: float) -> Any:
        name = self._target.spec.body_names[body]
        return self._mink.FrameTask(name, "body", position_cost=place, orientation_cost=turn, lm_damping=1e-3)

    def _set_targets(self, index: int) -> None:
        for part, turn in self._turns.items():
            turn.set_target(self._transform(self._rot[part][index], np.zeros(3)))
        still = np.array([1.0, 0.0, 0.0, 0.0])
        for role, place in self._places.items():
            place.set_target(self._transform(still, self._goals.points[role][index].numpy()))
        for side, hand in self._hands.items():
            hand.set_target(self._transform(still, self._hand_pos[side][index]))
        self._root.set_target(self._transform(still, self._root_pos[index]))
        self._posture.set_target(self._configuration.q.copy())

    def _transform(self, wxyz: np.ndarray, pos: np.ndarray) -> Any:
        return self._mink.SE3.from_rotation_and_translation(self._mink.SO3(wxyz), pos)


def _turn_cost(part: str) -> float:
    return _TURN_COST.get(part.split("_", 1)[-1], _LIMB_COST)


def _wxyz(rot: Tensor) -> np.ndarray:
    return rotations.xyzw_to_wxyz(rot).numpy()


def _hand_goals(goals: Goals, target: Target, start: Tuple[Tensor, Tensor, Tensor]) -> Dict[str, np.ndarray]:
    """Return where the hands should be (F, 3) m: from the character's own shoulders, posed by the orientations."""
    body_pos, _ = Kinematics(target.spec).forward(*(part.float() for part in start))
    return {
        side: (body_pos[:, target.bodies[f"{side}_upper_arm"]].double() + reach).numpy()
        for side, reach in goals.reach.items()
    }


def _start_qpos(model: Any, target: Target, start: Tuple[Tensor, Tensor, Tensor]) -> Any:
    """Return MuJoCo's qpos (F, nq) of a pose, None for a character whose parts are moved by chains of hinges: its
    joints cannot be set from the parts' orientations alone."""
    spec = target.spec
    moved = {target.bodies[part] for part in target.fixed}
    if any(body not in moved for body in spec.joint_body_ids):
        return None
    return pose_qpos(model, spec, *start)
