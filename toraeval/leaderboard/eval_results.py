"""Values of runs as the YAML that model cards on a hub carry (`model-index`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import yaml  # type: ignore[import-untyped]

from toraeval.report import measures
from toraeval.report.collect import Group, ReportedRun, grouped
from toraeval.report.texts import printable
from toraeval.store.tables.run import OWN_SIZE, RunResult
from toraeval.types import UserError

TASK = {"type": "image-to-video", "name": "trajectory-controlled video generation"}


def model_index(runs: Iterable[RunResult], source: str = "") -> dict[str, Any]:
    """Return the metadata of a model card: one entry per model, one result per suite, length, size and tracker.

    The schema is that of the Hugging Face Hub (`model-index` in the front matter of a model's README.md;
    `huggingface_hub.ModelCardData` reads it). References of the bench are left out.

    Args:
        runs: finished runs.
        source: address where the records can be seen; left out when empty.

    Raises:
        UserError: only references were given, or no value.
    """
    models: dict[str, list[dict[str, Any]]] = {}
    for group in grouped(runs):
        for entry in group.entries:
            if not entry.is_reference and (metrics := _metrics(entry, group)):
                result = {"task": TASK, "dataset": _dataset(entry, group), "metrics": metrics}
                if source:
                    result["source"] = {"name": "toraeval", "url": source}
                models.setdefault(entry.run.model, []).append(result)
    if not models:
        raise UserError(
            "export: no value of a model in these runs (ground_truth and static are references); run a model first"
        )
    return {
        "model-index": [{"name": printable(name), "results": results} for name, results in models.items()]
    }


def _dataset(entry: ReportedRun, group: Group) -> dict[str, Any]:
    suite = entry.run.record.get("fingerprints", {}).get("suite", {})
    length = f"{entry.frames} frames" if entry.frames else "own lengths"
    partial = ", partial" if entry.run.record.get("partial") else ""
    shape = f"{group.width}x{group.height}" if group.width else OWN_SIZE
    facts = {
        "name": f"toraeval {group.suite}, {length}, {group.size}, tracker {group.tracker}{partial}",
        "type": f"toraeval/{group.suite}",
        "config": f"{f'{entry.frames}f' if entry.frames else 'own-length'}-{shape}-{group.tracker}",
        "split": suite.get("split"),
        "revision": suite.get("hash"),
        "args": {
            "cases": int(entry.cases["case"].nunique()),
            "fingerprint": str(entry.cases["fingerprint"].iloc[0]),
        },
    }
    return {
        name: printable(value) if isinstance(value, str) else value
        for name, value in facts.items()
        if value is not None
    }


def _metrics(entry: ReportedRun, group: Group) -> list[dict[str, Any]]:
    found = []
    for measure in measures.measures(group):
        values = measures.values_of(entry, measure)
        for column in measure.main:
            row = values.get(column)
            if row is None or np.isnan(row["value"]):
                continue
            words = ", ".join(
                filter(None, [measure.unit, f"{measure.direction} is better" if measure.direction else ""])
            )
            metric: dict[str, Any] = {
                "type": column,
                "value": float(f"{row['value']:.6g}"),
                "name": f"{column} ({words})" if words else column,
            }
            if np.isfinite([row["low"], row["high"]]).all():
                metric["args"] = {"interval_95": [float(f"{row[side]:.6g}") for side in ("low", "high")]}
            found.append(metric)
    return found


def to_yaml(content: dict[str, Any]) -> str:
    """Return the metadata as YAML: quoted where it must be, no anchors, nothing that builds an object."""
    dumper = type("Plain", (yaml.SafeDumper,), {"ignore_aliases": lambda self, data: True})
    return str(yaml.dump(content, Dumper=dumper, sort_keys=False, allow_unicode=True, width=100))
