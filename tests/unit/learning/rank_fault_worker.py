"""One rank of test_lost_ranks.py: joins, works in step with the others, and fails in the way that it is told."""

import os
import signal
import sys
import threading
import time

import torch

from amp_train.distributed.ranks import JoinedRanks, RankLostError


def main(fault: str, timeout_s: float, join_timeout_s: float = 100.0) -> int:
    torch.set_num_threads(1)
    rank = int(os.environ["RANK"])
    try:
        with JoinedRanks(rank, int(os.environ["WORLD_SIZE"]), False, timeout_s, join_timeout_s) as ranks:
            for step in range(20):
                if rank == 1 and step == 3:
                    fail(fault)
                if rank == 0 and step == 3 and fault == "first_works_alone":
                    time.sleep(2.5 * timeout_s)
                if fault not in ("hang_where_others_are_patient", "first_works_alone"):
                    ranks.average_([torch.ones(4)])
                ranks.wait()
    except ValueError:
        sys.stdout.write(f"threads at the end: {[thread.name for thread in threading.enumerate()]}\n")
        raise
    except RankLostError as error:
        sys.stdout.write(str(error))
        return 3
    return 0


def fail(fault: str) -> None:
    if fault == "raise":
        raise ValueError("a loss of\nnan")
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault.startswith("hang"):
        os.kill(os.getpid(), signal.SIGSTOP)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *(float(text) for text in sys.argv[2:])))
