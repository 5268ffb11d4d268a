"""How many threads torch uses, phase by phase."""

import contextlib
from typing import Iterator

import torch


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """Let torch work on the calling thread only.

    In a step on the CPU the tensors are small: handing them to several threads costs more than it saves, and threads
    that wait for the next piece take cores from the physics. A whole rollout's rewards and the update are worth all.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
