"""Runs of several people: what a submission may hold, who ranks where, and the YAML of a model card."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from toraeval.leaderboard.contents import paths_in
from toraeval.leaderboard.submission import check_run
from toraeval.report.texts import csv_text, from_csv, latex_text, markdown_text
from toraeval.store.sealed import require_json, write_json
from toraeval.store.tables.run import table_hashes

pytestmark = pytest.mark.timeout(300)  # whole runs on a busy machine

Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the submissions of the first test are kept for the others: every test spoils a copy."""
    return tmp_path_factory.mktemp("made") / "subs"


@pytest.fixture
def submissions(cli: Cli, fake: tuple[str, ...], made: Path) -> tuple[Path, Path]:
    """Ann's model errs by 2 pixels and Bob's by 5; both bring the references."""
    if not made.exists():
        for name, shift in (("ann", 2), ("bob", 5)):
            ran = cli("run", "model=fake_model", f"model.shift={shift}", *fake, f"results=r_{name}")
            assert ran.code == 0, ran.err
            assert cli("export", f"r_{name}", f"out=new/{name}").code == 0
        shutil.copytree("new", made)
    shutil.copytree(made, "subs")
    return Path("subs/ann"), Path("subs/bob")


def model_run(folder: Path) -> Path:
    return next(folder.glob("runs/*/fake_model/*"))


def resealed(run_dir: Path, **changes: Any) -> None:
    """Write a record as somebody who knows the checksums would."""
    record = require_json(run_dir / "record.json")
    assert record is not None
    write_json(run_dir / "record.json", {**record, **changes, "files": table_hashes(run_dir)})


def test_an_export_passes_the_check(cli: Cli, submissions: tuple[Path, Path]) -> None:
    ran = cli("check-submission", "subs/ann")
    assert ran.code == 0, ran.out
    assert "2 runs, 6 samples: nothing to mend" in ran.out


def test_ranks_with_links_and_references_without_a_rank(cli: Cli, submissions: tuple[Path, Path]) -> None:
    ran = cli("leaderboard", "subs/ann", "subs/bob", "out=board")
    assert ran.code == 0, ran.err
    rows = pd.read_csv("board/leaderboard.csv")
    assert rows["board"].nunique() == 1
    ours = rows[rows["model"] == "fake_model"].set_index("submission")
    assert ours["rank"].to_dict() == {"ann": 1, "bob": 2}
    assert ours["value"].to_dict() == {"ann": 2.0, "bob": 5.0}
    assert ours["cases_needed"].fillna(0).to_dict() == {
        "ann": 0,
        "bob": 6,
    }  # alike in all cases; fewer have no test
    assert rows.loc[rows["model"] == "ground_truth", "rank"].isna().all()
    assert (rows["model"] == "ground_truth").sum() == 1, "the same run of two submissions stands once"
    for record in rows["record"]:
        assert (Path("board") / record).is_file()
    text = Path("board/leaderboard.md").read_text()
    assert text.count("[record](../subs/") == 3


def test_other_lengths_get_a_board_of_their_own(cli: Cli, fake: tuple[str, ...], tmp_path: Path) -> None:
    for frames in (6, 8):
        cli("run", "model=fake_model", *fake[:-1], f"frames={frames}", "results=r", "floor=false")
    cli("run", "model=static", *fake, "results=r", "floor=false", "limit=2")
    cli("export", "r", "out=s")
    ran = cli("leaderboard", "s", "out=board")
    assert ran.code == 0, ran.err
    rows = pd.read_csv("board/leaderboard.csv")
    assert rows["board"].nunique() == 3, "two lengths, and one run of fewer cases"
    note = cli("check-submission", "s").out
    assert "covers 2 cases, a part of its suite" in note


def test_a_run_with_problems_is_left_out_and_named(cli: Cli, submissions: tuple[Path, Path]) -> None:
    table = model_run(Path("subs/bob")) / "cases.csv"
    table.write_text(table.read_text().replace("5.0", "0.5"))
    ran = cli("leaderboard", "subs/ann", "subs/bob")
    assert ran.code == 1
    assert "left out: bob/runs/fake_suite-v1/fake_model/" in ran.err
    assert "differs from its checksum" in ran.err
    assert set(pd.read_csv("leaderboard/leaderboard.csv")["submission"]) == {"ann"}


