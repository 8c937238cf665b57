"""The documentation names only commands, files and columns that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from toraeval import registry
from toraeval.cli import VERBS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGE_IDS = [page.name if page.parent == ROOT else f"docs/{page.name}" for page in PAGES]


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
    verbs = set(re.findall(r"-m toraeval +([a-z]\w*)", text))
    assert verbs <= set(VERBS)
    targets = set(re.findall(r"(?:^|`)make ([a-z]+)", text, flags=re.MULTILINE))
    assert targets <= set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for kind in registry.KINDS:
        chosen = set(re.findall(rf"-m toraeval .*\b{kind}=([a-z]\w*)", text))
        assert chosen <= set(registry.names(kind))


def test_every_verb_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [verb for verb in VERBS if f"python -m toraeval {verb}" not in readme] == []


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    names = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {name for name in names if f"({name})" not in index} == set()
    assert set(re.findall(r"\(([a-z_]+\.md)\)", index)) <= names


def test_pages_that_messages_point_to_exist() -> None:
    sources = [*(ROOT / "toraeval").rglob("*.py"), *(ROOT / "conf").rglob("*.yaml")]
    named = {name for path in sources for name in re.findall(r"docs/\w+\.md", path.read_text())}
    assert {name for name in named if not (ROOT / name).is_file()} == set()
