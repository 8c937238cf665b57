"""The documentation names only commands, files, columns and figures that exist, and its example runs."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from toraeval import __version__, config, registry
from toraeval.cli import VERBS
from toraeval.cli.options_help import word
from toraeval.config.declared import declaration
from toraeval.config.training import KINDS
from toraeval.report.paper.published import published
from toraeval.suites.shared.imported import ImportedSuite

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGE_IDS = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_relative_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    local = [target for target in targets if "://" not in target]
    if not (ROOT / "results" / "table1.csv").exists():
        local = [target for target in local if not target.startswith("results/")]  # removed by the user
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_commands_exist(page: Path) -> None:
    text = page.read_text()
    verbs = set(re.findall(r"-m toraeval +([a-z][\w-]*)", text))
    assert verbs <= set(VERBS)
    targets = set(re.findall(r"(?:^|`)make ([a-z]+)", text, flags=re.MULTILINE))
    assert targets <= set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for kind in registry.KINDS:
        chosen = set(re.findall(rf"-m toraeval .*\b{kind}=([a-z]\w*)(?![\w:])", text))
        examples = set(re.findall(rf'^"{kind}\.(\w+)" = ', text, flags=re.MULTILINE))
        trained = {title.split()[0].removeprefix("model=") for title in KINDS} if kind == "model" else set()
        assert chosen <= set(registry.names(kind)) | examples | trained


def test_every_verb_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [verb for verb in VERBS if f"python -m toraeval {verb}" not in readme] == []


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    names = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")} - {"README.md"}
    assert {name for name in names if f"({name})" not in index} == set()
    assert set(re.findall(r"\(([a-z_/]+\.md)\)", index)) <= names


SUITES = [name for name in registry.names("suite") if not registry.entry("suite", name).origin]
IMPORTED = [name for name in SUITES if issubclass(registry.load("suite", name), ImportedSuite)]


def test_the_overview_names_every_suite_and_its_page() -> None:
    rows = re.findall(
        r"^\| \[`(\w+)`\]\(([^)]+)\) \|", (ROOT / "docs" / "suites.md").read_text(), flags=re.MULTILINE
    )
    assert sorted(name for name, _ in rows) == sorted(SUITES)
    pages = dict(rows)
    assert {name: pages[name] for name in IMPORTED} == {name: f"suites/{name}.md" for name in IMPORTED}
    assert all(
        f"`{name}`" in (ROOT / "docs" / page).read_text()
        or f"suite={name}" in (ROOT / "docs" / page).read_text()
        for name, page in rows
    )


@pytest.mark.parametrize("name", IMPORTED)
def test_a_page_of_a_benchmark_says_how_to_get_it_its_licence_its_protocol_and_what_is_compared(
    name: str,
) -> None:
    suite, text = registry.load("suite", name), (ROOT / "docs" / "suites" / f"{name}.md").read_text()
    parts = dict(re.findall(r"^## ([^\n]+)\n\n(.+?)(?=\n## |\Z)", text, flags=re.MULTILINE | re.DOTALL))
    assert list(parts) == ["Get the data", "Licence", "Protocol", "What is compared with what"]
    assert f"validate suite={name} suite.path=" in parts["Get the data"]
    assert re.split("[;(]", suite.licence)[0].strip().lower().split()[0] in parts["Licence"].lower()
    options = {option.name for option in config.declared_by("suite", name).options} - {
        "path",
        "allow_missing",
    }
    assert options == set(re.findall(r"^\| `suite\.(\w+)` \|", parts["Protocol"], flags=re.MULTILINE))
    for option, words in suite.choices.items():
        (row,) = re.findall(rf"^\| `suite\.{option}` \|.*", parts["Protocol"], flags=re.MULTILINE)
        assert set(words) <= set(re.findall(r"`(\w+)`", row))


def test_pages_that_messages_point_to_exist() -> None:
    sources = [*(ROOT / "toraeval").rglob("*.py"), *(ROOT / "conf").rglob("*.yaml")]
    named = {name for path in sources for name in re.findall(r"docs/\w+\.md", path.read_text())}
    assert {name for name in named if not (ROOT / name).is_file()} == set()


def test_the_results_table_of_the_readme_is_what_the_results_hold() -> None:
    folder = ROOT / "results"
    if not (folder / "table1.csv").exists():
        pytest.skip("results/ was removed")
    errors, ratios, metrics = (
        pd.read_csv(folder / f"{name}.csv") for name in ("table1", "ratios", "metrics")
    )
    fvd = metrics[(metrics["column"] == "fvd_efficientnet_lite0_time") & (metrics["frames"] == 128)]
    shown = [(errors[errors["frames"] == frames], "traj_error", 2) for frames in (16, 64, 128)]
    shown += [(ratios[ratios["frames"] == 128], "ratio", 2), (fvd, "value", 1)]
    lines = re.findall(r"^\| `(.+?)` \| (.*) \|$", _section("Results"), flags=re.MULTILINE)
    assert [name for name, _ in lines] == [
        "ground_truth", "wan_move", "tora", "motionctrl (direct)", "dragnuwa (direct)", "dragnuwa", "motionctrl",
        "static",
    ]  # fmt: skip
    for name, cells in lines:
        assert [cell.strip() for cell in f" {cells} ".split("|")] == [
            _cell(table[table["model"] == name], column, digits) for table, column, digits in shown
        ]


def _section(title: str) -> str:
    return (ROOT / "README.md").read_text().split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def _cell(rows: pd.DataFrame, column: str, digits: int) -> str:
    if rows.empty:
        return ""
    row = rows.iloc[0]
    value = f"{row[column]:.{digits}f}"
    low, high = ("low", "high") if column in ("ratio", "value") else (f"{column}_low", f"{column}_high")
    return f"{value} [{row[low]:.{digits}f}, {row[high]:.{digits}f}]" if digits == 2 else value


def test_the_python_example_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", _section("From Python"), flags=re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    assert float(capsys.readouterr().out) > 10  # nothing moves


def test_the_version_to_cite_is_this_one() -> None:
    assert f"version = {{{__version__}}}" in (ROOT / "README.md").read_text()
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()


SECTIONS = {
    "Settings of run, bench and score": ("RunConfig", "BenchConfig", "ScoreConfig"),
    "Settings of run and bench": ("RunConfig", "BenchConfig"),
    "Settings of score": ("ScoreConfig",),
    "Ablations": ("AblationsConfig",),
    "Settings of train": ("NanoOptions",),
}
"""Headings of docs/cli.md over tables of options, and the classes that declare these."""


def stated(cell: str) -> list[str]:
    """Return the values in the last column, one for each key; `none` and `all` stand for null."""
    words = [word.strip("`") for word in re.split(r", (?![^\[]*\])", cell)]
    return ["null" if word in ("none", "all") else word for word in words]


@pytest.mark.parametrize("heading", SECTIONS)
def test_tables_of_options_agree_with_the_classes(heading: str) -> None:
    text = (ROOT / "docs" / "cli.md").read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    declared = {}
    for name in SECTIONS[heading]:
        place = "trainings" if name == "NanoOptions" else "verbs"
        declared |= {o.name: o.default for o in declaration(f"toraeval.config.{place}:{name}").options}
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line[:3] == "| `"
    ]
    assert len(rows) > 4
    for row in rows:
        keys = [key.removeprefix("ablations.") for key in re.findall(r"`([a-z_.]+)`", row[0])]
        assert set(keys) <= set(declared) | {"metric"}, row[0]
        if len(row) < 3 or len(stated(row[2])) != len(keys):
            continue  # in words, or one value for several keys
        for key, value in zip(keys, stated(row[2]), strict=True):
            default = declared.get(key)
            plain = (
                re.fullmatch(r"null|true|false|[\d.]+|\[.*\]|[a-z_]+", value) and key not in registry.KINDS
            )
            if plain and default != "???" and value not in ("inside", "folder"):
                assert value in (word(default), word(default).removesuffix(".0")), (key, value, default)


def test_every_published_figure_stands_on_its_page_with_its_source() -> None:
    stated, text = published(), (ROOT / "docs" / "published.md").read_text()
    rows = [row for row in text.splitlines() if row.startswith("| ")]
    figures = [(f"{v.metric} of {v.model}", f"{v.value:g} at {v.frames}", v.source) for v in stated.values]
    figures += [(claim.metric, f"{claim.low:g} to {claim.high:g}", claim.source) for claim in stated.claims]
    assert [words for words in figures if not any(all(word in row for word in words) for row in rows)] == []
