"""A blind comparison of two runs: which clips are shown in pairs, and the key that says whose they are."""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toraeval.store.keys import safe_id
from toraeval.store.sealed import Damaged, require_json, write_json
from toraeval.store.slot import PREVIEW
from toraeval.store.tables.run import CaseResult, RunResult, load_run
from toraeval.types import UserError, counted

KEY_FILE = "key.json"
SIDES = ("x", "y")
_SAME = ("suite", "frames", "height", "width")


@dataclass(frozen=True)
class BlindPair:
    """Two clips of one sample.

    Attributes:
        pair: name in page and votes, e.g. `p001`.
        sample, case: as in cases.csv.
        first: `x` or `y`, the letter under which votes know the clip of the first run.
    """

    pair: str
    sample: str
    case: str
    first: str


@dataclass(frozen=True)
class BlindSession:
    """What two runs are compared on; kept as `key.json`, which raters must not see.

    Attributes:
        session: random name that every vote carries.
        models: names of the two models, told apart by the run's folder where they are equal.
        runs: folders of the runs, relative to the session's.
        facts: suite, frames, height and width.
        pairs: in the order of the suite.
    """

    session: str
    models: tuple[str, str]
    runs: tuple[str, str]
    facts: dict[str, Any]
    pairs: tuple[BlindPair, ...]

    def side(self, pair: BlindPair, run: int) -> str:
        """Return the letter of the clip of the first (0) or second (1) run."""
        return pair.first if run == 0 else SIDES[1 - SIDES.index(pair.first)]


@dataclass(frozen=True)
class Clips:
    """The two runs of a session as they are read.

    Attributes:
        runs: first and second.
        samples: names of the samples that can be shown, in the order of the first run.
        left_out: sample -> why it cannot.
    """

    runs: tuple[RunResult, RunResult]
    samples: tuple[str, ...]
    left_out: dict[str, str]

    def asked(self, sample: str) -> CaseResult:
        """Return the paths that were asked for in a sample."""
        return self.runs[0].load_case(sample)

    def prompt(self, sample: str) -> str:
        """Return the caption of a sample."""
        stored = self.runs[0].slot(sample).video_meta() or {}
        return str(stored.get("prompt") or "")

    def file(self, sample: str, run: int) -> Path:
        """Return the clip that a browser plays."""
        found = self.runs[run].video_file(sample)
        assert found is not None  # `find_clips` looked
        return found.with_name(PREVIEW)


def find_clips(run_a: Path, run_b: Path) -> Clips:
    """Return the samples of which both runs keep a clip.

    Raises:
        UserError: not two finished runs of one suite at one length and size, or no such sample.
    """
    runs = (load_run(run_a), load_run(run_b))
    if run_a.resolve() == run_b.resolve():
        raise UserError(f"rate: {run_a} twice; allowed: two different runs")
    for name in _SAME:
        ours, theirs = (getattr(run, name) for run in runs)
        if ours != theirs:
            raise UserError(
                f"rate: the runs differ in {name}: {ours} and {theirs}; allowed: runs of the same cases"
            )
    here = [set(run.cases.loc[run.cases["status"] != "failed", "sample"]) for run in runs]
    shown, left_out = [], {}
    for sample in runs[0].cases["sample"]:
        why = "it is not in both runs" if sample not in here[0] & here[1] else _lacking(runs, sample)
        if why:
            left_out[str(sample)] = why
        else:
            shown.append(str(sample))
    if not shown:
        first = next(iter(left_out.items()), ("none", "there are no samples"))
        raise UserError(
            f"rate: no sample can be shown; {first[0]}: {first[1]}; run both again with keep=preview"
        )
    return Clips(runs, tuple(shown), left_out)


def _lacking(runs: Sequence[RunResult], sample: str) -> str:
    """Return why a sample cannot be shown, or an empty text."""
    try:
        targets = [run.load_case(sample).target_NT2 for run in runs]
        if targets[0].shape != targets[1].shape or not np.allclose(targets[0], targets[1]):
            return "the two runs were asked for different paths"
        for run in runs:
            found = run.video_file(sample)
            if found is None or not found.with_name(PREVIEW).is_file():
                return f"{run.model} kept no video of it (keep=preview keeps it)"
    except UserError as error:
        return str(error)
    return ""


