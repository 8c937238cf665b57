"""One run folder as it is read back: rows, values of the whole set, and the arrays of one sample.

Shape legend: N objects, T frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from toraeval.store.keys import current_sha256
from toraeval.store.main_metric import main_columns, main_of
from toraeval.store.sealed import Damaged, require_json
from toraeval.store.slot import SET_SCORES, RunStore, Slot
from toraeval.types import BoolArray, FloatArray, UserError, counted

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


def length_words(frames: int) -> str:
    """Return a length as it stands in a sentence; 0 is that of runs whose cases differ in length."""
    return f"{frames} frames" if frames else "the clips' own lengths"


OWN_SIZE = "own-size"
"""In names of files, in place of the size of clips that differ in it."""


def size_words(width: int, height: int) -> str:
    """Return the size of a run's clips as it stands in a sentence; 0 is that of runs whose clips differ in it."""
    return f"{width}x{height}" if width else "each clip's own size"


@dataclass(frozen=True)
class RunResult:
    """One run: a model on a suite at one length and size, followed by one tracker.

    Attributes:
        model, suite, tracker: names as in the tables.
        frames, height, width: what was requested from the generator.
        run_dir: folder of the run.
        cases: one row per sample: `cases.csv` plus `seconds`, the time of generating it.
        record: the reproducibility record.
        definitions: what the metric columns mean, by metric.
        main_metric, main_column: the metric that tables show first, and its value.
    """

    model: str
    suite: str
    frames: int
    height: int
    width: int
    tracker: str
    run_dir: Path
    cases: pd.DataFrame
    record: Mapping[str, Any]
    definitions: Mapping[str, Any]
    main_metric: str
    main_column: str

    @classmethod
    def of(cls, run_dir: Path, cases: pd.DataFrame, record: Mapping[str, Any]) -> RunResult:
        """Return a run whose record says what it is.

        Raises:
            Damaged: the definitions are not what was written.
        """
        names = ("model", "suite", "frames", "height", "width", "tracker")
        facts = {name: record["run"][name] for name in names}
        definitions = require_json(run_dir / DEFINITIONS) or {}
        main = main_of(record.get("fingerprints", {}).get("metrics") or definitions)
        column = main_columns(main, definitions.get(main, {}))[0]
        return cls(
            **facts,
            run_dir=run_dir,
            cases=cases,
            record=record,
            definitions=definitions,
            main_metric=main,
            main_column=column,
        )

    @property
    def partial(self) -> str:
        """In how far the run is a part of what its suite has, in words; empty if it is the whole."""
        if not self.record.get("partial"):
            return ""
        cases, whole = self.cases["case"].nunique(), self.record.get("suite_size")
        stopped = "" if self.record.get("finished", True) else ", stopped before its end"
        return (
            f"{cases} of {counted(whole, 'case')}{stopped}"
            if whole
            else f"{counted(cases, 'case')}, a part of the suite{stopped}"
        )

    @cached_property
    def set_scores(self) -> dict[str, dict[str, Any]]:
        """Values of the whole set: metric -> {version, key, values, skipped, samples}."""
        return require_json(self.run_dir / SET_SCORES) or {}

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
            UserError: the sample was never tracked, or a file of it is damaged.
        """
        with self._again():
            tracks = self.slot(sample).require_tracks(self._rows.get(sample, {}).get("video_sha256"))
        names = ("target_NT2", "target_visible_NT", "tracks_NT2", "visible_NT")
        kept = {name: tracks[name] for name in names}
        return CaseResult(**kept, arrays=self.load_arrays(sample), preview=self.video_file(sample))

    def video_file(self, sample: str) -> Path | None:
        """Return the video that was kept of a sample, the lossless one if there are two, or None.

        Raises:
            UserError: it is damaged.
        """
        with self._again():
            return self.slot(sample).video_file()

    def load_arrays(self, sample: str) -> dict[str, FloatArray]:
        """Return the arrays of every metric of one sample, named `<metric>/<array>`; none if it was never scored.

        Raises:
            UserError: they are damaged, or gone although the sample was scored.
        """
        with self._again():
            return self.slot(sample).require_score_arrays(self._rows.get(sample, {}).get("status") == "ok")

    def slot(self, sample: str) -> Slot:
        """Return the folder of one sample."""
        return RunStore(self.run_dir).slot(sample)

    @cached_property
    def _rows(self) -> dict[str, dict[str, Any]]:
        rows = self.cases.to_dict("records")
        return {str(row["sample"]): {str(name): value for name, value in row.items()} for row in rows}

    @property
    def cure(self) -> str:
        """What brings a damaged run folder back, in words."""
        return f"run its command again: {self.record.get('command', 'python -m toraeval run ...')}"

    @contextmanager
    def _again(self) -> Iterator[None]:
        try:
            yield
        except Damaged as error:
            raise UserError(f"{error}; {self.cure}") from error


def load_run(run_dir: str | Path) -> RunResult:
    """Read a run folder.

    Raises:
        UserError: the folder is not a finished run, or one of its tables is not what was written.
    """
    run_dir = Path(run_dir)
    try:
        record = require_json(run_dir / RECORD)
    except Damaged as error:
        raise UserError(f"{error}; run the command of this run again, which rewrites it") from error
    if record is None or not (run_dir / CASES).is_file():
        raise UserError(
            f"{run_dir}: no {RECORD} and {CASES} here; give the folder of a run, see results/runs/"
        )
    for name, sha256 in record.get("files", {}).items():
        path = run_dir / name
        if not path.is_file() or current_sha256(path) != sha256:
            how = "differs from its checksum" if path.is_file() else "is missing"
            raise UserError(
                f"{path} {how}; run the command of this run again, which rewrites it: {record['command']}"
            )
    cases = pd.read_csv(run_dir / CASES, dtype=dict.fromkeys(WORDS, str))
    timings = run_dir / TIMINGS
    if timings.is_file():
        seconds = pd.read_csv(timings, dtype={"sample": str}).set_index("sample")["generate_s"]
        cases["seconds"] = cases["sample"].map(seconds)
    return RunResult.of(run_dir, cases, record)


def table_hashes(run_dir: Path) -> dict[str, str]:
    """Return the SHA-256 of every table of a run folder, by name; its record keeps them."""
    names = (CASES, SKIPS, TIMINGS, DEFINITIONS, SET_SCORES)
    return {name: current_sha256(run_dir / name) for name in names if (run_dir / name).is_file()}
