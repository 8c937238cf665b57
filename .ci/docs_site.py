"""Hook of mkdocs: contents from docs/README.md, README and CONTRIBUTING as pages, links of the repository that work.

The pages of docs/ link as the repository shows them, also to files outside docs/. Such files (tables, licences) are
copied into the site under `repository/`; a link to a folder or to code keeps its text only.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

LOG = logging.getLogger("mkdocs.hooks")
ROOT = Path(__file__).resolve().parents[1]
PAGES = {"README.md": "overview.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md",
         "SECURITY.md": "security.md"}  # fmt: skip
SHOWN = (
    ".md",
    ".csv",
    ".json",
    ".png",
    ".webp",
    ".cff",
    "",
)  # suffixes of files that are copied; "" is LICENSE
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")
FENCE = re.compile(r"(^```.*?^```)", flags=re.MULTILINE | re.DOTALL)


def on_config(config: Any) -> Any:
    """Take the contents of the site from the tables of docs/README.md."""
    config.nav = contents((ROOT / "docs" / "README.md").read_text())
    return config


def contents(index: str) -> list[Any]:
    """Return mkdocs' `nav`: the index itself, then each of its sections with the pages that its table names.

    Args:
        index: Markdown with `##` sections, in each a table whose first column links to pages.
    """
    nav: list[Any] = ["README.md"]
    for section in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        cells = [line.split("|")[1] for line in body.splitlines() if line.startswith("| [")]
        targets = [
            _repository_path(Path("docs"), match[3]) for cell in cells for match in LINK.finditer(cell)
        ]
        nav.append({title: [place for target in targets if (place := _place(target))]})
    return nav


def on_files(files: Files, config: Any) -> Files:
    """Add the pages from outside docs/ and the files that pages link to."""
    for name, place in PAGES.items():
        files.append(File.generated(config, place, content=(ROOT / name).read_text()))
    pages = [ROOT / name for name in PAGES] + [ROOT / "docs" / f.src_uri for f in files.documentation_pages()]
    added: set[str] = set()
    while pages:
        page = pages.pop()
        for target in sorted(set(_linked(page)) - added) if page.is_file() else ():
            place = _place(target)
            if place and place.startswith("repository/"):
                source = str(ROOT / target)
                files.append(
                    File.generated(config, place, abs_src_path=source, inclusion=InclusionLevel.NOT_IN_NAV)
                )
                added.add(target)
                pages += [ROOT / target] if place.endswith(".md") else []
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn links of the repository into links of the site."""
    here = _home(page.file.src_uri)
    parts = FENCE.split(markdown)
    return "".join(
        part if i % 2 else LINK.sub(lambda m: _link(m, here, page), part) for i, part in enumerate(parts)
    )


def _link(match: re.Match[str], here: Path, page: Any) -> str:
    mark, text, target, anchor = match.groups()
    if "://" in target or target.startswith("mailto:"):
        return match[0]
    path = _repository_path(here, target)
    if not (ROOT / path).exists():
        LOG.warning("%s: link to %s, which does not exist", page.file.src_uri, target)
    place = _place(path)
    if place is None:
        return text
    return (
        f"{mark}[{text}]({os.path.relpath(place, os.path.dirname(page.file.src_uri) or '.')}{anchor or ''})"
    )


def _home(uri: str) -> Path:
    """Return the folder in the repository that the links of a page start from."""
    if uri.startswith("repository/"):
        return Path(uri).relative_to("repository").parent
    return Path() if uri in PAGES.values() else Path("docs", uri).parent


def _linked(page: Path) -> Iterator[str]:
    text = "".join(FENCE.split(page.read_text())[::2])
    for match in LINK.finditer(text):
        if "://" not in match[3]:
            yield _repository_path(page.parent.relative_to(ROOT), match[3])


def _repository_path(here: Path, target: str) -> str:
    return os.path.normpath(here / target)


def _place(target: str) -> str | None:
    """Return where a file of the repository stands in the site, or None where it does not."""
    if target in PAGES:
        return PAGES[target]
    if target == "docs":
        return "README.md"
    if target.startswith("docs/"):
        return target.removeprefix("docs/")
    path = ROOT / target
    return f"repository/{target}" if path.is_file() and path.suffix in SHOWN else None
