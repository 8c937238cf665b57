"""The folder of the page: complete, self-contained, harmless, and alike for equal runs."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from tests.report.site.conftest import CASES, written
from toraeval.report.collect import ReportedRun, collect, former_pages, runs_below, sorted_out
from toraeval.report.findings import BEST, NEAR, Findings
from toraeval.report.site.overview import ALL_SUITES
from toraeval.report.site.write import write
from toraeval.report.texts import case_slug, slug
from toraeval.stats import paired_difference
from toraeval.store.sealed import write_json
from toraeval.store.slot import RunStore
from toraeval.store.tables.rows import read_rows, write_tables
from toraeval.types import UserError

# Whichever test comes first pays for the imports of SciPy and matplotlib, which crawl on a busy machine.
pytestmark = pytest.mark.timeout(180)
HOSTILE = "</script><script>alert(1)</script>"


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_page_has_a_page_data_and_clips_for_every_case(pages):
    files = contents(pages)
    for case in CASES:
        for frames in (6, 12):
            name = case_slug(case, frames)
            assert f"cases/{name}.html" in files
            assert f"data/{name}.js" in files
            clips = {file for file in files if file.startswith(f"clips/{name}/")}
            assert len(clips) == (3 if case == "case-03" else 4), "a failed sample has no clip"
    assert {"index.html", "table1.csv", "table1.tex", "metrics.csv", "error_over_time.csv"} <= set(files)
    assert len(files["index.html"]) < 3_000_000


def test_nothing_is_fetched_from_elsewhere(pages):
    for name, content in contents(pages).items():
        if name.endswith((".html", ".css", ".js")):
            outside = re.findall(rb"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//", content)
            assert not outside, name


def test_links_of_the_pages_lead_to_files(pages):
    for page in (pages / "index.html", *(pages / "cases").glob("*.html")):
        for link in re.findall(r'(?:href|src)="([^"#]+)', page.read_text(encoding="utf-8")):
            assert (page.parent / link).is_file(), (page.name, link)


def test_best_and_what_cannot_be_told_from_it_are_marked(pages):
    page = (pages / "index.html").read_text(encoding="utf-8")
    assert page.count('title="best mean of its length among the models"') == 4, (
        "card and table at two lengths"
    )
    assert r"\textbf{" in (pages / "table1.tex").read_text()


def test_what_differs_by_less_than_the_floor_is_marked_as_near(make_run, tmp_path):
    models = ("tora", "dragnuwa", "ground_truth")
    page = written(
        [make_run(tmp_path, model, 6, seen={"dragnuwa": "tora"}) for model in models], tmp_path / "page"
    )
    assert "by less than the tracker&#39;s floor" in page.read_text(encoding="utf-8")


def test_equal_runs_give_equal_bytes_and_what_is_gone_leaves_no_files(make_run, tmp_path):
    runs = [make_run(tmp_path, "tora", 6), make_run(tmp_path, "static", 6)]
    written(runs, tmp_path / "a")
    written(runs[::-1], tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    (tmp_path / "b" / "mine.txt").write_text("stays")
    written(runs[:1], tmp_path / "b")
    left = contents(tmp_path / "b")
    assert left.pop("mine.txt") == b"stays"
    written(runs[:1], tmp_path / "c")
    assert left == contents(tmp_path / "c")


def test_a_list_of_files_cannot_make_the_page_delete_elsewhere(make_run, tmp_path):
    run = make_run(tmp_path, "tora", 6)
    written([run], tmp_path / "page")
    (tmp_path / "mine.txt").write_text("stays")
    (tmp_path / "page" / "assets" / "written.json").write_text(json.dumps(["../mine.txt", "assets/page.css"]))
    written([run], tmp_path / "page")
    assert (tmp_path / "mine.txt").exists()


@pytest.mark.parametrize(
    "text", [HOSTILE, "../../up", "a/b\\c:d", "x" * 10_000, "🎬 كتاب", ".", "", "con..", "a\0b"]
)
def test_names_of_files_stay_in_their_folder(text):
    name = slug(text)
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", name)
    assert len(name) < 80
    assert name != slug(text + "!")


def test_hostile_names_and_prompts_are_only_text(make_run, tmp_path, monkeypatch):
    prompt = f"{HOSTILE} \u2028 ‮ 🎬 {'long ' * 2000}"
    monkeypatch.setattr("tests.report.conftest.PROMPT", prompt, raising=False)
    run = make_run(tmp_path, "tora", 6, cases=("a case",))
    meta = run / "cases" / "a case" / "video.json"
    content = json.loads(meta.read_text())
    content.pop("checksum")
    write_json(meta, {**content, "prompt": prompt})
    page = written([run], tmp_path / "page").parent
    name = case_slug("a case", 6)
    for file in ("index.html", f"cases/{name}.html", "data/index.js", f"data/{name}.js"):
        text = (page / file).read_text(encoding="utf-8")
        assert "<script>alert" not in text, file
    assert "alert(1)" in (page / "cases" / f"{name}.html").read_text(encoding="utf-8")
    assert len((page / "index.html").read_bytes()) < 200_000, (
        "ten kilobytes of prompt stay on the case's page"
    )


def test_only_failures_still_make_a_page(make_run, tmp_path):
    run = make_run(tmp_path, "tora", 6, cases=("only",), failed=("only",))
    page = written([run], tmp_path / "page")
    text = page.read_text(encoding="utf-8")
    assert "No model is scored at this length" in text
    assert "<b>1</b> failed sample<" in text
    assert "Every sample failed" in text
    assert re.search(r"it broke</bdi>: 1 sample, e.g. <a href=\"cases/only_006f.html\">", text)
    assert "it broke" in (page.parent / "cases" / "only_006f.html").read_text(encoding="utf-8")


def test_a_run_without_samples_is_named_with_the_command_that_resumes_it(make_run, tmp_path):
    run = make_run(tmp_path, "tora", 6, cases=("only",))
    store = RunStore(run)
    for file in (run / "cases" / "only").iterdir():
        file.unlink()
    write_tables(store, read_rows(store, {}, None))
    groups, empty = sorted_out(runs_below(tmp_path)[0])
    assert (len(groups), len(empty)) == (0, 1)
    page = write([Findings.of(group) for group in groups], tmp_path / "page", empty)
    assert "run &lt;x&gt;" in page.read_text(encoding="utf-8")


def test_runs_that_must_not_share_a_table_get_pages_of_their_own(make_run, tmp_path):
    make_run(tmp_path, "tora", 6)
    make_run(tmp_path, "static", 6, fingerprint="other")
    make_run(tmp_path, "tora", 12)
    runs, problems = runs_below(tmp_path)
    with pytest.raises(UserError):
        collect([run.run_dir for run in runs])
    groups, _ = sorted_out(runs)
    assert sorted(len(group.entries) for group in groups) == [1, 2]
    page = write([Findings.of(group) for group in groups], tmp_path / "page")
    links = re.findall(r'href="([^"#]+/index\.html)"', page.read_text(encoding="utf-8"))
    assert len(set(links)) == 2
    assert all((page.parent / link).is_file() for link in links)
    assert problems == []


def test_what_cannot_be_told_from_the_best_says_what_could_have_been_seen(make_run, tmp_path, monkeypatch):
    runs = [
        make_run(tmp_path, model, 6, CASES, video=False) for model in ("tora", "dragnuwa", "ground_truth")
    ]
    (group,) = collect(runs)
    values = {
        label: {
            case: float(v) for case, v in zip(CASES, np.random.default_rng(seed).gamma(9, 10, 9), strict=True)
        }
        for seed, label in ((0, "tora"), (3, "dragnuwa"))
    }
    read = ReportedRun.by_case

    def by_case(entry, column):
        return (
            values[entry.label] if column == "traj_error" and entry.label in values else read(entry, column)
        )

    monkeypatch.setattr(ReportedRun, "by_case", by_case)
    seen = paired_difference(*values.values()).sensitivity
    whys = {label: why for (label, _), (mark, why) in Findings.of(group).marks.items() if mark == NEAR}
    assert len(whys) == 1
    assert next(iter(whys.values())).endswith(f"9 shared cases; {seen.words(Findings.of(group).main.unit)}")


def test_two_cases_make_nobody_as_good_as_the_best(make_run, tmp_path, monkeypatch):
    models = ("tora", "dragnuwa", "ground_truth")
    (group,) = collect([make_run(tmp_path, model, 6, CASES[:2], video=False) for model in models])
    read = ReportedRun.by_case

    def by_case(entry, column):
        far = 100 if entry.label == "dragnuwa" and column == "traj_error" else 0
        return {case: np.add(values, far) for case, values in read(entry, column).items()}

    monkeypatch.setattr(ReportedRun, "by_case", by_case)
    marks = Findings.of(group).marks
    assert marks["tora", 6][0] == BEST
    assert ("dragnuwa", 6) not in marks


@pytest.fixture(scope="module")
def several(make_run, tmp_path_factory):
    """The folder of a page of two suites, of which only one has all models."""
    root = tmp_path_factory.mktemp("several")
    for suite, models in (("one-v1", ("tora", "static", "dragnuwa")), ("two-v1", ("tora", "static"))):
        for model in models:
            make_run(root, model, 6, CASES, suite=suite, video=False)
    groups, _ = sorted_out(runs_below(root)[0])
    return write([Findings.of(group) for group in groups], root / "page").parent


def test_the_first_page_of_several_suites_shows_every_model_on_all_of_them(several):
    text = (several / "index.html").read_text(encoding="utf-8")
    rows = re.findall(r"<tr[^>]*>\s*<th scope=\"row\".*?</tr>", text, re.DOTALL)
    assert [re.findall(r"<bdi>(.*?)</bdi>", row)[0] for row in rows] == ["one-v1", "two-v1"]
    models = [re.sub("<wbr>", "", name) for name in re.findall(r'<th scope="col"><bdi>(.*?)</bdi>', text)]
    assert models == ["dragnuwa", "tora", "static"]
    found = pd.read_csv(several / "all_suites.csv")
    assert list(found.columns) == list(ALL_SUITES)
    for row, suite in zip(rows, ("one-v1", "two-v1"), strict=True):
        cells = re.findall(r"<td[^>]*>(.*?)</td>", row)[3 : 3 + len(models)]
        values = found[found["suite"] == suite].set_index("model")["value"]
        for model, cell in zip(models, cells, strict=True):
            assert bool(cell) == (model in values), (suite, model)
            assert not cell or float(re.match(r"[\d.]+", cell)[0]) == pytest.approx(values[model], rel=0.01)


def test_pages_of_several_suites_lead_to_each_other(several):
    folders = [path.parent for path in several.glob("*/index.html")]
    assert len(folders) == 2
    for folder in (several, *folders):
        text = (folder / "index.html").read_text(encoding="utf-8")
        links = {(folder / link).resolve().parent for link in re.findall(r'href="([^"#]*index\.html)', text)}
        assert {several, *folders} <= {*links, folder}, folder
        assert all((link / "index.html").is_file() for link in links)


def test_a_suite_that_is_gone_leaves_no_folder(make_run, tmp_path):
    runs = [make_run(tmp_path, "tora", 6, suite=suite) for suite in ("one-v1", "two-v1")]
    written(runs, tmp_path / "page")
    assert len(list((tmp_path / "page").glob("*/index.html"))) == 2
    written(runs[:1], tmp_path / "page")
    written(runs[:1], tmp_path / "fresh")
    assert contents(tmp_path / "page") == contents(tmp_path / "fresh")
    assert {path.name for path in (tmp_path / "page").iterdir()} == {
        path.name for path in (tmp_path / "fresh").iterdir()
    }


def test_clips_of_their_own_lengths_are_not_said_to_have_no_frames(make_run, tmp_path):
    run = make_run(tmp_path, "tora", 6)
    record = json.loads((run / "record.json").read_text())
    record.pop("checksum")
    write_json(run / "record.json", {**record, "run": {**record["run"], "frames": 0}})
    text = written([run], tmp_path / "page").read_text(encoding="utf-8")
    assert not re.search(r"\b0 frames", text)
    assert "the clips&#39; own lengths" in text


@pytest.mark.parametrize("place", ["report.html", "report/other-runs/index.html"])
def test_pages_of_earlier_versions_are_pointed_out(tmp_path, place):
    assert former_pages(tmp_path / "report") == []
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text("old")
    (said,) = former_pages(tmp_path / "report")
    assert str(tmp_path / place) in said
