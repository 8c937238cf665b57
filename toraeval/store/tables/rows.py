"""The tables of a run folder, written from what its samples hold; equal samples give equal bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from toraeval.store.sealed import read_json, write_json, write_text
from toraeval.store.slot import SCORE, RunStore
from toraeval.store.tables.run import CASES, DEFINITIONS, SKIPS, TIMINGS

FIRST = (
    "sample", "case", "seed", "model", "suite", "frames", "height", "width", "fps", "status", "error",
)  # fmt: skip
LAST = ("tracker", "tracker_floor", "frames_generated", "frames_scored", "length_mode", "reading")
END = ("video_sha256", "fingerprint")
TIMING = ("sample", "case", "seed", "generate_s", "track_s", "score_s")
SKIP = ("sample", "case", "seed", "metric", "reason")
MAIN_METRIC = "traj_error"
DAMAGED = (
    "its stored scores differ from their checksum; ask for this sample again, and they are computed again"
)


def read_rows(store: RunStore, versions: Mapping[str, str], floor: RunStore | None) -> list[dict[str, Any]]:
    """Return one row per finished or failed sample of a run folder, in the order of the suite, then by seed.

    Args:
        store: the run folder.
        versions: current version of each selected metric; values of another version are left out.
        floor: the run folder of the ground truth, or None where there is none.
    """
    rows: list[dict[str, Any]] = []
    same: dict[str, str] = {}
    for slot in store.slots():
        facts = slot.facts()
        if facts is None:
            continue
        failure = slot.failure()
        row: dict[str, Any] = {**facts, "error": "", "status": "unscored", "skips": {}}
        if failure is not None:
            row |= {"status": "failed", "error": failure["error"]}
        elif slot.has_damaged_scores():
            row |= {"status": "failed", "error": DAMAGED}
        else:
            scores = slot.scores()
            for name in sorted(scores, key=lambda name: (name != MAIN_METRIC, name)):
                stored = scores[name]
                if versions.get(name, stored["version"]) != stored["version"]:
                    continue
                row |= stored["values"]
                if stored["skipped"] is None:
                    row["status"] = "ok"
                else:
                    row["skips"][name] = stored["skipped"]
        floor_values = floor.slot(facts["case"], 0).scores().get(MAIN_METRIC, {}) if floor else {}
        row["tracker_floor"] = floor_values.get("values", {}).get(MAIN_METRIC)
        # names and words are the same in every row; JSON made each of them anew
        rows.append({same.setdefault(key, key): _shared(value, same) for key, value in row.items()})
    return sorted(rows, key=lambda row: (row["order"], row["case"], row["seed"]))


def _shared(value: Any, same: dict[str, str]) -> Any:
    """Return the value with its strings replaced by equal ones seen before."""
    if isinstance(value, str):
        return same.setdefault(value, value)
    if isinstance(value, dict):
        return {same.setdefault(key, key): _shared(inner, same) for key, inner in value.items()}
    return value


def write_tables(store: RunStore, rows: list[dict[str, Any]]) -> None:
    """Write `cases.csv`, `skips.csv` and `timings.csv`; equal samples give equal bytes of the first two."""
    tags = sorted({name for row in rows for name in row if name.startswith("tag_")})
    known = {*FIRST, *LAST, *END, *tags, "order", "skips"}
    values = list(dict.fromkeys(name for row in rows for name in row if name not in known))
    frame = pd.DataFrame(rows, columns=[*FIRST, *values, *LAST, *tags, *END])
    write_text(store.run_dir / CASES, frame.to_csv(index=False, lineterminator="\n"))
    skips = [
        (row["sample"], row["case"], row["seed"], metric, reason)
        for row in rows
        for metric, reason in row["skips"].items()
    ]
    skipped = pd.DataFrame(skips, columns=list(SKIP))
    write_text(store.run_dir / SKIPS, skipped.to_csv(index=False, lineterminator="\n"))
    timings = []
    for row in rows:
        slot = store.slot(row["case"], row["seed"])
        meta = slot.video_meta() or {}
        score = read_json(slot.folder / SCORE) or {}
        timings.append(
            (
                row["sample"],
                row["case"],
                row["seed"],
                meta.get("seconds"),
                slot.track_seconds(),
                score.get("seconds"),
            )
        )
    table = pd.DataFrame(timings, columns=list(TIMING))
    write_text(store.run_dir / TIMINGS, table.to_csv(index=False, lineterminator="\n"))


def write_definitions(store: RunStore, definitions: Mapping[str, Any]) -> None:
    """Merge what the metric columns mean into `definitions.json`."""
    stored = read_json(store.run_dir / DEFINITIONS) or {}
    write_json(store.run_dir / DEFINITIONS, json.loads(json.dumps({**stored, **definitions}, default=str)))
