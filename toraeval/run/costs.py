"""What samples will cost, from what earlier ones took."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence

import pandas as pd

from toraeval.run.plan import Plan
from toraeval.run.request import Sample
from toraeval.store.keys import canonical
from toraeval.store.tables.rows import SECONDS
from toraeval.store.tables.run import TIMINGS

GUESS_S_PER_FRAME = 0.05


class Costs:
    """Seconds that samples take on one core, by the finished ones of the same run, else of the same model.

    Args:
        plans: whose run folders are looked at.
    """

    def __init__(self, plans: Sequence[Plan]) -> None:
        self._of_plan = {id(plan): rate for plan in plans if (rate := _rate(plan)) is not None}
        of_model: dict[str, list[float]] = defaultdict(list)
        for plan in plans:
            if id(plan) in self._of_plan:
                of_model[model_of(plan)].append(self._of_plan[id(plan)])
        self._of_model: Mapping[str, float] = {name: statistics.median(r) for name, r in of_model.items()}

    def known(self, plan: Plan, sample: Sample) -> float | None:
        """Return the seconds that a sample is expected to take, or None if no such model ran here."""
        rate = self._of_plan.get(id(plan), self._of_model.get(model_of(plan)))
        return None if rate is None else rate * sample.case.frames

    def guess(self, plan: Plan, sample: Sample) -> float:
        """Return the same with a guess where nothing is known: good enough for an order."""
        known = self.known(plan, sample)
        return GUESS_S_PER_FRAME * sample.case.frames if known is None else known


def model_of(plan: Plan) -> str:
    """Return what tells the loaded model of a plan from that of another one."""
    return canonical(plan.config.get("model") or plan.model)


def _rate(plan: Plan) -> float | None:
    """Return the median seconds per frame in the last tables of a run folder, or None without any."""
    try:
        table = pd.read_csv(plan.run_dir / TIMINGS, dtype={"sample": str}).set_index("sample")
    except (OSError, ValueError, KeyError):
        return None
    frames = pd.Series({sample.id: sample.case.frames for sample in plan.samples}, dtype=float)
    if not set(SECONDS) <= set(table) or table.index.has_duplicates:
        return None
    rates = (table[list(SECONDS)].sum(axis=1, skipna=False) / frames).dropna()
    return float(rates.median()) if len(rates) else None
