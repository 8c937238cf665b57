"""`compare`: pairing of runs, verdicts, refusals, files."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.fake_parts import config, registered
from toraeval.report.compare import COMPARISON, verdict
from toraeval.run import pipeline
from toraeval.run.plan import plan_run
from toraeval.stats import holm, sign_flip_test
from toraeval.stats.power import paired_sensitivity
from toraeval.store.sealed import read_json, write_json

pytestmark = pytest.mark.timeout(300)  # whole runs on a busy machine

Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of two models at two lengths, with their floor."""
    results = tmp_path_factory.mktemp("made")
    with registered():
        for frames in (8, 6):
            for model in ("fake_model", "static"):
                pipeline.run(plan_run(config(results, model={"name": model}, frames=frames)), command="test")
    return results


@pytest.fixture
def stored(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "results")


def run_dir(tmp_path: Path, model: str, frames: int = 8) -> Path:
    (found,) = (tmp_path / "results" / "runs" / "fake_suite-v1" / model).glob(f"{frames}f-*")
    return found


def test_models_are_paired_by_length_and_the_table_is_corrected_as_a_whole(
    cli: Cli, stored: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    ran = cli("compare", "fake_model", "static", "out=cmp")
    assert ran.code == 0, ran.err
    rows = pd.read_csv(tmp_path / "cmp" / "compare.csv")
    assert rows["frames"].tolist() == [6, 8]
    for row in rows.itertuples():
        cases = [
            pd.read_csv(run_dir(tmp_path, model, row.frames) / "cases.csv").set_index("case")["traj_error"]
            for model in ("fake_model", "static")
        ]
        differences = cases[0] - cases[1]
        assert row.difference == pytest.approx(differences.mean(), rel=1e-5)
        assert row.p == pytest.approx(sign_flip_test(differences.to_numpy()))
        assert (row.a_lower, row.b_lower, row.cases) == (3, 0, 3)
        assert row.cases_needed == paired_sensitivity(differences.to_numpy()).cases_needed
        assert np.isnan(row.detectable)  # no outcome of 3 cases has p below 5 %
    assert rows["p_holm"].tolist() == pytest.approx(holm(rows["p"].tolist()))
    assert set(rows["verdict"]) == {"no difference that 3 cases can show"}  # 3 cases cannot reach p = 0.05
    assert "| verdict" in (tmp_path / "cmp" / "compare.md").read_text()
    assert "frames, traj_error: no difference that 3 cases can show" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 120
    assert cli("compare", "fake_model", "static", "frames=8").out.count("| traj_error") == 1


def test_runs_that_measure_different_things_are_refused_unless_forced(
    cli: Cli, stored: None, tmp_path: Path
) -> None:
    folders = [str(run_dir(tmp_path, "fake_model")), str(run_dir(tmp_path, "static", 6))]
    refused = cli("compare", *folders)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "frames 8 against 6" in refused.err
    forced = cli("compare", *folders, "force=true", "out=cmp")
    assert forced.code == 0, forced.err
    assert "**FORCED: these runs measure different things: frames 8 against 6.**" in forced.out
    rows = pd.read_csv(tmp_path / "cmp" / "compare.csv")
    assert rows["forced"].tolist() == ["frames 8 against 6"]
    assert rows["verdict"].str.startswith("FORCED, not comparable: ").all()


@pytest.mark.parametrize(
    ("part", "change", "words"),
    [
        ("metrics", {"traj_error": {"metric": "traj_error", "version": "0"}}, "version 0 against 1"),
        ("tracker", {"tracker": "fake_tracker", "version": "2"}, "options of the tracker"),
        ("suite", {"suite": "fake_suite", "version": "9"}, "options of the suite: "),
    ],
)
def test_other_definitions_are_refused(
    cli: Cli, stored: None, tmp_path: Path, part: str, change: dict[str, Any], words: str
) -> None:
    path = run_dir(tmp_path, "fake_model") / "record.json"
    record = read_json(path)
    assert record is not None
    record["fingerprints"][part] = change
    write_json(path, record)
    refused = cli("compare", "fake_model", "static")
    assert refused.code == 2
    assert words in refused.err


def test_names_without_a_run_and_wrong_usage(cli: Cli, stored: None) -> None:
    assert "models there: fake_model, ground_truth, static" in cli("compare", "static", "tora").err
    assert "none with frames=9" in cli("compare", "static", "static", "frames=9").err
    assert "two models or run folders" in cli("compare", "static").err
    assert "Did you mean 'frames'" in cli("compare", "a", "b", "frame=9").err
    assert "allowed: true, false" in cli("compare", "a", "b", "force=yes").err
    assert "RUN_FOLDER" in cli("compare", "--help").out


ROW: dict[str, Any] = {
    "difference": -2.0, "floor": 0.5, "direction": "lower", "unit": "px", "p_holm": 0.01, "cases": 16,
    "name_a": "tora", "name_b": "dragnuwa", "forced": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "tora is better by 2 px"),
        ({"difference": 2.0}, "dragnuwa is better by 2 px"),
        ({"direction": "higher"}, "dragnuwa is better by 2 px"),
        ({"direction": ""}, "tora is lower by 2 px"),
        ({"p_holm": 0.2}, "no difference that 16 cases can show"),
        ({"difference": -0.2}, "smaller than the tracker's floor (0.5 px): says nothing"),
        ({"difference": 0.0}, "equal"),
        ({"floor": np.nan, "difference": -0.2}, "tora is better by 0.2 px"),
        ({"of_set": "intervals overlap", "p_holm": np.nan},
         "tora is better by 2 px; one value per set, no test (intervals overlap)"),
        ({"forced": "frames"}, "FORCED, not comparable: tora is better by 2 px"),
    ],
)  # fmt: skip
def test_verdicts(change: dict[str, Any], words: str) -> None:
    assert verdict({**ROW, **change}) == words


def test_csv_has_every_documented_column(cli: Cli, stored: None, tmp_path: Path) -> None:
    cli("compare", "fake_model", "static", "out=cmp", "frames=8")
    text = (tmp_path / "cmp" / "compare.csv").read_text()
    assert set(COMPARISON) <= set(pd.read_csv(io.StringIO(text)).columns)
    assert pd.read_csv(io.StringIO(text))["floor"].tolist() == [0.0]
