"""What every benchmark states beside its numbers: processor, threads, versions, peak memory."""

from __future__ import annotations

import argparse
import os
import platform
import resource
import sys

from toraeval.machine import cpu_count


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help shows a module's docstring as it is written."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def use_threads(threads: int | None) -> None:
    """Limit torch and OpenCV to `threads` CPU threads; None leaves their own choice."""
    if threads is not None:
        import cv2
        import torch

        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)


def describe() -> str:
    """Return one line: processor, usable cores, torch threads, versions, and the load at this moment."""
    import torch

    load = os.getloadavg()[0]
    return (
        f"{_processor()}, {cpu_count()} cores, {torch.get_num_threads()} torch threads, "
        f"Python {platform.python_version()}, torch {torch.__version__}, load average {load:.1f}"
    )


def peak_memory_gib() -> float:
    """Return the largest resident size this process has had, in GiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**30 if sys.platform == "darwin" else peak / 2**20


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
