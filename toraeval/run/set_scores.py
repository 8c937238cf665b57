"""Values that belong to a set of samples, e.g. a Frechet distance: pooled at the end of a run, kept with a key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from toraeval.metrics.shared.base import SetMetric
from toraeval.run.plan import Plan
from toraeval.store.keys import digest
from toraeval.store.sealed import read_json, write_json
from toraeval.store.slot import SET_SCORES, RunStore
from toraeval.types import FloatArray


class Contributions(Mapping[str, Mapping[str, FloatArray]]):
    """Sample id -> the arrays that one metric stored for it, read only when asked for.

    A set of thousands of clips then costs no more memory than what the metric itself keeps.
    """

    def __init__(self, store: RunStore, metric: str, samples: Sequence[str]) -> None:
        self._store, self._metric, self._samples = store, metric, samples

    def __getitem__(self, sample: str) -> Mapping[str, FloatArray]:
        return self._store.slot(sample).score_arrays(self._metric)

    def __iter__(self) -> Iterator[str]:
        return iter(self._samples)

    def __len__(self) -> int:
        return len(self._samples)


def pool_sets(plan: Plan) -> None:
    """Write `set_scores.json`: one value set per metric over the scored samples that the plan asks for.

    A metric whose contributions and definition are the stored ones is not pooled again. Metrics that this plan
    does not name keep their stored values.
    """
    metrics = {name: metric for name, metric in plan.metrics.items() if isinstance(metric, SetMetric)}
    if not metrics:
        return
    path = plan.run_dir / SET_SCORES
    stored = read_json(path) or {}
    fresh = {name: _pooled(plan, name, metric, stored.get(name, {})) for name, metric in metrics.items()}
    if any(stored.get(name) != entry for name, entry in fresh.items()):
        write_json(path, dict(sorted({**stored, **fresh}.items())))


def _pooled(plan: Plan, name: str, metric: SetMetric, stored: Mapping[str, Any]) -> dict[str, Any]:
    keys: dict[str, str] = {}
    reasons: list[str] = []
    for sample in plan.samples:
        slot = plan.slot(sample)
        score = slot.scores().get(name)
        current = score is not None and score["version"] == str(metric.version)
        if score is None or not current or score["skipped"] is not None or slot.failure() is not None:
            reasons += [score["skipped"]] if score and score["skipped"] else []
            continue
        keys[sample.id] = score["key"]
    key = digest("set", metric.fingerprint(), keys)
    if stored.get("key") == key:
        return dict(stored)
    entry: dict[str, Any] = {"version": str(metric.version), "key": key, "values": {}, "skipped": None}
    if not keys:
        why = (
            f"{len(reasons)} of {len(plan.samples)} were skipped ({reasons[0]})"
            if reasons
            else "none is scored"
        )
        entry["skipped"] = f"no sample contributes: {why}"
        return entry | {"samples": []}
    try:
        pooled = metric.pool(Contributions(plan.store, name, list(keys)))
    except Exception as error:  # one metric must not cost the tables of all the others
        entry |= {
            "key": "",
            "skipped": f"pooling failed: {type(error).__name__}: {' '.join(str(error).split())}",
        }
    else:
        values = {column: float(value) for column, value in pooled.values.items() if np.isfinite(value)}
        entry |= {"values": values, "skipped": pooled.skipped}
    return entry | {"samples": sorted(keys)}
