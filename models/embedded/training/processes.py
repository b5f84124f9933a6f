"""How training shares a machine: several processes with one thread each.

Threads inside one operation wait for the slowest at every step, and other load on the machine makes that very slow.
Processes synchronize only once per optimizer step.
"""

import ctypes

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from mallopt(3)


def start_process() -> None:
    """Must be called first in every process."""
    torch.set_num_threads(1)
    # Large blocks are kept for reuse: returning them and faulting them in again takes a quarter of the time.
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
    libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
