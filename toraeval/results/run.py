"""One run folder as it is read back: rows, values of the whole set, and the arrays of one sample.

Shape legend: N objects, T frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from toraeval.store import PREVIEW, SCORE_ARRAYS, SET_SCORES, TRACKS, VIDEO, read_json
from toraeval.types import BoolArray, FloatArray, UserError

CASES, TIMINGS, SKIPS = "cases.csv", "timings.csv", "skips.csv"
RECORD, DEFINITIONS = "record.json", "definitions.json"
# Read as text whatever they look like: a hash such as 3364693e85 is a number to pandas otherwise.
WORDS = (
    "sample", "case", "model", "suite", "error", "tracker", "video_sha256", "fingerprint", "run", "weights",
)  # fmt: skip


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

    @cached_property
    def set_scores(self) -> dict[str, dict[str, Any]]:
        """Values of the whole set: metric -> {version, key, values, skipped, samples}."""
        return read_json(self.run_dir / SET_SCORES) or {}

    @cached_property
    def skips(self) -> pd.DataFrame:
        """Metrics that did not run on a sample: sample, case, seed, metric, reason."""
        path = self.run_dir / SKIPS
        if not path.is_file():  # written before skips had a table
            return pd.DataFrame(columns=["sample", "case", "seed", "metric", "reason"])
        return pd.read_csv(path, dtype={"sample": str, "case": str})

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
        return CaseResult(
            tracks["target_NT2"],
            tracks["target_visible_NT"],
            tracks["tracks_NT2"],
            tracks["visible_NT"],
            self.load_arrays(sample),
            self.video_file(sample),
        )

    def video_file(self, sample: str) -> Path | None:
        """Return the video that was kept of a sample, the lossless one if there are two, or None."""
        folder = self.run_dir / "cases" / sample
        return next((path for path in (folder / VIDEO, folder / PREVIEW) if path.is_file()), None)

    def load_arrays(self, sample: str) -> dict[str, FloatArray]:
        """Return the arrays of every metric of one sample, named `<metric>/<array>`; none if it was never scored."""
        path = self.run_dir / "cases" / sample / SCORE_ARRAYS
        if not path.is_file():
            return {}
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}


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
