"""What samples will cost, from what earlier ones took, and how many processes a machine carries for them."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from toraeval.config.verbs import STAGES
from toraeval.machine import cpu_count, free_memory
from toraeval.run.plan import Plan
from toraeval.run.request import AUTO, OFF, Sample
from toraeval.store.keys import canonical
from toraeval.store.sealed import read_json
from toraeval.store.tables.rows import SECONDS
from toraeval.store.tables.run import RECORD, TIMINGS

GUESS_S_PER_FRAME = 0.05
WORTH_A_PROCESS = 64 * 512 * 512
"""Pixels of video that take about as long as a process takes to start."""
DEPTH = 2
COPIES = 8
"""Clips that writing, tracking and scoring one holds in memory at most: its frames, a reference, resized ones."""
MEMORY_OF_ONE = 1200 << 20  # bytes of a process of the embedded bench, rounded up


class Costs:
    """Seconds that samples take on one core, by finished ones of the same run, else of the model at other lengths.

    Clips of another size count where there are none of this one, in proportion to their pixels; small ones then promise
    too long a time, because part of a clip's cost does not grow.

    Args:
        plans: whose run folders are looked at.
    """

    def __init__(self, plans: Sequence[Plan]) -> None:
        found = {id(plan): rate for plan in plans if (rate := _rate(plan)) is not None}
        self._of_plan = {key: seconds for key, (seconds, _) in found.items()}
        self._scaled = {key for key, (_, scaled) in found.items() if scaled}
        of_model: dict[str, list[float]] = defaultdict(list)
        for plan in plans:
            if id(plan) in self._of_plan:
                of_model[model_of(plan)].append(self._of_plan[id(plan)])
        self._of_model: Mapping[str, float] = {name: statistics.median(r) for name, r in of_model.items()}

    def known(self, plan: Plan, sample: Sample) -> float | None:
        """Return the seconds that a sample is expected to take, or None if no such model ran here."""
        rate = self._of_plan.get(id(plan), self._of_model.get(model_of(plan)))
        return None if rate is None else rate * sample.case.frames

    def scaled(self, plan: Plan) -> bool:
        """Return whether what is known of a plan comes from clips of another size."""
        return id(plan) in self._scaled

    def guess(self, plan: Plan, sample: Sample) -> float:
        """Return the same with a guess where nothing is known: good enough for an order."""
        known = self.known(plan, sample)
        return GUESS_S_PER_FRAME * sample.case.frames if known is None else known


def model_of(plan: Plan) -> str:
    """Return what tells the loaded model of a plan from that of another one."""
    return canonical(plan.config.get("model") or plan.model)


def memory_of(plans: Sequence[Plan]) -> int | None:
    """Return the bytes that one process took for such runs here, the largest of all; None if none ran."""
    folders = {folder for plan in plans for folder in (plan.run_dir, *_siblings(plan))}
    records = [found for folder in folders if (found := read_json(folder / RECORD)) is not None]
    return max((int(found.get("peak_memory_mb") or 0) << 20 for found in records), default=None)


def _siblings(plan: Plan) -> list[Path]:
    """Return the run folders of the same model and suite with other lengths, sizes or options."""
    return sorted(folder for folder in plan.run_dir.parent.glob("*") if folder != plan.run_dir)


def _rate(plan: Plan) -> tuple[float, bool] | None:
    """Return the median seconds per frame in the tables of a run folder, else of its siblings; None without any.

    The second value says whether it is scaled from siblings with clips of another size.
    """
    stages = [name for stage, name in zip(STAGES, SECONDS, strict=True) if stage in plan.options.stages]
    frames = pd.Series({sample.id: sample.case.frames for sample in plan.samples}, dtype=float)
    own = _rates(plan.run_dir, stages, frames)
    if len(own):
        return float(own.median()), False
    pixels = statistics.median(sample.case.height * sample.case.width for sample in plan.samples)
    known: dict[bool, list[float]] = {False: [], True: []}
    for folder in _siblings(plan):
        run = (read_json(folder / RECORD) or {}).get("run") or {}
        if run.get("frames"):
            there = (run.get("height") or 0) * (
                run.get("width") or 0
            )  # none where every clip has its own size
            factor = pixels / there if there else 1.0
            rates = _rates(folder, stages, pd.Series(float(run["frames"]), index=_samples(folder)))
            known[factor != 1.0] += (rates * factor).tolist()
    return next(((statistics.median(rates), other) for other, rates in known.items() if rates), None)


def _samples(folder: Path) -> list[str]:
    return sorted(place.name for place in (folder / "cases").glob("*"))


def _rates(folder: Path, stages: Sequence[str], frames: pd.Series) -> pd.Series:
    """Return the seconds per frame of each sample with a known length in the tables of a run folder."""
    try:
        table = pd.read_csv(folder / TIMINGS, dtype={"sample": str}).set_index("sample")
    except (OSError, ValueError, KeyError):
        return pd.Series(dtype=float)
    if not set(stages) <= set(table) or table.index.has_duplicates:
        return pd.Series(dtype=float)
    return (table[list(stages)].sum(axis=1, skipna=False) / frames).dropna()


def count(plans: Sequence[Plan], samples: Sequence[Sample]) -> int:
    """Return how many processes to use for the samples that are to be done.

    `auto` is one for each GPU that a part asks for, else one for each core, as far as memory and work suffice.
    """
    asked = plans[0].options.workers
    if asked != AUTO:
        return max(1, min(int(asked), len(samples)))
    gpus = gpu_count(plans)
    if gpus:
        return max(1, min(gpus, len(samples)))
    pixels = sum(case.frames * case.height * case.width for _, case, _ in samples)
    each = max(MEMORY_OF_ONE, memory_of(plans) or 0)
    return max(1, min(cpu_count(), len(samples), free_memory() // each, math.ceil(pixels / WORTH_A_PROCESS)))


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
