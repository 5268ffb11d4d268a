"""How this process was started: by torchrun, as a task of srun, or by itself."""

import os
import re
from typing import Mapping, MutableMapping, NamedTuple, Optional

TORCHRUN_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
# srun sets them for the tasks of a step only, not for the batch script around it.
SRUN_VARIABLES = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
FIRST_PORT, PORTS = 20000, 10000


class Launch(NamedTuple):
    """A process's place among those that were started together; `local_` counts those on its machine."""

    rank: int
    world_size: int
    local_rank: int
    local_world_size: int
    launcher: str
    own_cores: Optional[int] = None  # reserved for this process; None: the machine's cores are shared


def launched(environ: Mapping[str, str] = os.environ) -> Optional[Launch]:
    """Return how a launcher started this process, None if none did."""
    try:
        if all(name in environ for name in TORCHRUN_VARIABLES[:2]):
            rank, world_size = (int(environ[name]) for name in TORCHRUN_VARIABLES[:2])
            local_rank, local_size = (int(environ.get(name, "0")) for name in TORCHRUN_VARIABLES[2:])
            return Launch(rank, world_size, local_rank, local_size or 1, "torchrun")
        if all(name in environ for name in SRUN_VARIABLES):
            rank, world_size, local_rank = (int(environ[name]) for name in SRUN_VARIABLES)
            cores = environ.get("SLURM_CPUS_PER_TASK")
            return Launch(
                rank, world_size, local_rank, _tasks_on_this_node(environ), "srun", int(cores) if cores else None
            )
    except ValueError:
        return None
    return None


def set_rendezvous(environ: MutableMapping[str, str] = os.environ) -> None:
    """Set the meeting point of srun's tasks, as torchrun does: the first node, at a port derived from the job id."""
    if "MASTER_ADDR" not in environ:
        nodes = environ.get("SLURM_STEP_NODELIST") or environ.get("SLURM_JOB_NODELIST", "127.0.0.1")
        environ["MASTER_ADDR"] = first_node(nodes)
    if "MASTER_PORT" not in environ:
        # Steps of one job that run side by side must not meet.
        number = 101 * int(environ.get("SLURM_JOB_ID", "0")) + int(environ.get("SLURM_STEP_ID", "0"))
        environ["MASTER_PORT"] = str(FIRST_PORT + number % PORTS)


def first_node(node_list: str) -> str:
    """Return the first name of Slurm's short form of a list of nodes.

    >>> first_node("gpu[007-009,12],login"), first_node("a1,b2"), first_node("r[1-2]c3")
    ('gpu007', 'a1', 'r1c3')
    """
    match = re.match(r"([^\[,]*)(?:\[([^\]]*)\])?([^\[,]*)", node_list)
    before, numbers, after = match.groups() if match else (node_list, None, "")
    return before + (re.split(r"[,-]", numbers)[0] if numbers else "") + after


def _tasks_on_this_node(environ: Mapping[str, str]) -> int:
    """Read e.g. "2(x3),1", the tasks of each node of the step."""
    counts = []
    for part in environ.get("SLURM_STEP_TASKS_PER_NODE", "1").split(","):
        match = re.match(r"(\d+)(?:\(x(\d+)\))?$", part)
        if match:
            counts += [int(match.group(1))] * int(match.group(2) or 1)
    node = int(environ.get("SLURM_NODEID", "0"))
    return counts[node] if node < len(counts) else 1