def test_numbers_that_do_not_follow_from_the_tracks_are_found(
    cli: Cli, submissions: tuple[Path, Path]
) -> None:
    run_dir = model_run(Path("subs/bob"))
    table = pd.read_csv(run_dir / "cases.csv")
    table["traj_error"] = 0.5
    table.to_csv(run_dir / "cases.csv", index=False)
    resealed(run_dir)
    ran = cli("check-submission", "subs/bob")
    assert ran.code == 1
    assert "traj_error is 0.5 in cases.csv and 5.0 in score.json" in ran.out
    for path in run_dir.glob("cases/*/score.json"):  # and the next step of somebody who cheats
        score = require_json(path)
        assert score is not None
        score["metrics"]["traj_error"]["values"]["traj_error"] = 0.5
        write_json(path, score)
    assert (
        "traj_error is 0.5 in cases.csv, but 5.0 from tracks.npz" in cli("check-submission", "subs/bob").out
    )


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda run: (run / "evil.py").write_text("import os"), "evil.py is not part of a result"),
        (lambda run: (run / "cases" / "alpha" / "more.pkl").write_bytes(b"x"), "more.pkl is not part of a result"),
        (lambda run: (run / "README.md").symlink_to("/etc/passwd"), "README.md is a link to /etc/passwd"),
        (lambda run: os.chmod(run / "cases.csv", 0o755), "cases.csv is marked as a program"),
        (lambda run: shutil.rmtree(run / "cases" / "beta"), "beta"),
        (lambda run: (run / "cases" / "beta" / "tracks.npz").write_bytes(b"x"), "tracks.npz"),
        (lambda run: resealed(run, command="run results=/home/ann/x"), "record.json names /home/ann/x"),
        (lambda run: resealed(run, finished=False), "the run was not finished; resume it: "),
        (lambda run: resealed(run, samples=["alpha", "delta"]), "incomplete: no row for 1 of 2 samples, e.g. delta"),
        (lambda run: resealed(run, counts="many"), "counts is missing or not of type dict"),
        (lambda run: (run / "record.json").write_text("{}"), "record.json is damaged"),
    ],
)  # fmt: skip
def test_what_the_check_refuses(
    cli: Cli, submissions: tuple[Path, Path], harm: Callable[[Path], object], said: str
) -> None:
    harm(model_run(Path("subs/ann")))
    ran = cli("check-submission", "subs/ann")
    assert ran.code == 1
    assert said in ran.out
    assert "Traceback" not in ran.out + ran.err


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, [[]], {"a": None}])
def test_made_up_records_and_definitions_end_in_a_problem(
    cli: Cli, submissions: tuple[Path, Path], value: Any
) -> None:
    run_dir = model_run(Path("subs/ann"))
    record = require_json(run_dir / "record.json")
    assert record is not None
    for name in [key for key in record if key not in ("git", "notes", "readings", "files")]:
        resealed(run_dir, **{name: value})
        checked = check_run(run_dir)  # does not raise
        assert all(isinstance(line, str) for line in (*checked.problems, *checked.notes)), name
        resealed(run_dir, **{name: record[name]})
    for name in ("definitions.json", "set_scores.json"):
        write_json(run_dir / name, {"traj_error": value, "other": value})
        resealed(run_dir)
        assert cli("check-submission", "subs/ann").code in (0, 1), name
        assert cli("leaderboard", "subs/ann").code in (0, 1), name


def test_failed_cases_are_not_complete(cli: Cli, fake: tuple[str, ...]) -> None:
    cli("run", "model=fake_model", "model.bad=beta", *fake, "results=r")
    cli("export", "r", "out=s")
    ran = cli("check-submission", "s")
    assert ran.code == 1
    assert "incomplete: no score for 1 of 3 samples, e.g. beta: ValueError" in ran.out


def test_an_interrupted_run_is_left_out_of_an_export_and_a_part_is_named(
    cli: Cli, submissions: tuple[Path, Path]
) -> None:
    shutil.copytree("subs/ann", "r")
    resealed(model_run(Path("r")), finished=False, partial=True)
    resealed(next(Path("r").glob("runs/*/ground_truth/*")), partial=True, suite_size=5)
    ran = cli("export", "r", "out=s")
    assert (ran.code, ran.out.startswith("s/: 1 run, ")) == (0, True)
    assert (
        f"left out: {model_run(Path('r'))} was stopped before its end; resume it: python -m toraeval run"
        in ran.err
    )
    assert "partial: ground_truth 8: 3 of 5 cases" in ran.err
    assert not list(Path("s").glob("runs/*/fake_model"))
    ran = cli("export", str(model_run(Path("r"))), "--eval-results")
    assert (ran.code, ran.out) == (2, "")
    assert "none of these runs is finished" in ran.err