def session_of(clips: Clips, folder: Path, limit: int | None = None) -> BlindSession:
    """Return the session of a folder, made where there is none yet.

    Args:
        clips: of the two runs.
        folder: where the key is kept.
        limit: number of pairs, drawn at random; None for all.

    Raises:
        UserError: the folder belongs to other runs, or to another number of pairs.
    """
    runs = tuple(os.path.relpath(run.run_dir, folder) for run in clips.runs)
    if (folder / KEY_FILE).exists():
        found = read_session(folder)
        if found.runs != runs:
            raise UserError(f"{folder} compares {' and '.join(found.runs)}; give another folder with out=DIR")
        missing = [pair.sample for pair in found.pairs if pair.sample not in clips.samples]
        if missing or limit not in (None, len(found.pairs)):
            what = (
                f"{missing[0]} is gone: {clips.left_out.get(missing[0], '')}" if missing else f"pairs={limit}"
            )
            raise UserError(
                f"{folder} was begun with {counted(len(found.pairs), 'pair')}, but {what}; give another out=DIR"
            )
        return found
    chance = random.SystemRandom()
    order = list(clips.samples)
    if limit is not None and limit < len(order):
        drawn = set(chance.sample(order, limit))
        order = [sample for sample in order if sample in drawn]
    cases = dict(zip(clips.runs[0].cases["sample"], clips.runs[0].cases["case"], strict=True))
    digits = max(3, len(str(len(order))))
    pairs = tuple(
        BlindPair(f"p{number:0{digits}}", sample, str(cases[sample]), chance.choice(SIDES))
        for number, sample in enumerate(order, start=1)
    )
    made = BlindSession(
        secrets.token_hex(8), labels(clips.runs), (runs[0], runs[1]), _facts(clips.runs[0]), pairs
    )
    write_json(folder / KEY_FILE, {**asdict(made), "pairs": [asdict(pair) for pair in pairs]})
    return made


def labels(runs: Sequence[RunResult]) -> tuple[str, str]:
    """Return the names of two models, with their runs' folders where they are equal."""
    names = [run.model for run in runs]
    if names[0] == names[1]:
        names = [f"{run.model} ({run.run_dir.name})" for run in runs]
    return names[0], names[1]


def folder_name(runs: Sequence[RunResult]) -> str:
    """Return a name for the folder of two runs' session."""
    first = runs[0]
    size = f"{first.frames}f-{first.width}x{first.height}-" if first.frames else ""
    ends = "-".join(run.run_dir.name.rpartition("-")[2][:6] for run in runs)
    return safe_id(f"{first.suite}-{first.model}-vs-{runs[1].model}-{size}{ends}")


def _facts(run: RunResult) -> dict[str, Any]:
    return {name: getattr(run, name) for name in _SAME}


def read_session(folder: Path) -> BlindSession:
    """Read the key of a folder.

    Raises:
        UserError: there is none, or it is not as it was written.
    """
    try:
        found = require_json(folder / KEY_FILE)
    except Damaged as error:
        raise UserError(f"{error}; its votes cannot be told apart without it") from error
    if found is None:
        raise UserError(f"{folder}: no {KEY_FILE}; allowed: a folder that `rate` made")
    pairs = tuple(BlindPair(**pair) for pair in found["pairs"])
    models, runs = tuple(found["models"]), tuple(found["runs"])
    return BlindSession(found["session"], models, runs, dict(found["facts"]), pairs)


def find_sessions(folders: Iterable[Path]) -> dict[str, tuple[Path, BlindSession]]:
    """Return folder and session by the session's name, of every folder that has a key."""
    found = {}
    for folder in folders:
        if (folder / KEY_FILE).is_file():
            session = read_session(folder)
            found[session.session] = folder, session
    return found
