"""The tables of a run folder, written from what its samples hold; equal samples give equal bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from toraeval.store.main_metric import MAIN
from toraeval.store.sealed import read_json, write_json, write_text
from toraeval.store.slot import RunStore, Slot
from toraeval.store.tables.run import CASES, DEFINITIONS, SKIPS, TIMINGS, WORDS

FIRST = (
    "sample", "case", "seed", "model", "suite", "frames", "height", "width", "fps", "status", "error",
)  # fmt: skip
LAST = ("tracker", "tracker_floor", "frames_generated", "frames_scored", "length_mode", "reading")
END = ("video_sha256", "fingerprint")
SECONDS = ("generate_s", "track_s", "score_s")
TIMING = ("sample", "case", "seed", *SECONDS)
SKIP = ("sample", "case", "seed", "metric", "reason")
DAMAGED = (
    "its stored scores differ from their checksum; ask for this sample again, and they are computed again"
)


def read_rows(
    store: RunStore, versions: Mapping[str, str], floor: RunStore | None, main: tuple[str, str] = MAIN
) -> list[dict[str, Any]]:
    """Return one row per finished or failed sample of a run folder, in the order of the suite, then by seed.

    Args:
        store: the run folder.
        versions: current version of each selected metric; values of another version are left out.
        floor: the run folder of the ground truth, or None where there is none.
        main: the main metric and its value: what the ground truth has there is `tracker_floor`.
    """
    rows = [_row(slot, versions, floor, main) for slot in store.slots()]
    same: dict[str, str] = {}  # names and words are the same in every row; JSON made a copy of each
    return sorted(
        (_shared(row, same) for row in rows if row), key=lambda row: (row["order"], row["case"], row["seed"])
    )


def _row(
    slot: Slot, versions: Mapping[str, str], floor: RunStore | None, main: tuple[str, str]
) -> dict[str, Any]:
    """Return what is stored of one sample, empty if that does not say which one it is."""
    failure, scored, video = slot.failure() or {}, slot.score_file(), slot.video_meta() or {}
    facts = next((found["facts"] for found in (failure, scored, video) if found.get("facts")), None)
    if facts is None:
        return {}
    row: dict[str, Any] = {**facts, "error": "", "status": "unscored", "skips": {}}
    if failure or scored.get("damaged"):
        row |= {"status": "failed", "error": failure.get("error", DAMAGED)}
    else:
        for name, stored in sorted(scored["metrics"].items(), key=lambda item: (item[0] != main[0], item[0])):
            if versions.get(name, stored["version"]) != stored["version"]:
                continue
            row |= stored["values"]
            if stored["skipped"] is None:
                row["status"] = "ok"
            else:
                row["skips"][name] = stored["skipped"]
    # the ground truth has one seed, 0, whose samples are named like their cases
    floor_values = floor.slot(facts["case"]).scores().get(main[0], {}) if floor else {}
    row["tracker_floor"] = floor_values.get("values", {}).get(main[1])
    seconds = (video.get("seconds"), (slot.tracks_meta() or {}).get("seconds"), scored.get("seconds"))
    return row | dict(zip(SECONDS, seconds, strict=True)) | {"prompt_sent": video.get("prompt_sent")}


def _shared(value: Any, same: dict[str, str]) -> Any:
    """Return the value with its strings replaced by equal ones seen before."""
    if isinstance(value, str):
        return same.setdefault(value, value)
    if isinstance(value, dict):
        return {same.setdefault(key, key): _shared(inner, same) for key, inner in value.items()}
    return value


def write_tables(store: RunStore, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Write `cases.csv`, `skips.csv` and `timings.csv`; equal samples give equal bytes of the first two.

    Returns:
        The rows of `cases.csv`, typed as `load_run` reads them, with its column `seconds`.
    """
    tags = sorted({name for row in rows for name in row if name.startswith("tag_")})
    known = {*FIRST, *LAST, *END, *tags, *SECONDS, "order", "skips", "prompt_sent"}
    values = list(dict.fromkeys(name for row in rows for name in row if name not in known))
    frame = pd.DataFrame(rows, columns=[*FIRST, *values, *LAST, *tags, *END])
    skips = [
        (row["sample"], row["case"], row["seed"], metric, reason)
        for row in rows
        for metric, reason in row["skips"].items()
    ]
    timings = pd.DataFrame(rows, columns=list(TIMING))
    for name, table in ((CASES, frame), (SKIPS, pd.DataFrame(skips, columns=list(SKIP))), (TIMINGS, timings)):
        write_text(store.run_dir / name, table.to_csv(index=False, lineterminator="\n"))
    return _as_read(frame).assign(seconds=timings["generate_s"].astype(float))


def _as_read(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table as reading its CSV gives it: lists as text, empty text and columns without a value as NaN."""
    read = frame.map(lambda value: str(value) if isinstance(value, list | dict) else value)
    read = read.replace({"": np.nan}).infer_objects()
    empty = [name for name in read if name not in WORDS and read[name].isna().all()]
    return read.astype(dict.fromkeys(empty, float))


def write_definitions(store: RunStore, definitions: Mapping[str, Any]) -> None:
    """Merge what the metric columns mean into `definitions.json`."""
    stored = read_json(store.run_dir / DEFINITIONS) or {}
    write_json(store.run_dir / DEFINITIONS, json.loads(json.dumps({**stored, **definitions}, default=str)))
