"""Measure where the time of a training goes; `make bench` runs it.

  python scripts/bench.py [key=value ...]        the overrides of amp-train, e.g. num_envs=512 motion=run

Prints a table and, as its last line, one JSON object:
  raw_rollout_steps_per_s  control steps/s of bare mujoco.rollout: same model, worlds, substeps, threads and start
  env_steps_per_s          control steps/s of AmpEnv.step + reset_done: physics, observations, history, falls, resets
  env_efficiency           env / raw: median over rounds of the two measured in turn, so that a busy machine hits both
  train_samples_per_s      the whole training loop, as `amp-train` runs it, after its first iterations
  train_efficiency         train / raw: median over iterations, each divided by a raw measurement right after it
  demo_states_per_s        motion library look-ups (interpolation, forward kinematics) of a batch of 4096, one thread

For a task with goals also:
  imitation_steps_per_s    control steps/s of the same clips without goals (task=HumanoidAMP)
  task_efficiency          env / imitation: median over rounds of the two measured in turn
"""

import copy
import json
import os
import statistics
import sys
import tempfile
import time
from typing import Any, Callable, Dict, List, Optional

os.environ.setdefault("GOMP_SPINCOUNT", "50000")  # as amp-train

import mujoco  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from mujoco import rollout  # noqa: E402
from rl_games.common.algo_observer import AlgoObserver  # noqa: E402

from amp_train.config import Config, compose, resolve, rl_games_params  # noqa: E402
from amp_train.distributed.ranks import single_threaded  # noqa: E402
from amp_train.env import AmpEnv, make_env  # noqa: E402
from amp_train.runner.rl_games import load_runner  # noqa: E402
from amp_train.runner.vec_env import AMPVecEnv  # noqa: E402

ROUNDS = 9
STEPS_PER_ROUND = 8
TRAIN_ITERATIONS = 12
WARM_UP_ITERATIONS = 3
DEMO_BATCH = 4096
ACTION_NOISE = 0.1


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


class RawRollout:
    """Bare `mujoco.rollout` from where the environment's worlds are now."""

    def __init__(self, env: AmpEnv, decimation: int, num_threads: int) -> None:
        self.env, self.model = env, env.simulator.model
        state_size = mujoco.mj_stateSize(self.model, mujoco.mjtState.mjSTATE_FULLPHYSICS)
        self.pool = rollout.Rollout(nthread=num_threads)
        self.data = [mujoco.MjData(self.model) for _ in range(num_threads)]
        self.start = np.zeros((env.num_envs, state_size))
        self.states = np.zeros((env.num_envs, decimation, state_size))
        self.sensors = np.zeros((env.num_envs, decimation, self.model.nsensordata))
        self.control = np.zeros((env.num_envs, decimation, self.model.nu))

    def load(self) -> None:
        """Copy the worlds' states (time, qpos, qvel)."""
        self.start[:] = self.env.simulator.get_full_state()["integration_state"][:, : self.start.shape[1]].numpy()

    def step(self, pd_target: torch.Tensor) -> None:
        self.control[:] = pd_target.unsqueeze(1).numpy()
        self.pool.rollout(self.model, self.data, self.start, self.control, state=self.states, sensordata=self.sensors)
        self.start[:] = self.states[:, -1]

    def rate(self, actions: torch.Tensor) -> float:
        """Return control steps/s over `actions` (steps, num_envs, num_actions)."""
        self.load()
        targets = [self.env._pd_target(action) for action in actions]
        spent = sum(seconds(lambda target=target: self.step(target)) for target in targets)
        return self.env.num_envs * len(actions) / spent


def env_rate(env: AmpEnv, actions: torch.Tensor) -> float:
    def run() -> None:
        for action in actions:
            env.step(action)
            env.reset_done()

    return env.num_envs * len(actions) / seconds(run)


