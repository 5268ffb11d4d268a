"""Measure a training on a GPU, for several numbers of environments and precisions of matrix products.

  python scripts/bench_gpu.py [num_envs=4096,8192,16384] [matmul=fp32,tf32,bf16] [key=value ...]

By default with recipe=isaacgymenvs and sim=mujoco_warp; further arguments are amp-train's. tf32 is what a training
does; bf16 adds critic and discriminator in bf16. The policy's forward pass is fp32 in all. Each row runs in
its own process with its own memory; a row that does not fit says so. Prints a table in Markdown, and
as its last line one JSON list with, for each row:
  physics_steps_per_s   control steps/s of Simulator.step alone, each sim.decimation steps of physics; nothing is reset,
                        so most lie on the ground
  env_steps_per_s       control steps/s of AmpEnv.step + reset_done
  train_samples_per_s   the whole training loop, median over iterations after the first three
  play_share            share of the loop spent acting (physics included); the rest is the update
  memory_gib            of the GPU, everything on it included
  most_rows, most_contacts_a_world  of MuJoCo Warp's buffers, what was needed (sim.njmax, sim.nconmax)
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any, Callable, Dict, List, Tuple

import torch
from rl_games.common.algo_observer import AlgoObserver

from amp_train.config import compose, resolve, rl_games_params
from amp_train.config.overrides import parse_overrides
from amp_train.env import AmpEnv, make_env
from amp_train.runner.rl_games import load_runner
from amp_train.runner.vec_env import AMPVecEnv

DEFAULTS = ["sim=mujoco_warp", "recipe=isaacgymenvs"]
MATMUL = {"fp32": [], "tf32": [], "bf16": ["train.params.config.mixed_precision=True"]}
STEPS, ROUNDS, ITERATIONS, WARM_UP = 16, 5, 10, 3
ACTION_NOISE = 0.1
COLUMNS = (
    "num_envs", "matmul", "physics_steps_per_s", "env_steps_per_s", "train_samples_per_s", "play_share", "memory_gib",
    "most_rows", "most_contacts_a_world",
)  # fmt: skip


def synchronized_s(function: Callable[[], object]) -> float:
    """Return the time of a function, including its work on the GPU."""
    wait = torch.cuda.synchronize if torch.cuda.is_available() else (lambda: None)
    wait()
    started_s = time.perf_counter()
    function()
    wait()
    return time.perf_counter() - started_s


def rate(env: AmpEnv, step: Callable[[], object]) -> float:
    """Return environment steps/s of a function that makes STEPS control steps."""
    spent_s = [synchronized_s(step) for _ in range(ROUNDS + 1)][1:]
    return env.num_envs * STEPS / statistics.median(spent_s)


def bench_env(env: AmpEnv) -> Dict[str, float]:
    noise = ACTION_NOISE * torch.randn(STEPS, env.num_envs, env.num_actions, device=env.device)
    targets = [env._pd_target(action) for action in noise]

    def act() -> None:
        for action in noise:
            env.step(action)
            env.reset_done()

    env.reset()
    env_rate = rate(env, act)
    env.reset()
    return {
        "physics_steps_per_s": rate(env, lambda: [env.simulator.step(target) for target in targets]),
        "env_steps_per_s": env_rate,
    }


class IterationTimes(AlgoObserver):
    """Notes how long iterations took, and how long of that was acting."""

    def __init__(self) -> None:
        super().__init__()
        self.total_s: List[float] = []
        self.play_s: List[float] = []

    def after_init(self, algo: Any) -> None:
        self._algo, train_epoch = algo, algo.train_epoch

        def timed() -> Any:
            times: List[Any] = []
            self.total_s.append(synchronized_s(lambda: times.append(train_epoch())))
            self.play_s.append(times[0][1])
            return times[0]

        algo.train_epoch = timed

    def after_clear_stats(self) -> None:
        pass


def bench_train(params: Dict[str, Any], env: AmpEnv, rl_device: str, matmul: str) -> Dict[str, float]:
    times = IterationTimes()
    with tempfile.TemporaryDirectory() as folder:
        params["config"].update(train_dir=folder, full_experiment_name="bench", save_frequency=0, print_stats=False)
        runner = load_runner(params, AMPVecEnv(env, rl_device), times)
        if matmul == "fp32":  # the runner has turned TF32 on, as in every training
            torch.set_float32_matmul_precision("highest")
        runner.run({"train": True, "play": False})
    samples = env.num_envs * params["config"]["horizon_length"]
    total_s, play_s = times.total_s[WARM_UP:], times.play_s[WARM_UP:]
    return {
        "train_samples_per_s": samples / statistics.median(total_s),
        "play_share": statistics.median(play / total for play, total in zip(play_s, total_s)),
    }


def memory_gib() -> float:
    """Return how much of the GPU is in use, 0 without one."""
    if not torch.cuda.is_available():
        return 0.0
    free, total = torch.cuda.mem_get_info()
    return (total - free) / 2**30


def bench_one(num_envs: str, matmul: str, overrides: List[str]) -> Dict[str, Any]:
    """Measure one row."""
    fixed = [f"max_iterations={ITERATIONS}", "num_envs=" + num_envs, "video=False", *MATMUL[matmul]]
    cfg = resolve(compose(DEFAULTS + fixed + overrides))
    torch.manual_seed(0)
    env = make_env(cfg)
    found: Dict[str, Any] = {"num_envs": env.num_envs, "matmul": matmul, **bench_env(env)}
    found.update(bench_train(rl_games_params(cfg), env, str(cfg.rl_device), matmul), memory_gib=memory_gib())
    if hasattr(env.simulator, "peak"):
        most_rows, most_contacts = env.simulator.peak()
        found.update(most_rows=most_rows, most_contacts_a_world=most_contacts / env.num_envs)
    return found


def bench_apart(num_envs: str, matmul: str, overrides: List[str]) -> Dict[str, Any]:
    """Measure one row in a separate process."""
    command = [sys.executable, __file__, "--one", num_envs, matmul, *overrides]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        sys.stderr.write(result.stderr)
        why = (result.stderr.strip().splitlines() or ["no word"])[-1]
        return {"num_envs": int(num_envs), "matmul": matmul, "failed": why}
    row: Dict[str, Any] = json.loads(result.stdout.strip().splitlines()[-1])
    return row


def split_arguments(arguments: List[str]) -> Tuple[List[str], List[str], List[str]]:
    """Return numbers of environments, ways of multiplying, and amp-train's own arguments."""
    lists = {"num_envs": ["4096", "8192", "16384"], "matmul": list(MATMUL)}
    rest = []
    for text, parsed in zip(arguments, parse_overrides(arguments)):
        if parsed.key_or_group in lists:
            lists[parsed.key_or_group] = text.split("=", 1)[1].split(",")
        else:
            rest.append(text)
    return lists["num_envs"], lists["matmul"], rest


def main(arguments: List[str]) -> None:
    if arguments[:1] == ["--one"]:
        sys.stdout.write("\n" + json.dumps(bench_one(arguments[1], arguments[2], arguments[3:])) + "\n")
        return
    sizes, ways, overrides = split_arguments(arguments)
    rows = [bench_apart(num_envs, matmul, overrides) for num_envs in sizes for matmul in ways]
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    sys.stdout.write(f"{device}, torch {torch.__version__}\n\n| {' | '.join(COLUMNS)} |\n|{'---|' * 9}\n")
    for row in rows:
        cells = [row.get(name, row.get("failed", "-")) for name in COLUMNS]
        shown = [f"{c:,.2f}" if isinstance(c, float) else str(c) for c in cells]
        sys.stdout.write(f"| {' | '.join(shown)} |\n")
    sys.stdout.write(json.dumps(rows) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
