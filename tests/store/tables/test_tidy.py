"""Tidy data frames of stored runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import toraeval
from tests.report.conftest import write_run
from toraeval.store.sealed import write_json
from toraeval.types import UserError


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("results")
    write_run(root, "tora", 6, seeds=(0, 1), video=False)
    static = write_run(root, "static", 6, failed=("wave-002",), video=False)
    scores = {"version": "1", "key": "k", "samples": ["line-000"]}
    write_json(
        static / "set_scores.json",
        {
            "fvd": {**scores, "values": {"fvd_shapes": 3.5}, "skipped": None},
            "kvd": {**scores, "values": {}, "skipped": "too few"},
        },
    )
    return root


def test_every_frame_starts_with_its_run(stored: Path) -> None:
    found = toraeval.load_results(stored)
    assert found.runs["model"].tolist() == ["static", "tora"]
    for table in (found.runs, found.cases, found.timings, found.curves, found.set_scores):
        assert list(table.columns[:4]) == ["run", "model", "suite", "frames"]
    assert found.runs["failed"].tolist() == [1, 0]
    assert found.cases.groupby("model").size().to_dict() == {"static": 3, "tora": 6}
    assert len(found.timings) == 9


def test_curves_give_the_case_means_back(stored: Path) -> None:
    found = toraeval.load_results(stored)
    errors = found.curves.query("metric == 'traj_error' and array == 'errors_NT'")
    per_object = errors.groupby(["model", "sample", "object"])["value"].mean()
    means = per_object.groupby(["model", "sample"]).mean()
    for row in found.cases[found.cases["status"] == "ok"].itertuples():
        assert means[row.model, row.sample] == pytest.approx(row.traj_error)
    assert errors["frame"].min() == 1
    whole = found.curves.query("array == 'error_T'")
    assert (whole["object"] == -1).all()


def test_set_scores_have_a_row_per_value_and_one_for_a_skip(stored: Path) -> None:
    table = toraeval.load_results(stored).set_scores.set_index("metric")
    assert table.loc["fvd", ["column", "value", "model"]].tolist() == ["fvd_shapes", 3.5, "static"]
    assert np.isnan(table.loc["kvd", "value"])
    assert table.loc["kvd", "skipped"] == "too few"


def test_one_run_folder_is_enough_and_an_empty_one_refused(stored: Path, tmp_path: Path) -> None:
    folder = next((stored / "runs").rglob("record.json")).parent
    assert len(toraeval.load_results(folder).runs) == 1
    with pytest.raises(UserError, match="no finished run"):
        toraeval.load_results(tmp_path)


def test_documented_example_runs(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code block below "All runs at once" in docs/results.md."""
    text = (Path(__file__).parents[3] / "docs" / "results.md").read_text(encoding="utf-8")
    code = text.split("## All runs at once")[1].split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(stored.parent)
    (stored.parent / "results").exists() or (stored.parent / "results").symlink_to(stored)
    names: dict[str, object] = {}
    exec(code, names)
    assert json.loads(names["means"].to_json())  # type: ignore[attr-defined]


def test_the_text_shows_what_was_loaded(stored: Path) -> None:
    found = toraeval.load_results(stored)
    head, columns, static, tora = repr(found).splitlines()
    assert head == "Results of 2 runs; data frames: runs, cases, curves, set_scores, skips, timings"
    assert columns.split() == [
        "model",
        "suite",
        "frames",
        "size",
        "tracker",
        "samples",
        "failed",
        "traj_error",
    ]
    assert static.split()[0] == "static"
    mean = found.cases.query("model == 'tora'").groupby("case")["traj_error"].mean().mean()
    assert float(tora.split()[-1]) == pytest.approx(mean, rel=1e-3)
    html = found._repr_html_()
    assert html.count("<tr") == 3
    assert "2 runs" in html
