"""What this machine lets the process use: cores and memory, also inside a container, and threads; portable to macOS.

What decides results computes on one thread, so that a number of threads or workers changes no bit.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def cpu_count(cgroup: Path = CGROUP) -> int:
    """Return the number of cores that this process may use, at least 1: affinity and a container's quota count."""
    affinity = getattr(os, "sched_getaffinity", None)  # absent on macOS
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = (cgroup / "cpu.max").read_text().split()
        cores = min(cores, max(1, int(quota) // int(period)))  # `max` is not a number: no limit
    return cores


def free_memory(cgroup: Path = CGROUP) -> int:
    """Return the bytes of memory that can be taken without swapping: of the machine, or of a container's limit.

    macOS does not say what is free, so half of its memory counts.
    """
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = 1024 * int(next(line.split()[1] for line in lines if line.startswith("MemAvailable:")))
    with suppress(OSError, ValueError):
        limit = int((cgroup / "memory.max").read_text())
        free = min(free, max(0, limit - int((cgroup / "memory.current").read_text())))
    return free


def give_back_memory() -> None:
    """Give freed memory back to the system, which glibc keeps otherwise; elsewhere nothing happens."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread meanwhile: sums over several threads may differ in the last bit."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Let OpenCV compute on one thread meanwhile: on small pictures its threads cost more than they bring."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
