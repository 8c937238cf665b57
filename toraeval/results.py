"""Reading a run folder: the rows of `cases.csv`, and the arrays of one sample.

Shape legend: N objects, T frames.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from toraeval.store import PREVIEW, SCORE_ARRAYS, TRACKS, VIDEO, RunStore, read_json, write_json, write_text
from toraeval.types import BoolArray, FloatArray, UserError

CASES, TIMINGS, RECORD, DEFINITIONS = "cases.csv", "timings.csv", "record.json", "definitions.json"
FIRST = (
    "sample", "case", "seed", "model", "suite", "frames", "height", "width", "fps", "status", "error",
)  # fmt: skip
LAST = ("tracker", "tracker_floor", "frames_generated", "frames_scored", "length_mode")
END = ("video_sha256", "fingerprint")
TIMING = ("sample", "case", "seed", "generate_s", "track_s", "score_s")
MAIN_METRIC = "traj_error"
# Read as text whatever they look like: a hash such as 3364693e85 is a number to pandas otherwise.
WORDS = (
    "sample",
    "case",
    "model",
    "suite",
    "error",
    "tracker",
    "video_sha256",
    "fingerprint",
    "run",
    "weights",
)


@dataclass(frozen=True)
class CaseResult:
    """What one sample left behind.

    Attributes:
        target_NT2: path asked for, pixels of the video.
        target_visible_NT: where the target is in the frame and not hidden.
        tracks_NT2: path the tracker saw.
        visible_NT: the tracker's belief.
        arrays: per-object per-frame arrays of every metric, named `<metric>/<array>`.
        preview: a video file to look at, or None when none was kept.
    """

    target_NT2: FloatArray
    target_visible_NT: BoolArray
    tracks_NT2: FloatArray
    visible_NT: BoolArray
    arrays: Mapping[str, FloatArray]
    preview: Path | None


@dataclass(frozen=True)
class RunResult:
    """One run: a model on a suite at one length and size, followed by one tracker.

    Attributes:
        model, suite, tracker: names as in the tables.
        frames, height, width: what was asked of the generator.
        run_dir: folder of the run.
        cases: one row per sample: `cases.csv` plus `seconds`, the time of generating it.
    """

    model: str
    suite: str
    frames: int
    height: int
    width: int
    tracker: str
    run_dir: Path
    cases: pd.DataFrame

    @cached_property
    def record(self) -> dict[str, Any]:
        """The reproducibility record."""
        return read_json(self.run_dir / RECORD) or {}

    @property
    def num_failed(self) -> int:
        return int((self.cases["status"] == "failed").sum())

    def load_case(self, sample: str) -> CaseResult:
        """Return paths, tracks and metric arrays of one sample.

        Raises:
            UserError: the sample was never tracked.
        """
        folder = self.run_dir / "cases" / sample
        if not (folder / TRACKS).is_file():
            raise UserError(f"{folder}: no tracks; run the command in {self.run_dir / RECORD} again")
        with np.load(folder / TRACKS, allow_pickle=False) as stored:
            tracks = {name: stored[name] for name in stored.files if name != "meta"}
        arrays: dict[str, FloatArray] = {}
        if (folder / SCORE_ARRAYS).is_file():
            with np.load(folder / SCORE_ARRAYS, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
        video = next((p for p in (folder / VIDEO, folder / PREVIEW) if p.is_file()), None)
        return CaseResult(
            tracks["target_NT2"],
            tracks["target_visible_NT"],
            tracks["tracks_NT2"],
            tracks["visible_NT"],
            arrays,
            video,
        )


def load_run(run_dir: str | Path) -> RunResult:
    """Read a run folder.

    Raises:
        UserError: the folder is no finished run.
    """
    run_dir = Path(run_dir)
    record = read_json(run_dir / RECORD)
    if record is None or not (run_dir / CASES).is_file():
        raise UserError(
            f"{run_dir}: no {RECORD} and {CASES} here; give the folder of a run, see results/runs/"
        )
    cases = pd.read_csv(run_dir / CASES, dtype=dict.fromkeys(WORDS, str))
    timings = run_dir / TIMINGS
    if timings.is_file():
        seconds = pd.read_csv(timings, dtype={"sample": str}).set_index("sample")["generate_s"]
        cases["seconds"] = cases["sample"].map(seconds)
    run = record["run"]
    return RunResult(
        run["model"], run["suite"], run["frames"], run["height"], run["width"], run["tracker"], run_dir, cases
    )


def read_rows(store: RunStore, versions: Mapping[str, str], floor: RunStore | None) -> list[dict[str, Any]]:
    """Return one row per finished or failed sample of a run folder, in the order of the suite, then by seed.

    Args:
        store: the run folder.
        versions: current version of each selected metric; values of another version are left out.
        floor: the run folder of the ground truth, or None where there is none.
    """
    rows = []
    for slot in store.slots():
        facts = slot.facts()
        if facts is None:
            continue
        failure = slot.failure()
        row: dict[str, Any] = {**facts, "error": "", "status": "unscored"}
        if failure is not None:
            row |= {"status": "failed", "error": failure["error"]}
        else:
            for name, stored in slot.scores().items():
                if versions.get(name, stored["version"]) == stored["version"] and stored["values"]:
                    row |= stored["values"]
                    row["status"] = "ok"
        floor_values = floor.slot(facts["case"], 0).scores().get(MAIN_METRIC, {}) if floor else {}
        row["tracker_floor"] = floor_values.get("values", {}).get(MAIN_METRIC)
        rows.append(row)
    return sorted(rows, key=lambda row: (row["order"], row["case"], row["seed"]))


def write_tables(store: RunStore, rows: list[dict[str, Any]]) -> None:
    """Write `cases.csv` and `timings.csv` from rows; equal samples give equal bytes of `cases.csv`."""
    tags = sorted({name for row in rows for name in row if name.startswith("tag_")})
    known = {*FIRST, *LAST, *END, *tags, "order"}
    values = list(dict.fromkeys(name for row in rows for name in row if name not in known))
    frame = pd.DataFrame(rows, columns=[*FIRST, *values, *LAST, *tags, *END])
    write_text(store.run_dir / CASES, frame.to_csv(index=False, lineterminator="\n"))
    timings = []
    for row in rows:
        slot = store.slot(row["case"], row["seed"])
        meta = slot.video_meta() or {}
        score = read_json(slot.folder / "score.json") or {}
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
