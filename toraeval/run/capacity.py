"""How many processes a machine carries: by its cores or GPUs, its memory, and the work there is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from toraeval.machine import cpu_count, free_memory
from toraeval.run.costs import memory_of
from toraeval.run.plan import Plan
from toraeval.run.queue import Task
from toraeval.run.request import AUTO, OFF

WORTH_A_PROCESS = 64 * 512 * 512
"""Pixels of video that take about as long as a process takes to start."""
DEPTH = 2
COPIES = 8
"""Clips that writing, tracking and scoring one holds in memory at most: its frames, a reference, resized ones."""
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
    devices = _devices(
        part
        for config in (plan.config for plan in plans)
        for part in (config.get("model"), config.get("tracker"), *config.get("metrics", {}).values())
    )
    if not any(device == AUTO or device.startswith("cuda") for device in devices):
        return 0
    import torch

    named = any(device.startswith("cuda:") for device in devices)
    return min(torch.cuda.device_count(), 1) if named else torch.cuda.device_count()


def _devices(parts: Iterable[Mapping[str, Any] | None]) -> set[str]:
    # the embedded models compute on the CPU whatever their option says
    used = [part for part in parts if part and part.get("size") != "nano"]
    return {str(part["device"]) for part in used if part.get("device")}


def overlap(plans: Sequence[Plan], processes: int) -> int:
    """Return how many clips each process writes, tracks and scores while it generates another one.

    `auto` is one on its way to the disk and one that is measured, where a model generates on a GPU and memory suffices,
    else none: on the CPU a further process serves better.
    """
    asked = plans[0].options.overlap
    if asked != AUTO:
        return 0 if asked == OFF else int(asked)
    if not any(_on_gpu(device) for device in _devices(plan.config.get("model") for plan in plans)):
        return 0
    clip = max(case.frames * case.height * case.width * 3 for plan in plans for _, case in plan.cases)
    return min(DEPTH, free_memory() // (processes * COPIES * clip))


def _on_gpu(device: str) -> bool:
    if device != AUTO:
        return device.startswith("cuda")
    import torch

    return torch.cuda.is_available()
