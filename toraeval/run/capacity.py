"""How many processes a machine carries: by its cores or GPUs, its memory, and the work there is."""

from __future__ import annotations

import math
from collections.abc import Sequence

from toraeval.machine import cpu_count, free_memory
from toraeval.run.costs import memory_of
from toraeval.run.plan import Plan
from toraeval.run.queue import Task
from toraeval.run.request import AUTO

WORTH_A_PROCESS = 64 * 512 * 512
"""Pixels of video that take about as long as a process takes to start."""
MEMORY_OF_ONE = 1200 << 20  # bytes of a process of the embedded bench, rounded up


def count(plans: Sequence[Plan], tasks: Sequence[Task]) -> int:
    """Return how many processes to use.

    `auto` is one for each GPU that a part asks for, else one for each core, as far as memory and work suffice.
    """
    asked = plans[0].options.workers
    if asked != AUTO:
        return max(1, min(int(asked), len(tasks)))
    gpus = gpu_count(plans)
    if gpus:
        return max(1, min(gpus, len(tasks)))
    pixels = sum(task.sample.case.frames * task.sample.case.height * task.sample.case.width for task in tasks)
    each = max(MEMORY_OF_ONE, memory_of(plans) or 0)
    return max(1, min(cpu_count(), len(tasks), free_memory() // each, math.ceil(pixels / WORTH_A_PROCESS)))


def gpu_count(plans: Sequence[Plan]) -> int:
    """Return how many GPUs the parts of these plans may be spread over; 0 where none is used, 1 where one is named."""
    parts = [
        part
        for config in (plan.config for plan in plans)
        for part in (config.get("model"), config.get("tracker"), *config.get("metrics", {}).values())
    ]
    # the embedded models compute on the CPU whatever their option says
    used = [part for part in parts if part and part.get("size") != "nano"]
    devices = {str(part["device"]) for part in used if part.get("device")}
    if not any(device == "auto" or device.startswith("cuda") for device in devices):
        return 0
    import torch

    named = any(device.startswith("cuda:") for device in devices)
    return min(torch.cuda.device_count(), 1) if named else torch.cuda.device_count()
