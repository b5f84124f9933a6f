"""How training shares a machine: one thread per process, several processes.

Threads inside one operation wait for the slowest at every step, which other work on the machine makes very
slow. Processes only meet once per optimizer step.
"""

import ctypes

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)


def start_process() -> None:
    """To be called first in every process."""
    torch.set_num_threads(1)
    # Big blocks are kept for reuse: giving them back and faulting them in again takes a quarter of the time.
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
    libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