def bench_env(env: AmpEnv, raw: RawRollout, imitation: Optional[AmpEnv]) -> Dict[str, float]:
    raw_rates, env_rates, imitation_rates = [], [], []
    env.reset()
    if imitation is not None:
        imitation.reset()
    for round_number in range(ROUNDS + 1):
        actions = ACTION_NOISE * torch.randn(STEPS_PER_ROUND, env.num_envs, env.num_actions)
        with single_threaded():  # as the agent's rollout
            rates = raw.rate(actions), env_rate(env, actions), imitation and env_rate(imitation, actions)
        if round_number > 0:
            for measured, rate in zip((raw_rates, env_rates, imitation_rates), rates):
                measured.append(rate)
    results = {
        "raw_rollout_steps_per_s": statistics.median(raw_rates),
        "env_steps_per_s": statistics.median(env_rates),
        "env_efficiency": statistics.median(e / r for e, r in zip(env_rates, raw_rates)),
    }
    if imitation is not None:
        results["imitation_steps_per_s"] = statistics.median(imitation_rates)
        results["task_efficiency"] = statistics.median(e / i for e, i in zip(env_rates, imitation_rates))
    return results


class IterationTimer(AlgoObserver):
    """Times iterations of a training, and bare physics between them."""

    def __init__(self, raw: RawRollout) -> None:
        super().__init__()
        self.raw, self.rates, self.ratios = raw, [], []  # type: ignore[var-annotated]
        self.started = 0.0

    def after_init(self, algo: Any) -> None:
        self.algo, self.started = algo, time.perf_counter()

    def after_clear_stats(self) -> None:
        pass

    def after_print_stats(self, frame: int, epoch_num: int, total_time: float) -> None:
        rate = self.algo.batch_size / (time.perf_counter() - self.started)
        if epoch_num > WARM_UP_ITERATIONS:
            env = self.raw.env
            actions = ACTION_NOISE * torch.randn(STEPS_PER_ROUND, env.num_envs, env.num_actions)
            self.rates.append(rate)
            self.ratios.append(rate / self.raw.rate(actions))
        self.started = time.perf_counter()


def bench_train(params: Dict[str, Any], env: AmpEnv, raw: RawRollout) -> Dict[str, float]:
    timer = IterationTimer(raw)
    with tempfile.TemporaryDirectory() as folder:
        params["config"].update(train_dir=folder, full_experiment_name="bench", save_frequency=0, print_stats=False)
        runner = load_runner(params, AMPVecEnv(env, "cpu"), timer)
        runner.run({"train": True, "play": False})
    return {
        "train_samples_per_s": statistics.median(timer.rates),
        "train_efficiency": statistics.median(timer.ratios),
    }


def bench_demos(env: AmpEnv) -> Dict[str, float]:
    library = env.motion_library
    clip_ids = library.sample_clips(DEMO_BATCH)
    times = library.sample_times(clip_ids)
    with single_threaded():
        library.state_at(clip_ids, times)
        spent = [seconds(lambda: library.state_at(clip_ids, times)) for _ in range(20)]
    return {"demo_states_per_s": DEMO_BATCH / statistics.median(spent)}


def without_goals(cfg: Config) -> Config:
    """Return the same clips, character and settings with `task=HumanoidAMP`."""
    cfg = copy.deepcopy(cfg)
    cfg.task.name, cfg.task.goal = "HumanoidAMP", {}
    return cfg


def main(overrides: List[str]) -> None:
    fixed = [f"max_iterations={TRAIN_ITERATIONS}", "sim_device=cpu", "rl_device=cpu"]
    cfg = resolve(compose(fixed + overrides))
    params = rl_games_params(cfg)
    torch.manual_seed(0)
    torch.set_num_threads(int(cfg.num_threads or 1))
    env = make_env(cfg)
    imitation = make_env(without_goals(cfg)) if env.task.goal_size else None
    raw = RawRollout(env, cfg.sim.decimation, int(cfg.num_threads or 1))
    results = dict(bench_env(env, raw, imitation), **bench_demos(env), **bench_train(params, env, raw))
    setting = (env.num_envs, cfg.num_threads, cfg.task.name, cfg.motion.name)
    sys.stdout.write("\n{} environments, {} threads, {} on {}\n".format(*setting))
    for name, value in results.items():
        sys.stdout.write(f"  {name:<26}{value:>14,.2f}\n")
    sys.stdout.write(json.dumps({name: round(value, 4) for name, value in results.items()}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