def test_a_hostile_name_stays_text(cli: Cli, submissions: tuple[Path, Path]) -> None:
    evil = "=cmd|'/c calc'!A0<script>alert(1)</script>|x\x1b[31m"
    run_dir = model_run(Path("subs/bob"))
    table = pd.read_csv(run_dir / "cases.csv").assign(model=evil)
    table.to_csv(run_dir / "cases.csv", index=False)
    record = require_json(run_dir / "record.json")
    assert record is not None
    resealed(run_dir, run={**record["run"], "model": evil})
    ran = cli("leaderboard", "subs/ann", "subs/bob")
    text = Path("leaderboard/leaderboard.md").read_text()
    assert "<script" not in text
    assert "\x1b" not in text + ran.out + ran.err
    lines = [line for line in text.splitlines() if "alert" in line]
    assert lines[0].replace("\\|", "").count("|") == text.splitlines()[8].count("|"), "no further column"
    cell = next(name for name in pd.read_csv("leaderboard/leaderboard.csv")["model"] if "alert" in name)
    assert cell.startswith("'=")


def test_an_id_never_leads_out_of_the_folder(
    cli: Cli, submissions: tuple[Path, Path], tmp_path: Path
) -> None:
    run_dir = model_run(Path("subs/ann"))
    table = pd.read_csv(run_dir / "cases.csv")
    table.loc[0, "sample"] = "../../../../../../outside"
    table.to_csv(run_dir / "cases.csv", index=False)
    resealed(run_dir)
    assert "is not the name of a sample's folder" in cli("check-submission", "subs/ann").out
    ran = cli("export", str(run_dir), "out=copy")
    assert (ran.code, ran.err.count("\n")) == (2, 1)


def test_eval_results_are_read_by_the_hub(cli: Cli, submissions: tuple[Path, Path]) -> None:
    ran = cli("export", "subs/ann", "--eval-results", "source=https://example.org/results")
    assert ran.code == 0
    content = yaml.safe_load(ran.out)
    (model,) = content["model-index"]
    assert model["name"] == "fake_model"
    (result,) = model["results"]
    assert result["dataset"]["type"] == "toraeval/fake_suite-v1"
    assert {"type": "traj_error", "value": 2.0, "name": "traj_error (px, lower is better)"} in result[
        "metrics"
    ]
    repocard = pytest.importorskip("huggingface_hub.repocard_data")
    name, read = repocard.model_index_to_eval_results(content["model-index"])
    assert name == "fake_model"
    assert [one.metric_value for one in read if one.metric_type == "traj_error"] == [2.0]
    written = cli("export", "subs/ann", "--eval-results", "out=card.yaml")
    assert written.out == "card.yaml\n"


@pytest.mark.parametrize("words", [("leaderboard",), ("check-submission",), ("export",), ("export", "r"),
                                   ("check-submission", "nowhere"), ("leaderboard", ".")])  # fmt: skip
def test_wrong_use_is_one_line(cli: Cli, words: tuple[str, ...]) -> None:
    ran = cli(*words)
    assert (ran.code, ran.err.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("python -m toraeval run results=/tmp", ["/tmp"]),
        ("videos='/home/ann/my clips'", ["/home/ann/my"]),
        ("~/clips/a.mp4", ["~/clips/a.mp4"]),
        (r"C:\Users\ann", [r"C:\Users\ann"]),
        ("https://example.org/a/b and/or results/runs x*256/width (|dx|+|dy|)/2 a / b", []),
        ("runs/shapes-v2/tora", []),
    ],
)
def test_paths_of_a_machine(text: str, found: list[str]) -> None:
    assert paths_in(text) == found


@pytest.mark.parametrize("text", ["=1+1", "'=1", "-x", "@a", "plain", "", "a=b"])
def test_formulas_come_back_as_they_were(text: str) -> None:
    assert from_csv(csv_text(text)) == text
    assert not csv_text(text).startswith(("=", "+", "-", "@"))


def test_texts_are_harmless() -> None:
    evil = "\\input{x}a|b<img src=x onerror=alert(1)>[x](js:y)`c`\n\u202e%$_^~&#{}" + "z" * 10_000
    shown = markdown_text(evil)
    assert "<" not in shown
    assert "\n" not in shown
    assert "\u202e" not in shown
    assert "\\[x\\]" in markdown_text(evil, 200)
    assert len(shown) < 200
    latex = latex_text(evil)
    assert "\\input" not in latex
    assert "\\textbackslash{}input" in latex
    assert latex_text("100 % of a_b & \N{GREEK SMALL LETTER ALPHA}") == r"100 \% of a\_b \& \texttt{U+03B1}"
    assert markdown_text("ground_truth") == "ground_truth"
