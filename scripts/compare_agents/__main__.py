"""Train the AMP agents of other libraries on this project's environment beside its own, and compare what they reach.

  pip install skrl amp-rsl-rl          # needed by this script only
  python scripts/compare_agents motion=walk num_envs=1024 num_threads=1 time_s=300 agents=amp_train,skrl,amp_rsl_rl

  agents=A,B     of amp_train, amp_train_no_warm_start, skrl, amp_rsl_rl; one after another, each in its own process
  time_s=S       training time of each agent, s; building it and measuring it are not counted
  out=FILE       also write the results as JSON
  skrl.KEY=V, amp_rsl_rl.KEY=V           an option of that library's agent in place of the value used here

Every other key is an override of amp-train; num_envs=1024 and num_threads=1 unless given. What all agents share is
`Shared` in common.py; what is each one's own is said in amp_train_agent.py, skrl_agent.py and rsl_rl_agent.py. Columns:

  samples, samples/s   control steps of all environments
  outside/physics      time outside of the simulator's step by the time in it: environment, policy, update, and what
                       comes before the first rollout, such as demonstrations and amp_train's warm start
  pose error           dynamic time warping in the heading frame, as in amp-eval, mean of noise-free episodes
  steps, falls         mean length of these episodes, and how many of them ended before the limit of steps
"""

import json
import math
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

os.environ.setdefault("GOMP_SPINCOUNT", "50000")  # as amp-train; read when torch loads, also in the agents' processes

from common import EPISODE_STEPS, EPISODES, configuration, run_agent  # noqa: E402
from omegaconf import OmegaConf  # noqa: E402

from amp_train.cli.arguments import one_line_errors  # noqa: E402
from amp_train.errors import ConfigError, MissingPackageError, unknown_choice  # noqa: E402
from amp_train.runner.training import versions  # noqa: E402


class Agent(NamedTuple):
    """Where an agent is: the module with its `train`, packages that it imports, and those to install for them."""

    module: str
    imports: Tuple[str, ...] = ()
    installs: Tuple[str, ...] = ()
    overrides: Tuple[str, ...] = ()


AGENTS = {
    "amp_train": Agent("amp_train_agent"),
    "amp_train_no_warm_start": Agent("amp_train_agent", overrides=("train.params.config.warm_start_steps=0",)),
    "skrl": Agent("skrl_agent", ("skrl",), ("skrl",)),
    "amp_rsl_rl": Agent("rsl_rl_agent", ("amp_rsl_rl", "rsl_rl", "tensordict"), ("amp-rsl-rl", "rsl-rl-lib>=5")),
}
PEERS = ("skrl", "amp_rsl_rl")
DEFAULTS = {"num_envs": "1024", "num_threads": "1", "sim": "mujoco"}
DEVICES = {"sim_device": "cpu", "rl_device": "cpu"}


class Request(NamedTuple):
    """What the command line asks for; `options` are those of the peers, by agent."""

    agents: List[str]
    time_s: float
    out: Optional[Path]
    overrides: List[str]
    options: Dict[str, Dict[str, Any]]


def parse(argv: List[str]) -> Request:
    """Read the command line.

    Raises:
        ConfigError: an unknown agent, or a value of the wrong kind.
    """
    own, peers = (
        {"agents": "amp_train,skrl,amp_rsl_rl", "time_s": "300", "out": ""},
        tuple(f"{name}." for name in PEERS),
    )
    overrides, options = dict(DEFAULTS), []
    for text in argv:
        key, is_pair, value = text.partition("=")
        if not is_pair:
            raise ConfigError(f"Cannot read the argument '{text}': write key=value.")
        if key.startswith(peers):
            options.append(text)
        else:
            (own if key in own else overrides)[key] = value
    for name in own["agents"].split(","):
        if name not in AGENTS:
            raise unknown_choice("agent", name, AGENTS)
    out = Path(own["out"]) if own["out"] else None
    if out is not None and not out.absolute().parent.is_dir():
        raise ConfigError(f"out={out}: there is no folder {out.parent}.")
    by_agent = OmegaConf.to_container(OmegaConf.from_dotlist(options))
    return Request(
        agents=own["agents"].split(","),
        time_s=_seconds(own["time_s"]),
        out=out,
        overrides=[f"{key}={value}" for key, value in {**overrides, **DEVICES}.items()],
        options={name: by_agent.get(name, {}) for name in AGENTS},  # type: ignore[union-attr]
    )


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 < value < math.inf:
        raise ConfigError(f"time_s={text} must be a number of seconds above 0.")
    return value


def check_installed(agents: List[str]) -> None:
    """Check that everything the agents import is there.

    Raises:
        MissingPackageError: with the command that installs it.
    """
    for name in agents:
        missing = [package for package in AGENTS[name].imports if find_spec(package) is None]
        if missing:
            install = " ".join(f"'{package}'" for package in AGENTS[name].installs)
            raise MissingPackageError(f"agents={name} needs {', '.join(missing)}: pip install {install}")


def in_own_process(name: str, request: Request) -> Dict[str, Any]:
    """Train an agent and measure it in a new process."""
    agent = AGENTS[name]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        arguments = ([*request.overrides, *agent.overrides], request.time_s, request.options[name])
        return {"agent": name, **pool.submit(run_agent, agent.module, *arguments).result()}


def table(results: List[Dict[str, Any]]) -> str:
    """Return the results as a table in Markdown."""
    heads = ["agent", "samples", "samples/s", "outside/physics", "pose error (m)"]
    heads += [f"steps of {EPISODE_STEPS}", f"falls of {EPISODES}"]
    rows = [heads, ["---"] * len(heads)]
    for result in results:
        rows.append(
            [
                result["agent"],
                "{:,}".format(result["samples"]),
                "{:,.0f}".format(result["samples_per_s"]),
                "{:.2f}".format(result["outside_share"]),
                "{:.3f}".format(result["dtw_pose_error_m"]),
                "{:.0f}".format(result["episode_steps"]),
                str(result["falls"]),
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths)] for row in rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def record(request: Request, results: List[Dict[str, Any]]) -> str:
    """Return the results as JSON, with what they were measured with."""
    packages = {package.split(">")[0] for name in request.agents for package in AGENTS[name].installs}
    asked = {key: value for key, value in request._asdict().items() if key != "out"}
    used = {**versions(), **{package: metadata.version(package) for package in packages}}
    return json.dumps({**asked, "versions": used, "results": results}, indent=1, sort_keys=True) + "\n"


def main(argv: List[str]) -> None:
    """Run the command."""
    request, results = parse(argv), []
    check_installed(request.agents)
    for name in request.agents:
        configuration([*request.overrides, *AGENTS[name].overrides])
    for number, name in enumerate(request.agents, 1):
        sys.stderr.write(f"{number}/{len(request.agents)} {name}: training for {request.time_s:g} s ...\n")
        results.append(in_own_process(name, request))
        if request.out is not None:  # after each agent: an error in the next one loses nothing
            request.out.write_text(record(request, results))
    sys.stdout.write(table(results))


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv[1:]):
        sys.stdout.write(str(__doc__))
    else:
        with one_line_errors():
            main(sys.argv[1:])
