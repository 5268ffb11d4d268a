"""Drift between two simulators from the same state under the same PD targets.

  python scripts/compare_simulators.py [sims=mujoco,mujoco_warp] [motion=walk,spinkick] [out=drift.png] [key=value ...]

Worlds begin at states drawn from the clip and follow it for one second by the targets that the warm start is cloned
from (`PdActionMap.following`), open loop. Prints, over the worlds, the median and the largest distance of the roots
and of the most distant joint after 1/30, 1/3 and 1 s, and draws both over time. For comparison, the effect of
rounding alone: the first simulator against itself from states moved by 1e-6.
"""

import sys
from typing import Dict, List, Tuple

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from amp_train.config import compose, resolve
from amp_train.config.overrides import parse_overrides
from amp_train.env import AmpEnv, make_env
from amp_train.env.actions import PdActionMap

NUM_ENVS, STEPS, SHOWN_STEPS = 64, 30, (1, 10, 30)
NUDGE = 1e-6  # rad, m


def start_and_targets(env: AmpEnv, seed: int) -> Tuple[object, List[Tensor]]:
    """Return states of the clip, and for each control step the targets that follow it from there."""
    library = env.motion_library
    clip_ids = torch.zeros(NUM_ENVS, dtype=torch.long)
    times_s = torch.rand(NUM_ENVS, generator=torch.Generator().manual_seed(seed)) * library.durations_s[0]
    drive = PdActionMap(env.spec, torch.device("cpu"))
    at = [library.state_at(clip_ids, times_s + k * env.control_dt_s) for k in range(STEPS + 1)]
    return at[0], [drive(drive.following(state)) for state in at[1:]]


def trajectory(overrides: List[str], nudge: float = 0.0) -> Tuple[Tensor, Tensor]:
    """Return root positions (STEPS, N, 3) and joint angles (STEPS, N, num_dofs)."""
    cfg = resolve(compose([f"num_envs={NUM_ENVS}", "sim_device=cpu", *overrides]))
    env = make_env(cfg)
    start, targets = start_and_targets(env, seed=1)
    start.root_pos[:, 0] += nudge
    start.dof_pos += nudge
    env.simulator.set_state(torch.arange(NUM_ENVS), start)
    root, joints = [], []
    for target in targets:
        env.simulator.step(target)
        state = env.simulator.state()
        root.append(state.root_pos.double().clone())
        joints.append(state.dof_pos.double().clone())
    env.close()
    return torch.stack(root), torch.stack(joints)


def drift(one: Tuple[Tensor, Tensor], other: Tuple[Tensor, Tensor]) -> Dict[str, Tensor]:
    """Return, over time and worlds (STEPS, N), how far roots (m) and the most distant joint (rad) are apart."""
    return {"root (m)": (one[0] - other[0]).norm(dim=-1), "joint (rad)": (one[1] - other[1]).abs().amax(-1)}


def draw(path: str, found: Dict[str, Dict[str, Tensor]]) -> None:
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    time_s = np.arange(1, STEPS + 1) / 30.0
    for axes, quantity in zip(figure.subplots(1, 2), ("root (m)", "joint (rad)")):
        for name, apart in found.items():
            rows = apart[quantity].clamp(min=1e-9).numpy()
            (line,) = axes.semilogy(time_s, np.median(rows, axis=1), label=name)
            axes.fill_between(time_s, rows.min(axis=1), rows.max(axis=1), color=line.get_color(), alpha=0.15)
        axes.set(xlabel="time (s)", ylabel=quantity, title=f"median and range of {NUM_ENVS} worlds")
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=90)


def main(arguments: List[str]) -> None:
    given = {"sims": "mujoco,mujoco_warp", "motion": "walk,spinkick", "out": "drift.png"}
    rest = []
    for text, parsed in zip(arguments, parse_overrides(arguments)):
        if parsed.key_or_group in given:
            given[parsed.key_or_group] = text.split("=", 1)[1]
        else:
            rest.append(text)
    sims, found = given["sims"].split(","), {}
    for motion in given["motion"].split(","):
        runs = [trajectory(["motion=" + motion, "sim=" + sim, *rest]) for sim in sims]
        nudged = trajectory(["motion=" + motion, "sim=" + sims[0], *rest], NUDGE)
        for name, other in list(zip(sims[1:], runs[1:])) + [(f"{sims[0]} from 1e-6 away", nudged)]:
            found[f"{motion}: {sims[0]} / {name}"] = drift(runs[0], other)
    for name, apart in found.items():
        for quantity, rows in apart.items():
            after = [(k / 30.0, rows[k - 1].median(), rows[k - 1].max()) for k in SHOWN_STEPS]
            shown = ", ".join("{:.3f} s {:.1e} / {:.1e}".format(*numbers) for numbers in after)
            sys.stdout.write(f"{name}, {quantity}: median / largest at {shown}\n")
    draw(given["out"], found)
    sys.stdout.write(f"figure: {given['out']}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
