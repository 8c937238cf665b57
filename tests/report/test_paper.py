"""Tables and figures of the paper: from CSV files alone, the same bytes when redone, published figures apart."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toraeval.report.assemble import build
from toraeval.report.by_case import BY_CASE, mean_speed
from toraeval.report.collect import collect
from toraeval.report.paper import by_kind
from toraeval.report.paper.build import build as build_paper
from toraeval.report.paper.published import published
from toraeval.report.resolutions import RESOLUTIONS

TABLES = ("table1.csv", "metrics.csv", "error_over_time.csv", "by_case.csv")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def results(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder of which only the CSV files are left."""
    folder = tmp_path_factory.mktemp("results")
    for name in TABLES:
        shutil.copy(built / name, folder / name)
    return folder


@dataclass(frozen=True)
class Paper:
    """A folder of tables and figures, and what building it returned."""

    folder: Path
    written: list[Path]
    missing: list[str]


@pytest.fixture(scope="module")
def paper(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Paper:
    folder = tmp_path_factory.mktemp("paper")
    return Paper(folder, *build_paper(results, folder))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_equal_tables_give_equal_bytes(results: Path, paper: Paper, tmp_path: Path) -> None:
    build_paper(results, tmp_path / "two")
    assert {path.name for path in paper.written} == {
        "table1.csv", "table1.md", "table1.tex", "error_over_time.png", "error_by_family.csv", "error_by_family.png",
        "error_by_speed.csv", "error_by_speed.png",
    } - {name for name in ("error_by_family.csv", "error_by_family.png") if no_families(results)}  # fmt: skip
    assert contents(paper.folder) == contents(tmp_path / "two")
    assert any("preset=resolutions" in line for line in paper.missing)
    assert any(line.startswith("strips need the clips") for line in paper.missing)


def no_families(results: Path) -> bool:
    return bool(pd.read_csv(results / "by_case.csv")["family"].isna().all())


@pytest.mark.long
def test_what_is_shipped_can_be_drawn(tmp_path: Path) -> None:
    """The repository's own CSV files are enough for everything but the strips."""
    shutil.copytree(
        ROOT / "results", tmp_path / "results", ignore=shutil.ignore_patterns("runs", "cache", "paper")
    )
    if not (tmp_path / "results" / "by_case.csv").is_file():
        pytest.skip("the user removed the results")
    written, _ = build_paper(tmp_path / "results", tmp_path / "paper")
    names = {path.name for path in written}
    assert {
        "table1.tex",
        "error_over_time.png",
        "error_by_family.png",
        "error_by_speed.png",
        "ablations.png",
    } <= names


def test_table_1_has_a_row_per_model_and_the_numbers_of_the_report(results: Path, paper: Paper) -> None:
    wide = pd.read_csv(paper.folder / "table1.csv").set_index("model")
    long = pd.read_csv(results / "table1.csv").set_index(["model", "frames"])["traj_error"]
    assert list(wide.index) == ["ground_truth", "tora", "static"]
    for (model, frames), value in long.items():
        assert wide.loc[model, f"traj_error_{frames}"] == value
    text = (paper.folder / "table1.md").read_text()
    assert "**" in next(line for line in text.splitlines() if line.startswith("| tora"))
    assert "**" not in next(line for line in text.splitlines() if line.startswith("| ground_truth"))


def test_published_figures_stand_apart_with_their_source(paper: Paper) -> None:
    stated = published()
    assert stated.arxiv == "2407.21705"
    assert all(item.source.startswith("https://") and item.read for item in (*stated.values, *stated.claims))
    measured, _, apart = (paper.folder / "table1.md").read_text().partition("## Published, not measured here")
    assert "438" in apart
    assert "438" not in measured
    assert "wizwand" not in measured
    measured, _, apart = (paper.folder / "table1.tex").read_text().partition("% published")
    assert "& 438" in apart
    assert "438" not in measured
    assert "438" not in (paper.folder / "table1.csv").read_text()


def test_latex_is_balanced(paper: Paper) -> None:
    text = (paper.folder / "table1.tex").read_text()
    assert text.count("{") == text.count("}")
    rows = [line for line in text.splitlines() if line.startswith(("tora", "static", r"ground\_truth"))]
    assert {line.count(" & ") for line in rows} == {2}, "two lengths, one value each"
    assert all(line.endswith(r"\\") for line in rows)


def test_a_hostile_label_is_text_in_every_table(make_run: Callable[..., Path], tmp_path: Path) -> None:
    evil = '=HYPERLINK("http://x")|<script>alert(1)</script>\\input{x}&%$\\frac$\N{OK HAND SIGN}'
    run = make_run(tmp_path, "tora", 6)
    table = pd.read_csv(run / "cases.csv").assign(model=evil)
    table.to_csv(run / "cases.csv", index=False)
    from toraeval.store.sealed import require_json, write_json
    from toraeval.store.tables.run import table_hashes

    record = require_json(run / "record.json")
    assert record is not None
    write_json(
        run / "record.json", {**record, "run": {**record["run"], "model": evil}, "files": table_hashes(run)}
    )
    build([run], tmp_path / "r", sheets_per_length=0)
    assert pd.read_csv(tmp_path / "r" / "table1.csv")["model"].iloc[0] == f"'{evil}"
    assert "<script" not in (tmp_path / "r" / "table1.md").read_text()
    build_paper(tmp_path / "r", tmp_path / "paper")
    assert pd.read_csv(tmp_path / "paper" / "table1.csv")["model"].iloc[0] == f"'{evil}", "quoted once"
    assert "<script" not in (tmp_path / "paper" / "table1.md").read_text()
    latex = (tmp_path / "paper" / "table1.tex").read_text()
    assert r"\input{" not in latex
    assert r"\textbackslash{}input\{x\}\&\%" in latex


def test_a_table_of_another_kind_costs_only_its_own_figure(results: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "results"
    shutil.copytree(results, mixed)
    (mixed / "ablations.csv").write_text("a,b\n1,2\n")
    (mixed / "resolutions.csv").unlink(missing_ok=True)
    written, missing = build_paper(mixed, tmp_path / "paper")
    assert any(
        "ablations.csv has no column ablation" in line
        and f"python -m toraeval bench preset=ablations results={mixed}" in line
        for line in missing
    )
    assert any(line.endswith(f"bench preset=resolutions results={mixed}") for line in missing)
    assert "table1.tex" in {path.name for path in written}


def test_cases_know_family_and_speed(bench: list[Path], built: Path) -> None:
    rows = pd.read_csv(built / "by_case.csv")
    assert list(rows) == list(BY_CASE)
    assert len(rows) == 3 * 3 * 2
    speeds = rows.groupby("frames")["speed"].mean()
    assert speeds[6] > speeds[12], "the same path in fewer frames is faster"
    assert rows.groupby(["frames", "case"])["speed"].nunique().eq(1).all()


def test_mean_speed_counts_visible_steps_only() -> None:
    target = np.array([[[0.0, 0.0], [3.0, 4.0], [103.0, 4.0], [103.0, 5.0]]])
    assert mean_speed(target, np.array([[True, True, False, True]])) == 5.0
    assert np.isnan(mean_speed(target, np.zeros((1, 4), bool)))


def test_thirds_of_speed_hold_every_case_once() -> None:
    cases = pd.DataFrame({
        "model": "m", "frames": 16, "case": list("abcdefg"), "family": "", "objects": 1, "speed": range(7),
        "column": "traj_error", "value": np.arange(7.0), "direction": "lower",
    })  # fmt: skip
    rows = by_kind.by_speed(cases)
    assert rows["of"].tolist() == ["slow", "medium", "fast"]
    assert rows["cases"].tolist() == [3, 2, 2]
    assert rows["value"].tolist() == [1.0, 3.5, 5.5]
    assert by_kind.by_family(cases).empty


@pytest.mark.long
def test_sizes_of_one_model_get_a_table_and_a_figure(make_run: Callable[..., Path], tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path, model, frames, size=size, video=False)
        for size in ((64, 48), (48, 64))
        for frames in (6, 9)
        for model in ("ground_truth", "tora")
    ]
    build(runs, tmp_path / "r", sheets_per_length=0)
    rows = pd.read_csv(tmp_path / "r" / "resolutions.csv")
    assert list(rows) == list(RESOLUTIONS)
    assert set(zip(rows["width"], rows["height"], strict=True)) == {(64, 48), (48, 64)}
    assert np.allclose(
        rows["error_diagonal"], 100 * rows["error"] / np.hypot(rows["width"], rows["height"]), rtol=1e-4
    )
    assert (tmp_path / "r" / "resolutions.png").is_file()
    build_paper(tmp_path / "r", tmp_path / "paper")
    first = (tmp_path / "paper" / "resolutions.png").read_bytes()
    build_paper(tmp_path / "r", tmp_path / "paper")
    assert (tmp_path / "paper" / "resolutions.png").read_bytes() == first


def test_strips_are_drawn_where_clips_are(bench: list[Path], results: Path, tmp_path: Path) -> None:
    written, missing = build_paper(results, tmp_path / "paper", collect(bench))
    assert [path for path in written if path.parent.parent.name == "strips"]
    assert not any(line.startswith("strips") for line in missing)
