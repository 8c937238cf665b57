"""Every kind of stored file, damaged: the rerun gives the bytes of the undamaged run, or says what it cannot redo.

`TORAEVAL_FLIPS=200` tries so many single bits of every file; the default is one.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fake_parts import config
from toraeval import registry
from toraeval.report import measures, tables
from toraeval.report.collect import collect
from toraeval.report.findings import error_over_time
from toraeval.run import pipeline
from toraeval.run.plan import plan_run
from toraeval.store.journal import FOLDER
from toraeval.store.tables.run import load_run
from toraeval.types import UserError

FLIPS = int(os.environ.get("TORAEVAL_FLIPS", "1"))
# Written anew at the end of every run, with the time and memory that it took.
OF_THE_LAST_RUN = ("record.json", ".lock")
IN_A_CASE = ("video.json", "video.mkv", "preview.mp4", "tracks.npz", "score.json", "score.npz")
OF_A_RUN = ("cases.csv", "skips.csv", "timings.csv", "definitions.json", "set_scores.json", "record.json")
FILES = [f"fake_model/cases/beta/{name}" for name in IN_A_CASE]
FILES += [f"fake_model/{name}" for name in OF_A_RUN]
FILES += [
    f"ground_truth/cases/beta/{name}" for name in ("video.json", "tracks.npz", "score.json", "score.npz")
]

Damage = Callable[[Path], object]


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch, fakes: None) -> None:
    monkeypatch.setattr(time, "perf_counter", lambda: 0.0)  # times are stored, and would differ
    registry.register("metric", "spread", "tests.run.test_set_scores:Spread")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of one undamaged run, made when the first test asks for them."""
    return {}


def run(results: Path) -> pipeline.Report:
    metrics = {name: {"name": name} for name in ("traj_error", "spread")}
    return pipeline.run(plan_run(config(results, keep="lossless", metrics=metrics, limit=2)), command="test")


def content(results: Path) -> dict[str, bytes]:
    return {
        "/".join(path.relative_to(results).parts): path.read_bytes()
        for path in sorted(results.rglob("*"))
        if path.is_file() and path.parent.name != FOLDER.name  # a journal tells of one command
    }


def fresh(tmp_path: Path, whole: dict[str, bytes]) -> Path:
    """Return a results folder as an undamaged run left it."""
    if not whole:
        run(tmp_path / "whole")
        whole |= content(tmp_path / "whole")
    results = tmp_path / "results"
    shutil.rmtree(results, ignore_errors=True)
    for name, data in whole.items():
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_bytes(data)
    return results


def find(results: Path, file: str) -> Path:
    model, _, rest = file.partition("/")
    return next((results / "runs").glob(f"*/{model}/*/{rest}"))


def run_folder(results: Path) -> Path:
    return find(results, "fake_model/cases").parent


def require_one_line(error: UserError, what: str) -> None:
    assert len(str(error).splitlines()) == 1, what


def check_rerun(results: Path, whole: dict[str, bytes], what: str) -> None:
    """Run again: equal bytes, or an error of one line."""
    try:
        report = run(results)
    except UserError as error:
        require_one_line(error, what)
        return
    failed = [outcome for outcome in report.outcomes if outcome.failed]
    if failed:
        assert not any(re.match(r"\w+(Error|Exception)", one.error) for one in failed), (
            f"{what}: {failed[0].error}"
        )
        return
    after = content(results)
    differ = [
        name
        for name in sorted({*whole, *after})
        if Path(name).name not in OF_THE_LAST_RUN and whole.get(name) != after.get(name)
    ]
    assert not differ, f"{what}: {differ}"


def shown(folder: Path) -> list[str]:
    """Return what reports and readers make of the model's run, as text."""
    (group,) = collect([folder])
    found = load_run(folder)
    arrays = {sample: found.load_arrays(str(sample)) for sample in found.cases["sample"]}
    paths = [found.load_case(str(sample)).tracks_NT2.tolist() for sample in found.cases["sample"]]
    kept = {name: value.tolist() for stored in arrays.values() for name, value in stored.items()}
    texts = [tables.to_csv(make(group)) for make in (tables.table, measures.table, error_over_time)]
    return [*texts, repr(paths), repr(kept), repr(found.set_scores), str(group.definitions)]


def check_read(folder: Path, right: list[str], what: str) -> None:
    """Read the run without running it: what is shown is what was measured, or an error of one line."""
    try:
        found = shown(folder)
    except UserError as error:
        require_one_line(error, what)
        return
    assert found == right, what


def flipped(bit: int) -> Damage:
    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[bit // 8 % len(data)] ^= 1 << bit % 8
        path.write_bytes(data)

    return damage


def from_another(path: Path) -> None:
    """Put the same file of another case here: whole in itself, but not of this case."""
    other = path.parent.parent / "alpha" / path.name
    path.write_bytes(other.read_bytes() if other.is_file() else b"{}\n")


DAMAGES: dict[str, Damage] = {
    "deleted": lambda path: path.unlink(),
    "emptied": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "noise": lambda path: path.write_bytes(random.Random(0).randbytes(path.stat().st_size)),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0\n1,2,3\n"),
    "of another case": from_another,
}


def test_scores_of_another_case_are_not_shown_even_if_they_fit_together(
    tmp_path: Path, whole: dict[str, bytes]
) -> None:
    right = shown(run_folder(fresh(tmp_path, whole)))
    results = tmp_path / "results"
    for name in ("score.json", "score.npz"):
        from_another(find(results, f"fake_model/cases/beta/{name}"))
    check_read(run_folder(results), right, "both files of the scores")
    with pytest.raises(UserError, match="alpha"):
        load_run(run_folder(results)).load_arrays("beta")
    check_rerun(results, whole, "both files of the scores")


@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_made_again(tmp_path: Path, whole: dict[str, bytes], file: str) -> None:
    for what, damage in DAMAGES.items():
        results = fresh(tmp_path, whole)
        damage(find(results, file))
        check_rerun(results, whole, f"{file} {what}")


@pytest.mark.parametrize("file", FILES)
def test_no_flipped_bit_is_believed(tmp_path: Path, whole: dict[str, bytes], file: str) -> None:
    size = len(find(fresh(tmp_path, whole), file).read_bytes()) * 8
    for bit in random.Random(file).sample(range(size), FLIPS):
        results = fresh(tmp_path, whole)
        flipped(bit)(find(results, file))
        check_rerun(results, whole, f"{file} bit {bit}")


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith("fake_model")])
def test_no_reader_shows_a_damaged_value(tmp_path: Path, whole: dict[str, bytes], file: str) -> None:
    right = shown(run_folder(fresh(tmp_path, whole)))
    for what, damage in DAMAGES.items():
        results = fresh(tmp_path, whole)
        damage(find(results, file))
        check_read(run_folder(results), right, f"{file} {what}")
    size = len(find(fresh(tmp_path, whole), file).read_bytes()) * 8
    for bit in random.Random(file).sample(range(size), FLIPS):
        results = fresh(tmp_path, whole)
        flipped(bit)(find(results, file))
        check_read(run_folder(results), right, f"{file} bit {bit}")
